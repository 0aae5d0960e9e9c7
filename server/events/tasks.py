"""Jobs of `server.events`, done by the worker role."""

import hashlib
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from sqlmodel import Session

from firmware_protocol import events as device_events
from firmware_protocol.events import PageSeen
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.devices import service as devices
from server.events import changes, projecting, samples, sheets, store, withdrawing
from server.events.models import Stroke
from server.inspection import service as inspection
from server.inspection.service import StrokeAt
from server.jobs import service as jobs
from server.jobs.service import every, handler
from server.ledger import service as ledger
from server.ledger.schemas import EntryRead
from server.seals import service as seals
from server.tokens import service as tokens
from server.tokens.sweeping import OLD_PHOTO

LOOK_AT_TRUST_S: Final = 600


@handler(projecting.PROJECT)
def project(run: Runtime, payload: dict[str, Any]) -> None:
    """Device events were admitted in leaves from..to."""
    changes.watch(run)
    projecting.project(run, first=payload["from"], last=payload["to"])
    with run.db.write() as db:
        jobs.enqueue_once(db, "public.snapshot", {}, now=run.now())  # strokes bring codes that strangers may check


@handler(samples.INSPECT_SAMPLE)
def inspect_sample(run: Runtime, payload: dict[str, Any]) -> None:
    """Both photos of a sample imprint are here: compare it with the specimen."""
    changes.watch(run)
    samples.look(run, payload)


@handler(projecting.INSPECT_IMPRINT)
def inspect_imprint(run: Runtime, payload: dict[str, Any]) -> None:
    """Both full photos of a stroke are here: compare them with the specimen and read the code."""
    changes.watch(run)
    with run.db.read() as db:
        row = store.stroke(db, bytes.fromhex(payload["token"]), payload["stroke"])
        if row is None or row.before_photo is None or row.after_photo is None or row.done_leaf is None:
            return
        scope = Scope.system(row.tenant_id)
        token = tokens.token(db, scope, row.token_id)
        leaf = ledger.entry(db, scope, row.done_leaf)
        if token is None or leaf is None:
            return
        seal = seals.seal(db, scope, token.seal_id)
        specimen = seals.specimen(db, run, scope, token.seal_id)
        shown = _shown(db, scope, row, leaf)
        before = run.blobs.get(db, row.before_photo, scope=scope)
        after = run.blobs.get(db, row.after_photo, scope=scope)
        label = _label(db, run, scope, row)
        code = label[0] if label is not None else row.trace_code or b""
        seen = label[1] if label is not None else after
    at = StrokeAt(
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        request_id=row.request_id,
        seal_id=token.seal_id,
        device_id=row.device_id,
        token_id=row.token_id,
        stroke=row.stroke,
        page=row.page,
        document_digest=token.document_digest,
    )
    check = inspection.look_at_imprint(
        run, specimen=specimen, diameter_mm=seal.diameter_mm, before=before, after=after, at=at
    )
    if label is not None:  # this device has no coder: the code is on the label that was stuck on afterwards
        check = replace(check, codes=(*check.codes, *inspection.codes_on(run, seen)))
    later = inspection.look_later(run, before=before, at=at) if token.page_check != "before" else None
    with run.db.write() as db:
        look = inspection.keep_imprint_finding(
            db, run, at, check, after=seen, trace_code=code, event=leaf.leaf, shown=shown
        )
        if later is not None:
            dated = inspection.dated(later, shown=shown[0])
            inspection.keep_page_finding(db, run, at, dated, preview=before, event=leaf.leaf, kind="later")
        if row.counter is not None and check.imprint["answer"] != "extra":
            devices.note_ink(
                db,
                run,
                tenant_id=row.tenant_id,
                device_id=row.device_id,
                head_id=token.head_id,
                counter=row.counter,
                share=check.imprint["tone"],
            )
        if look.reason == "old_photo":
            projecting.raise_old_photo(db, look)
        about = {"tenant": str(row.tenant_id), "request": str(row.request_id)}
        jobs.enqueue(db, "archive.file", about, now=run.now())


@handler(OLD_PHOTO)
def old_photo(run: Runtime, payload: dict[str, Any]) -> None:
    """A photo of an earlier moment was sent as one of now."""
    changes.watch(run)
    with run.db.write() as db:
        scope = Scope.system(UUID(payload["tenant"]))
        projecting.raise_old_photo(db, inspection.finding(db, scope, UUID(payload["finding"])))


@handler(withdrawing.WITHDRAW)
def withdraw(run: Runtime, payload: dict[str, Any]) -> None:
    """A code was withdrawn: whoever fetches the trust bundle from now on is told."""
    withdrawing.publish(run, {bytes.fromhex(payload["code"]): payload["since"]})
    with run.db.write() as db:
        jobs.enqueue_once(db, "public.snapshot", {}, now=run.now())


@every(LOOK_AT_TRUST_S)
def renew_trust(run: Runtime) -> None:
    """The trust bundle is never much older than a day."""
    if withdrawing.renew(run):
        with run.db.write() as db:
            jobs.enqueue_once(db, "public.snapshot", {}, now=run.now())


def _label(db: Session, run: Runtime, scope: Scope, row: Stroke) -> tuple[bytes, bytes] | None:
    """The code on the label that stands for this imprint, and the photo of the sheet with it, once that is here."""
    label = sheets.label_of(db, row)
    if label is None or label.label_photo is None or not run.blobs.exists(db, label.label_photo, scope=scope):
        return None
    return label.trace_code or b"", run.blobs.get(db, label.label_photo, scope=scope)


def _shown(db: Session, scope: Scope, row: Stroke, done: EntryRead) -> tuple[bytes, bytes]:
    """What the light strip shows on the photos before and after this stroke (docs/protocol.md, "The light strip")."""
    after = tokens.strip_data(
        hashlib.sha256(row.trace_code or b"").digest()[:16], device_events.peek(done.leaf).header.counter
    )
    seen = ledger.entry(db, scope, row.seen_leaf) if row.seen_leaf is not None else None
    event = device_events.peek(seen.leaf) if seen is not None else None
    if event is None or not isinstance(event.body, PageSeen):
        return b"", after
    return tokens.strip_data(event.body.stroke_nonce, event.header.counter), after
