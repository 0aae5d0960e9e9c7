"""The sample imprint after a change of heads or ink: from the device's events to the comparison with the specimen.

A device reports a sample like a stroke, under the first 16 bytes of the order's digest instead of a token.
"""

import hashlib
from typing import Any, Final
from uuid import UUID

from sqlmodel import Session

from firmware_protocol import cbor, events
from firmware_protocol.events import Event
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.devices import service as devices
from server.devices.schemas import ServiceRead
from server.events import store
from server.events.models import Alarm
from server.jobs import service as jobs
from server.seals import service as seals

INSPECT_SAMPLE: Final = "events.inspect_sample"
SAMPLE_REFUSED: Final = "sample_refused"
LOOK_S: Final = 30.0


def take(db: Session, run: Runtime, event: Event) -> None:
    """A PAGE_SEEN or DONE that belongs to a service: note its full photo, and promise the comparison."""
    body = event.body
    if not isinstance(body, events.PageSeen | events.Done):
        return
    order = devices.sample_of(db, event.header.device_id, body.token_id)
    if order is None:
        return
    if isinstance(body, events.PageSeen):
        devices.note_sample_photo(db, order.id, before=body.photo_digest)
    else:
        devices.note_sample_photo(db, order.id, after=body.photo_digest)
    photo_stored(db, run, event.header.device_id, body.token_id)


def photo_stored(db: Session, run: Runtime, device_id: str, sample_id: bytes) -> None:
    """Promise the comparison once both photos are here."""
    order = devices.sample_of(db, device_id, sample_id)
    if order is None or order.before_photo is None or order.after_photo is None:
        return
    photos = {order.before_photo, order.after_photo}
    if store.stored_among(db, order.tenant_id, photos) == photos:
        jobs.enqueue(db, INSPECT_SAMPLE, {"order": str(order.id), "device": device_id}, now=run.now())


def look(run: Runtime, payload: dict[str, Any]) -> None:
    """Compare the sample with the specimen of the head's seal; refused: an alarm, and the slot stays unused."""
    with run.db.read() as db:
        found = _order(db, payload)
        if found is None or found.head_id is None or found.before_photo is None or found.after_photo is None:
            return
        order, scope = found, Scope.system(found.tenant_id)
        seal = seals.seal_of_head(db, order.tenant_id, found.head_id)
        specimen = seals.specimen(db, run, scope, seal.id)
        before = run.blobs.get(db, found.before_photo, scope=scope)
        after = run.blobs.get(db, found.after_photo, scope=scope)
    report: dict[str, Any] = run.workers.call(
        "server.inspection.vision.sample:check_sample", specimen, seal.diameter_mm, before, after, timeout_s=LOOK_S
    )
    accepted = report["answer"] == "genuine"
    evidence = cbor.encode([report["answer"], report["reason"], round(report.get("score", 0.0) * 10_000)])
    with run.db.write() as db:
        judged = devices.judge_sample(
            db,
            run,
            order.id,
            accepted=accepted,
            reason=report["reason"],
            report_digest=hashlib.sha256(evidence).digest(),
            report=evidence,
        )
        if judged is not None and not accepted:
            _alarm(db, run, judged)


def _order(db: Session, payload: dict[str, Any]) -> ServiceRead | None:
    return devices.service_of(db, UUID(payload["order"]))


def _alarm(db: Session, run: Runtime, order: ServiceRead) -> None:
    mark = hashlib.sha256(b"sample" + order.id.bytes + (order.after_photo or b"")).digest()
    if store.alarm(db, mark) is not None:
        return
    db.add(
        Alarm(
            id=run.new_id(),
            created_at=run.now(),
            tenant_id=order.tenant_id,
            branch_path=order.branch_path,
            device_id=order.device_id,
            kind=SAMPLE_REFUSED,
            leaf_hash=mark,
            detail={"slot": order.slot, "reason": order.sample_reason},
        )
    )
    db.flush()
