"""From admitted events to read models: strokes, announced photos, alarms, and what lower slices count.

Each step may run again and in any order of delivery within a stroke; `rebuild` gives the same rows from the first leaf.
"""

import threading
from dataclasses import dataclass
from typing import Any, Final

from sqlmodel import Session

from firmware_protocol import events, trace
from firmware_protocol.events import Event, Outcome
from server.approvals import service as approvals
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.devices import service as devices
from server.events import samples, sheets, store
from server.events.models import Alarm, AnnouncedPhoto, Stroke
from server.inspection import service as inspection
from server.inspection.schemas import FindingRead
from server.jobs import service as jobs
from server.ledger import service as ledger
from server.ledger.service import EntryRead, LeafKind
from server.tokens import service as tokens

PROJECT: Final = "events.project"
INSPECT_IMPRINT: Final = "events.inspect_imprint"
HELD_S: Final = 0.05
"""How long one transaction should have the write lock, for which others wait; leaves it takes follow from that."""
FIRST_BATCH: Final = 100
FEWEST: Final = 20
MOST: Final = 1000

_RANK: Final = {
    "seen": 0,
    "intent": 1,
    "returned": 2,
    "aborted": 2,
    "done": 3,
    "cancelled": 3,
    "unknown": 3,
    "spoiled": 3,
}
"""A stroke's state only moves forward. A use that came back is pressed again under the same number; 3 is final."""
_SETTLED: Final = {Outcome.RECOVERED: "done", Outcome.ABORTED: "aborted", Outcome.UNKNOWN: "unknown"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """An event and the leaf it stands in."""

    event: Event
    leaf: EntryRead
    whole: bool  # no gap before it


def project(run: Runtime, *, first: int, last: int) -> None:
    """Take in leaves `first`..`last`. Opens its own sessions, one per batch.

    After days without a network there are many: between two batches it leaves the write lock alone for as long as it
    had it, since the ledger, whose receipts everybody waits for, needs the same lock, and SQLite knows no turns.
    """
    pause = threading.Event()
    count = FIRST_BATCH
    while first <= last:
        with run.db.read() as db:
            batch = _admitted(db, first, min(last, first + count - 1))
        with run.db.write() as db:
            begun = run.clock.monotonic()
            _project(db, run, batch)
        held = run.clock.monotonic() - begun
        first += count
        if first <= last:
            pause.wait(held)
        count = MOST if held * MOST <= HELD_S * count else max(FEWEST, int(count * HELD_S / held))


def rebuild(run: Runtime) -> None:
    """Forget every read model and make it again from the ledger."""
    with run.db.write() as db:
        store.forget(db)
        tokens.forget_events(db)
        size, _root = ledger.head(db)
        for look in inspection.with_reason(db, "old_photo"):
            raise_old_photo(db, look)
    project(run, first=0, last=size - 1)


def _admitted(db: Session, first: int, last: int) -> list[Admitted]:
    prefixes: dict[tuple[str, int], int] = {}
    batch: list[Admitted] = []
    for leaf in ledger.leaves(db, first=first, last=last):
        if leaf.kind is not LeafKind.EVENT:
            continue
        event = events.peek(leaf.leaf)
        key = (event.header.device_id, event.header.generation)
        if key not in prefixes:
            heads = ledger.device_heads(db, Scope.system(leaf.tenant_id))
            prefixes |= {(head.device_id, head.generation): head.prefix_seq for head in heads}
        whole = event.header.seq <= prefixes.get(key, 0)
        batch.append(Admitted(event=event, leaf=leaf, whole=whole))
    return batch


def _project(db: Session, run: Runtime, batch: list[Admitted]) -> None:
    proofs: dict[str, _Proof] = {}
    newest = {_sensor(admitted.event): admitted for admitted in sorted(batch, key=_place)}
    for admitted in batch:
        sensor = _sensor(admitted.event)
        if sensor is None or newest[sensor] is admitted:  # of a sensor's values the last one counts
            _take(db, run, admitted)
        device_id = admitted.event.header.device_id
        proofs[device_id] = _later(proofs.get(device_id), admitted)
    for proof in proofs.values():
        _note_proof(db, proof)


def _place(admitted: Admitted) -> tuple[int, int]:
    return admitted.event.header.generation, admitted.event.header.seq


def _sensor(event: Event) -> tuple[str, int, str] | None:
    """Which sensor of which device, and generation, this event gives a value of."""
    body, header = event.body, event.header
    return (header.device_id, header.generation, body.sensor) if isinstance(body, events.Sensor) else None


@dataclass(frozen=True, slots=True)
class _Proof:
    """What the events of one device in one batch say together: written once, not once an event."""

    header: events.Header  # of the last
    time_ms: int | None  # the highest without a gap before it


def _later(proof: _Proof | None, admitted: Admitted) -> _Proof:
    header = admitted.event.header
    times = [proof.time_ms if proof else None, header.time_ms if admitted.whole else None]
    last = header if proof is None or header.seq >= proof.header.seq else proof.header
    return _Proof(last, max((time for time in times if time is not None), default=None))


def _note_proof(db: Session, proof: _Proof) -> None:
    header = proof.header
    devices.note_proof(
        db,
        device_id=header.device_id,
        seq=header.seq,
        counter=header.counter,
        firmware=header.firmware,
        time_ms=proof.time_ms,
    )


def _take(db: Session, run: Runtime, admitted: Admitted) -> None:
    body = admitted.event.body
    tokens.note_event(db, run, admitted.event, whole=admitted.whole)
    alarm = devices.note_event(db, run, admitted.event, at=admitted.leaf.admitted_at)
    if alarm is not None:
        _raise_alarm(db, run, admitted, alarm, {})
    match body:
        case events.Paired():
            devices.note_paired(db, run, admitted.event)
        case events.PageSeen() | events.Intent() | events.Done() | events.Cancelled() | events.Settled():
            _take_stroke(db, run, admitted)
        case events.Tamper(sensor=sensor):
            _raise_alarm(db, run, admitted, "tamper", {"sensor": sensor})
        case events.ExtraStroke(strokes=strokes, photo_digest=digest, token_id=token_id):
            _raise_alarm(db, run, admitted, "extra_stroke", {"strokes": strokes}, token_id=token_id)
            _announce(db, run, admitted, digest)
        case events.Label(token_id=token_id, copy=stroke) as sheet:
            _labelled(db, _stroke(db, run, admitted, token_id, stroke), sheet)
            _announce(db, run, admitted, sheet.preview_digest)
            _announce(db, run, admitted, sheet.photo_digest, token_id=token_id, stroke=stroke)
        case events.Spoiled() as sheet:
            _announce(db, run, admitted, sheet.preview_digest)
            _announce(db, run, admitted, sheet.photo_digest)
        case _:
            pass


def _labelled(db: Session, row: Stroke | None, sheet: events.Label) -> None:
    if row is not None:
        row.label_photo = sheet.photo_digest
        db.add(row)
        db.flush()


def _take_stroke(db: Session, run: Runtime, admitted: Admitted) -> None:
    body: Any = admitted.event.body
    row = _stroke(db, run, admitted, body.token_id, body.stroke)
    if isinstance(body, events.PageSeen | events.Done):
        for digest in (body.preview_digest, body.photo_digest):
            _announce(db, run, admitted, digest, token_id=body.token_id, stroke=body.stroke)
    if row is None:
        samples.take(db, run, admitted.event)
        return
    header, leaf_hash = admitted.event.header, admitted.leaf.leaf_hash
    match body:
        case events.PageSeen() if header.seq >= (row.seen_seq or 0):
            row.before_preview, row.before_photo = body.preview_digest, body.photo_digest
            row.seen_seq, row.seen_ms, row.seen_leaf = header.seq, header.time_ms, leaf_hash
            _forward(row, "seen")
        case events.Intent() if header.seq >= (row.intent_seq or 0):
            row.intent_seq, row.intent_ms, row.intent_leaf = header.seq, header.time_ms, leaf_hash
            _forward(row, "intent")
        case events.Done():
            row.after_preview, row.after_photo = body.preview_digest, body.photo_digest
            row.done_ms, row.done_leaf, row.counter = header.time_ms, leaf_hash, header.counter
            _code(row, body.trace_code)
            _forward(row, "done")
            _ask_for_look(db, run, row)
        case events.Cancelled(returned=returned):
            _forward(row, "returned" if returned else "cancelled")
        case events.Settled(outcome=outcome, trace_code=code):
            row.done_ms, row.done_leaf, row.counter = header.time_ms, leaf_hash, header.counter
            _code(row, code)
            _forward(row, _SETTLED[outcome])
            if outcome is Outcome.UNKNOWN:
                _raise_alarm(db, run, admitted, "press_not_confirmed", {"stroke": row.stroke}, token_id=row.token_id)
    row.state = _on_paper(db, row)
    db.add(row)
    db.flush()


def _stroke(db: Session, run: Runtime, admitted: Admitted, token_id: bytes, number: int) -> Stroke | None:
    """The stroke's row, made at the first event about it; None when no token of ours plans it."""
    known = store.stroke(db, token_id, number)
    if known is not None:
        return known
    tenant = Scope.system(admitted.leaf.tenant_id)
    token = tokens.token(db, tenant, token_id)
    if token is None or token.device_id != admitted.event.header.device_id or not 1 <= number <= len(token.plan):
        return None
    index = token.plan[number - 1]
    planned = approvals.plan(approvals.request(db, run, tenant, token.request_id))[index]
    return Stroke(
        id=run.new_id(),
        created_at=admitted.leaf.admitted_at,
        tenant_id=token.tenant_id,
        branch_path=token.branch_path,
        request_id=token.request_id,
        device_id=token.device_id,
        token_id=token_id,
        stroke=number,
        plan_index=index,
        copy_number=planned.copy,
        page=planned.page,
        page_check=token.page_check,
        state="seen",
    )


def _on_paper(db: Session, row: Stroke) -> str:
    """A sheet that was cancelled stays so, whatever report arrives later."""
    return "spoiled" if tokens.spoiled(db, row.token_id, row.stroke) else row.state


def _forward(row: Stroke, state: str) -> None:
    if _RANK[row.state] < 3 and _RANK[state] >= _RANK[row.state]:
        row.state = state


def _code(row: Stroke, trace_code: bytes | None) -> None:
    if trace_code is not None:
        row.trace_code, row.short_code = trace_code, trace.short_code(trace_code)


def _announce(
    db: Session,
    run: Runtime,
    admitted: Admitted,
    digest: bytes | None,
    *,
    token_id: bytes | None = None,
    stroke: int | None = None,
) -> None:
    """The photo may be uploaded from now on; one that is here already (a preview) counts as stored."""
    device_id = admitted.event.header.device_id
    if digest is None or store.announced_by(db, device_id, digest) is not None:
        return
    stored = run.blobs.exists(db, digest, scope=Scope.system(admitted.leaf.tenant_id))
    db.add(
        AnnouncedPhoto(
            id=run.new_id(),
            created_at=admitted.leaf.admitted_at,
            tenant_id=admitted.leaf.tenant_id,
            branch_path=admitted.leaf.branch_path,
            device_id=device_id,
            generation=admitted.event.header.generation,
            digest=digest,
            token_id=token_id,
            stroke=stroke,
            leaf_hash=admitted.leaf.leaf_hash,
            stored_at=admitted.leaf.admitted_at if stored else None,
        )
    )
    db.flush()
    if stored:
        note_stored(db, run, device_id=device_id, generation=admitted.event.header.generation, digest=digest)


def note_stored(db: Session, run: Runtime, *, device_id: str, generation: int, digest: bytes) -> None:
    """The blob store holds an announced photo completely: receipts may name it, and a stroke may be looked at."""
    ledger.photo_stored(db, device_id=device_id, generation=generation, digest=digest, now=run.now())
    photo = store.announced_by(db, device_id, digest)
    if photo is None:
        return
    photo.stored_at = photo.stored_at or run.now()
    db.add(photo)
    row = store.stroke(db, photo.token_id, photo.stroke) if photo.token_id and photo.stroke else None
    if row is not None:
        for one in sheets.beneath(db, row) if row.label_photo == digest else [row]:
            _ask_for_look(db, run, one)
    elif photo.token_id:
        samples.photo_stored(db, run, device_id, photo.token_id)


def _ask_for_look(db: Session, run: Runtime, row: Stroke) -> None:
    """Promise the after-photo check once both full photos are here."""
    photos = {digest for digest in (row.before_photo, row.after_photo) if digest is not None}
    if row.trace_code is not None and len(photos) == 2 and store.stored_among(db, row.tenant_id, photos) == photos:
        about = {"token": row.token_id.hex(), "stroke": row.stroke}
        jobs.enqueue(db, INSPECT_IMPRINT, about, now=run.now(), patient=True)


def raise_old_photo(db: Session, look: FindingRead) -> None:
    """Somebody sent a photo of an earlier moment: an alarm, once for a finding."""
    if store.alarm(db, look.leaf_hash) is not None:
        return
    db.add(
        Alarm(
            id=look.id,
            created_at=look.created_at,
            tenant_id=look.tenant_id,
            branch_path=look.branch_path,
            device_id=look.device_id,
            kind="old_photo",
            request_id=look.request_id,
            leaf_hash=look.leaf_hash,
            detail={"stroke": look.stroke, "photo": look.photo_digest.hex()},
        )
    )
    db.flush()


def _raise_alarm(
    db: Session,
    run: Runtime,
    admitted: Admitted,
    kind: str,
    detail: dict[str, Any],
    *,
    token_id: bytes | None = None,
) -> None:
    if store.alarm(db, admitted.leaf.leaf_hash) is not None:
        return
    token = tokens.token(db, Scope.system(admitted.leaf.tenant_id), token_id) if token_id else None
    db.add(
        Alarm(
            id=run.new_id(),
            created_at=admitted.leaf.admitted_at,
            tenant_id=admitted.leaf.tenant_id,
            branch_path=admitted.leaf.branch_path,
            device_id=admitted.event.header.device_id,
            kind=kind,
            request_id=token.request_id if token is not None else None,
            leaf_hash=admitted.leaf.leaf_hash,
            detail=detail,
        )
    )
    db.flush()
