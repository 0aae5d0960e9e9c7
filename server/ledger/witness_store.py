"""Tables about the log's checkpoints after they were signed: cosignatures, time stamps, what was published.

None of it is part of the tree; losing it loses nothing but the others' words, which can be asked for again.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime

from sqlalchemy import func, update
from sqlmodel import Session, col, select

from server.ledger import cosignature, log_store
from server.ledger.checkpoint import Checkpoint
from server.ledger.cosignature import Cosignature, Witness
from server.ledger.models import LedgerAnchor, LedgerCheckpoint, LedgerCosignature, LedgerWitness
from server.ledger.schemas import AnchorRead, CheckpointRead, Trouble, WitnessRead


def witness(db: Session, name: str) -> LedgerWitness:
    """Its row, or a new one that is not stored yet."""
    return db.get(LedgerWitness, name) or LedgerWitness(name=name)


def state_of(db: Session, asked: Witness) -> WitnessRead:
    row = witness(db, asked.name)
    return WitnessRead(
        name=asked.name,
        vkey=asked.key.text(),
        url=asked.url,
        own=asked.own,
        size=row.size,
        seen_at=row.seen_at,
        asked_at=row.asked_at,
        trouble=Trouble(row.trouble) if row.trouble else None,
        detail=row.detail,
    )


def cosigned(db: Session, head: Checkpoint, found: Iterable[Cosignature], *, now: datetime) -> None:
    """These witnesses cosigned `head` just now."""
    for one in found:
        log_store.upsert(
            db, LedgerCosignature, [{"size": head.size, "name": one.name, "time": one.time, "line": one.line}]
        )
        row = witness(db, one.name)
        row.size, row.seen_at, row.asked_at, row.trouble, row.detail = head.size, now, now, "", ""
        db.add(row)


def in_trouble(db: Session, name: str, trouble: Trouble, detail: str, *, now: datetime) -> None:
    row = witness(db, name)
    row.asked_at, row.trouble, row.detail = now, trouble.value, detail[:200]
    db.add(row)


def knows(db: Session, name: str, size: int) -> None:
    """The witness says that it cosigned `size` last."""
    row = witness(db, name)
    row.size = size
    db.add(row)


def checkpoint_at(db: Session, size: int) -> Checkpoint | None:
    """With the lines of its witnesses."""
    row = db.get(LedgerCheckpoint, size)
    return None if row is None else _with_lines(db, row)


def own_note(db: Session, size: int) -> str | None:
    """The note as the log signed it, without lines of witnesses."""
    row = db.get(LedgerCheckpoint, size)
    return None if row is None else row.note


def largest_cosigned(db: Session, names: Collection[str], *, at_least: int, anchored: bool = False) -> int | None:
    """Size of the largest checkpoint that `at_least` witnesses of `names` cosigned, and that was stamped if wanted."""
    if not names:
        return None
    query = (
        select(LedgerCosignature.size)
        .where(col(LedgerCosignature.name).in_(names))
        .group_by(col(LedgerCosignature.size))
        .having(func.count() >= at_least)
        .order_by(col(LedgerCosignature.size).desc())
        .limit(1)
    )
    if anchored:
        query = query.where(col(LedgerCosignature.size).in_(select(LedgerAnchor.size)))
    return db.exec(query).first()


def largest_anchored(db: Session) -> int | None:
    return db.exec(select(func.max(LedgerAnchor.size))).one()


def first_after(db: Session, size: int) -> datetime | None:
    """When the first checkpoint above `size` was signed."""
    query = select(LedgerCheckpoint.created_at).where(col(LedgerCheckpoint.size) > size)
    return db.exec(query.order_by(col(LedgerCheckpoint.size)).limit(1)).first()


def published(db: Session) -> Checkpoint | None:
    """The largest checkpoint that was published, with the lines of its witnesses."""
    was = col(LedgerCheckpoint.published_at).is_not(None)
    row = db.exec(select(LedgerCheckpoint).where(was).order_by(col(LedgerCheckpoint.size).desc()).limit(1)).first()
    return None if row is None else _with_lines(db, row)


def publish(db: Session, size: int, *, now: datetime) -> None:
    fresh = update(LedgerCheckpoint).where(
        col(LedgerCheckpoint.size) == size, col(LedgerCheckpoint.published_at).is_(None)
    )
    db.execute(fresh.values(published_at=now))


def last_anchor(db: Session, authority: str) -> tuple[int, datetime] | None:
    """(size, when it was kept) of the authority's latest stamp."""
    query = select(LedgerAnchor.size, LedgerAnchor.created_at).where(LedgerAnchor.authority == authority)
    return db.exec(query.order_by(col(LedgerAnchor.size).desc()).limit(1)).first()


def keep_anchor(db: Session, anchor: AnchorRead, *, now: datetime) -> None:
    row = LedgerAnchor(
        size=anchor.size,
        authority=anchor.authority,
        own=anchor.own,
        stamped_at=anchor.stamped_at,
        answer=anchor.answer,
        created_at=now,
    )
    db.merge(row)


def anchors(db: Session, size: int) -> list[AnchorRead]:
    query = select(LedgerAnchor).where(LedgerAnchor.size == size).order_by(LedgerAnchor.authority)
    return [_as_anchor(row) for row in db.exec(query)]


def recent(db: Session, limit: int) -> list[CheckpointRead]:
    """The newest checkpoints that were published, newest first."""
    query = select(LedgerCheckpoint).where(col(LedgerCheckpoint.published_at).is_not(None))
    return [_as_read(db, row) for row in db.exec(query.order_by(col(LedgerCheckpoint.size).desc()).limit(limit))]


def _as_read(db: Session, row: LedgerCheckpoint) -> CheckpointRead:
    found = _cosignatures(db, row.size)
    return CheckpointRead(
        size=row.size,
        root=row.root,
        note=cosignature.with_lines(row.note, (one.line for one in found)),
        made_at=row.created_at,
        published_at=row.published_at,
        cosigned_by=tuple((one.name, datetime.fromtimestamp(one.time, UTC)) for one in found),
        anchors=tuple(anchors(db, row.size)),
    )


def _with_lines(db: Session, row: LedgerCheckpoint) -> Checkpoint:
    lines = (one.line for one in _cosignatures(db, row.size))
    origin = row.note.partition("\n")[0]
    return Checkpoint(origin=origin, size=row.size, root=row.root, note=cosignature.with_lines(row.note, lines))


def _cosignatures(db: Session, size: int) -> Sequence[LedgerCosignature]:
    query = select(LedgerCosignature).where(LedgerCosignature.size == size)
    return db.exec(query.order_by(LedgerCosignature.name)).all()


def _as_anchor(row: LedgerAnchor) -> AnchorRead:
    return AnchorRead(size=row.size, authority=row.authority, own=row.own, stamped_at=row.stamped_at, answer=row.answer)
