"""From the ledger to the signed snapshot: each new leaf is looked at once, then the whole snapshot is written anew.

What may stand in it is decided here: no person, title, amount, counterparty or photo ever enters a row.
"""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlmodel import Session

from firmware_protocol import events as device_events
from firmware_protocol import trace
from firmware_protocol.events import Done, EventType, Label, Settled
from firmware_protocol.purposes import Purpose
from server.approvals import service as approvals
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.core.trustfile import TrustFile
from server.eseals import service as eseals
from server.events import service as events
from server.events.schemas import StrokeRead
from server.ledger import entry_codec
from server.ledger import service as ledger
from server.ledger.entry_codec import Entry
from server.ledger.schemas import EntryRead, LeafKind
from server.ledger.service import EntryType
from server.public import source, store
from server.public.models import PublicCodeRow, PublicSealRow
from server.public.places import Place, choose
from server.public.snapshot import Form, PublicCode, PublicSeal, SealState, Snapshot, Status, public_id, sign
from server.seals import service as seals
from server.tokens import service as tokens
from server.verification.code import code_hash

BATCH: Final = 200
WORDS_S: Final = 20.0
WORDS_DPI: Final = 72
MAX_PAGES: Final = 30
"""Pages that places are chosen from; a person leafs no further."""


class NotProjected(Exception):
    """A stroke is in the ledger and not yet in `events`; the job is tried again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fresh:
    """A code to add, and the document that its places are chosen from."""

    row: PublicCodeRow
    document: bytes  # SHA-256


def refresh(run: Runtime) -> bytes:
    """Look at what is new in the log, then write the snapshot; returns its signed bytes. Raises: NotProjected."""
    while _advance(run):
        pass
    with run.db.read() as db:
        signed = sign(_snapshot(db, run), key=run.keys.signer(Purpose.BUNDLE))
    source.write(source.path_in(run.settings.home), signed)
    return signed


def _advance(run: Runtime) -> bool:
    """One batch of leaves; False at the end of the log."""
    with run.db.read() as db:
        begin = store.cursor(db).next_index
        found = ledger.leaves(db, first=begin, last=begin + BATCH - 1)
        fresh = [one for leaf in found if (one := _code_of(db, run, leaf)) is not None]
        labels = [sheet for leaf in found if (sheet := _label_of(db, leaf)) is not None]
    for one in fresh:
        one.row.places = _places(run, one)
    with run.db.write() as db:
        for one in fresh:
            db.merge(one.row)
        db.flush()
        for label in labels:
            _stick(db, label)
        for leaf in found:
            if leaf.kind is LeafKind.ENTRY:
                _apply(db, leaf, entry_codec.peek(leaf.leaf))
        cursor = store.cursor(db)
        cursor.next_index = begin + len(found)
        db.merge(cursor)
    return bool(found)


def _code_of(db: Session, run: Runtime, leaf: EntryRead) -> _Fresh | None:
    """The code that this leaf brings into the world, if any."""
    if leaf.kind is LeafKind.EVENT and leaf.entry_type in (EventType.DONE, EventType.SETTLED):
        body = device_events.peek(leaf.leaf).body
        return _of_stroke(db, run, leaf, body) if isinstance(body, Done | Settled) else None
    if leaf.kind is LeafKind.ENTRY and leaf.entry_type is EntryType.ESEAL_ISSUED:
        return _of_eseal(db, run, leaf)
    return None


def _of_stroke(db: Session, run: Runtime, leaf: EntryRead, body: Done | Settled) -> _Fresh | None:
    signed = body.trace_code
    token = tokens.token(db, Scope.system(leaf.tenant_id), body.token_id)
    if signed is None or token is None or token.device_id != leaf.device_id or body.stroke > len(token.plan):
        return None  # no stroke that we planned
    stroke = events.stroke_of_code(db, signed)
    if stroke is None:
        raise NotProjected
    request = approvals.request(db, run, Scope.system(leaf.tenant_id), stroke.request_id)
    sure = stroke.state == "done" and stroke.page_check == "before"  # else a person's word makes it known
    label = events.label_of(db, stroke.token_id, stroke.stroke)
    beneath = events.beneath_label(db, label.token_id, label.stroke) if label is not None else None
    row = PublicCodeRow(
        code_hash=code_hash(signed),
        short_code=trace.short_code(signed),
        tenant_id=leaf.tenant_id,
        seal_id=request.seal_id,
        form=Form.PAPER,
        time_ms=stroke.done_ms or entry_codec.milliseconds(leaf.admitted_at),
        pages=request.pages,
        copy_number=stroke.copy_number,
        copies=request.copies,
        page=stroke.page,
        imprints=max(1, len(beneath or ())),
        label_code=label.short_code or "" if label is not None else "",
        status=Status.KNOWN if sure else Status.NOT_CONFIRMED,
        places=[],
    )
    return _Fresh(row=row, document=request.document_digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    """A label, and the codes of the imprints that it stands for."""

    short_code: str
    codes: tuple[bytes, ...]


def _label_of(db: Session, leaf: EntryRead) -> _Sheet | None:
    """What the device's photo of a labelled sheet says about codes that are known. Raises: NotProjected."""
    if leaf.kind is not LeafKind.EVENT or leaf.entry_type is not EventType.LABEL:
        return None
    body = device_events.peek(leaf.leaf).body
    token = tokens.token(db, Scope.system(leaf.tenant_id), body.token_id) if isinstance(body, Label) else None
    if not isinstance(body, Label) or token is None or token.device_id != leaf.device_id:
        return None
    if body.copy > len(token.plan):
        return None
    beneath = events.beneath_label(db, body.token_id, body.copy)
    if beneath is None:
        raise NotProjected
    label = events.stroke(db, body.token_id, body.copy)
    return None if label is None or label.short_code is None else _sheet(label, beneath)


def _sheet(label: StrokeRead, beneath: list[StrokeRead]) -> _Sheet:
    codes = tuple(code_hash(stroke.trace_code) for stroke in beneath if stroke.trace_code is not None)
    return _Sheet(short_code=label.short_code or "", codes=codes)


def _stick(db: Session, sheet: _Sheet) -> None:
    for hashed in sheet.codes:
        row = store.code(db, hashed)
        if row is not None:
            row.imprints, row.label_code = len(sheet.codes), sheet.short_code
            db.add(row)


def _of_eseal(db: Session, run: Runtime, leaf: EntryRead) -> _Fresh | None:
    signed = entry_codec.peek(leaf.leaf).public.get("trace_code")
    found = eseals.of_code(db, signed) if isinstance(signed, bytes) else None
    if found is None or not isinstance(signed, bytes):
        return None
    request = approvals.request(db, run, Scope.system(leaf.tenant_id), found.request_id)
    row = PublicCodeRow(
        code_hash=code_hash(signed),
        short_code=trace.short_code(signed),
        tenant_id=leaf.tenant_id,
        seal_id=found.seal_id,
        form=Form.ELECTRONIC,
        time_ms=entry_codec.milliseconds(found.sealed_at),
        pages=request.pages,
        copy_number=0,
        copies=0,
        page=0,
        status=Status.KNOWN,
        sealed_digest=found.sealed_digest,
        places=[],
    )
    return _Fresh(row=row, document=found.document_digest)


def _apply(db: Session, leaf: EntryRead, entry: Entry) -> None:
    """Withdrawals, and the life of seals."""
    refs = entry.refs
    match entry.entry_type:
        case EntryType.CODE_WITHDRAWN:
            row = store.code_named(db, str(refs.get("code", "")))
            if row is not None:
                row.status, row.withdrawn_ms = Status.WITHDRAWN, entry.time_ms
                db.add(row)
        case EntryType.VERDICT if entry.public.get("verdict") == "confirmed":
            row = store.code_named(db, str(refs.get("code", "")))
            if row is not None and row.status == Status.NOT_CONFIRMED:
                row.status = Status.KNOWN
                db.add(row)
        case EntryType.SEAL_REGISTERED:
            seal_id = UUID(str(refs["seal"]))
            since = {"state_since_ms": entry.time_ms, "codes_since_ms": entry.time_ms}
            db.merge(PublicSealRow(seal_id=seal_id, tenant_id=leaf.tenant_id, **since))
        case EntryType.SEAL_STATE:
            seal = store.seal(db, UUID(str(refs["seal"])))
            if seal is not None:
                seal.state_since_ms = entry.time_ms
                db.add(seal)


def _places(run: Runtime, fresh: _Fresh) -> list[Any]:
    """Outside any write session: reading words runs in a sandboxed worker."""
    with run.db.read() as db:
        pdf = run.blobs.get(db, fresh.document, scope=Scope.system(fresh.row.tenant_id))
    pages = [
        [
            tuple(word)
            for word in run.workers.call("server.eseals.pages:page_word_rows", pdf, at, WORDS_DPI, timeout_s=WORDS_S)
        ]
        for at in range(min(fresh.row.pages, MAX_PAGES))
    ]
    chosen = choose(pages, seed=fresh.row.code_hash, salt=run.rng.token_bytes)
    return [[p.page, p.line, p.position, p.letters, p.salt.hex(), p.digest.hex()] for p in chosen]


def _snapshot(db: Session, run: Runtime) -> Snapshot:
    rows = store.codes(db)
    return Snapshot(
        made_ms=entry_codec.milliseconds(run.now()),
        trust=TrustFile(run.settings.home).bundle(),
        checkpoint=ledger.checkpoint(db).note,
        seals=tuple(_public_seal(db, row) for row in store.seals(db)),
        codes=tuple(_public_code(row) for row in rows),
        sealed=tuple(row.sealed_digest for row in rows if row.sealed_digest is not None and row.status == Status.KNOWN),
    )


def _public_seal(db: Session, row: PublicSealRow) -> PublicSeal:
    seal = seals.seal(db, Scope.system(row.tenant_id), row.seal_id)
    return PublicSeal(
        public_id=public_id(row.seal_id.bytes),
        organisation=seal.legal_name,
        name=seal.name,
        state=SealState[seal.state.name],
        state_since_ms=row.state_since_ms,
        codes_since_ms=row.codes_since_ms,
    )


def _public_code(row: PublicCodeRow) -> PublicCode:
    return PublicCode(
        code_hash=row.code_hash,
        short_code=row.short_code,
        seal_id=public_id(row.seal_id.bytes),
        form=Form(row.form),
        time_ms=row.time_ms,
        pages=row.pages,
        copy=row.copy_number,
        copies=row.copies,
        page=row.page,
        status=Status(row.status),
        withdrawn_ms=row.withdrawn_ms,
        places=tuple(
            Place(
                page=page,
                line=line,
                position=position,
                letters=letters,
                salt=bytes.fromhex(salt),
                digest=bytes.fromhex(digest),
            )
            for page, line, position, letters, salt, digest in row.places
        ),
        imprints=row.imprints,
        label_code=row.label_code,
    )
