"""What people and business steps read and write in the ledger's tables: always within a tenant, mostly within a Scope.

The log as a whole (batches, tiles, heads) is in `log_store`.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, union
from sqlmodel import Session, col, select

from firmware_protocol.events import EventType
from server.core.scope import WHOLE_TENANT, Scope
from server.ledger import driver, places
from server.ledger.admission import KeyStatus, Reason
from server.ledger.entry_types import EntryType
from server.ledger.models import (
    LedgerDeviceHead,
    LedgerDeviceKey,
    LedgerEntry,
    LedgerGap,
    LedgerOpening,
    LedgerPhoto,
    LedgerQuarantine,
    LedgerQueue,
    LedgerReceipt,
    LedgerRef,
)
from server.ledger.schemas import INSTALLATION, DeviceHead, EntryRead, LeafKind, OpenGap, SetAsideRead

MOST_ROWS = 500


OF_ALL = (EntryType.INSTALLATION, EntryType.KEY_ROTATED, EntryType.BACKUP_RESTORED)
"""What the installation says of itself: keys and dates, nobody's data. Every company in it may read these."""


def readable(scope: Scope, entry: Any) -> ColumnElement[bool]:  # noqa: ANN401 - the table or an alias of it
    """What people of this scope may read: their own entries, and those about the installation as a whole."""
    return or_(
        scope.owns(entry),
        and_(entry.tenant_id == INSTALLATION, entry.kind == LeafKind.ENTRY, entry.entry_type.in_(OF_ALL)),
    )


def add_to_queue(db: Session, row: LedgerQueue) -> None:
    """Unless the same leaf is queued or in the tree already."""
    queued = db.exec(select(LedgerQueue.id).where(LedgerQueue.leaf_hash == row.leaf_hash)).first()
    if queued is None and not is_entry(db, row.leaf_hash):
        db.add(row)
        db.flush()


def is_entry(db: Session, leaf_hash: bytes) -> bool:
    return index_of(db, leaf_hash) is not None


def queue_length(db: Session) -> int:
    return db.exec(select(func.count()).select_from(LedgerQueue)).one()


def entry(db: Session, scope: Scope, leaf_hash: bytes) -> EntryRead | None:
    row = db.exec(select(LedgerEntry).where(places.with_hash(db, leaf_hash), readable(scope, LedgerEntry))).first()
    return None if row is None else as_read(row)


def index_of(db: Session, leaf_hash: bytes) -> int | None:
    found: int | None = driver.fetch(db, places.table(db), "idx", leaf_hash=leaf_hash)
    return found


def find(
    db: Session,
    scope: Scope,
    *,
    ref: str | None,
    device_id: str | None,
    kind: LeafKind | None,
    entry_type: EntryType | EventType | None,
    before: int | None,
    limit: int,
) -> list[EntryRead]:
    """Newest first."""
    conditions: list[ColumnElement[bool]] = [scope.owns(LedgerEntry)]
    if ref is not None:
        conditions.append(_about(db, ref))
    if device_id is not None:
        conditions.append(_about(db, f"device:{device_id}"))
    if kind is not None:
        conditions.append(col(LedgerEntry.kind) == kind)
    if entry_type is not None:
        owner = LeafKind.EVENT if isinstance(entry_type, EventType) else LeafKind.ENTRY
        conditions.append(and_(col(LedgerEntry.kind) == owner, col(LedgerEntry.entry_type) == int(entry_type)))
    if before is not None:
        conditions.append(col(LedgerEntry.idx) < before)
    query = select(LedgerEntry).where(*conditions).order_by(col(LedgerEntry.idx).desc())
    return [as_read(row) for row in db.exec(query.limit(min(limit, MOST_ROWS)))]


def _about(db: Session, ref: str) -> ColumnElement[bool]:
    index = col(LedgerEntry.idx)
    listed = select(LedgerRef.idx).where(LedgerRef.ref == ref)
    kind, _, value = ref.partition(":")
    if kind != "device":
        return index.in_(listed)
    place = places.columns(db)
    return index.in_(union(listed, select(place.idx).where(place.device_id == value)))


def leaves(db: Session, *, first: int, last: int) -> list[EntryRead]:
    """Entries `first`..`last` (both included) of all tenants, in order: for projections and proofs of the whole log."""
    query = select(LedgerEntry).where(col(LedgerEntry.idx).between(first, last)).order_by(col(LedgerEntry.idx))
    return [as_read(row) for row in db.exec(query)]


def as_read(row: LedgerEntry) -> EntryRead:
    kind = LeafKind(row.kind)
    entry_type: EntryType | EventType | None = None
    if row.entry_type is not None:
        entry_type = EventType(row.entry_type) if kind is LeafKind.EVENT else EntryType(row.entry_type)
    return EntryRead(
        index=row.idx,
        leaf_hash=row.leaf_hash,
        kind=kind,
        leaf=row.leaf,
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        admitted_at=row.admitted_at,
        entry_type=entry_type,
        device_id=row.device_id,
        generation=row.generation,
        seq=row.seq,
    )


def openings(db: Session, scope: Scope, leaf_hash: bytes) -> Sequence[LedgerOpening]:
    query = select(LedgerOpening).where(LedgerOpening.leaf_hash == leaf_hash, scope.owns(LedgerOpening))
    return db.exec(query.order_by(LedgerOpening.label)).all()


def device_key(db: Session, device_id: str, generation: int) -> LedgerDeviceKey | None:
    return db.get(LedgerDeviceKey, (device_id, generation))


def set_aside_of(db: Session, device_id: str, generation: int, reason: Reason) -> Sequence[LedgerQuarantine]:
    """Oldest number first, so that trying again opens no gaps."""
    query = select(LedgerQuarantine).where(
        LedgerQuarantine.device_id == device_id,
        LedgerQuarantine.generation == generation,
        LedgerQuarantine.reason == reason,
        LedgerQuarantine.size == func.length(LedgerQuarantine.payload),
    )
    return db.exec(query.order_by(col(LedgerQuarantine.seq))).all()


def put_photo(db: Session, row: LedgerPhoto) -> None:
    db.merge(row)


def device_heads(db: Session, scope: Scope) -> list[DeviceHead]:
    key, head, receipt = LedgerDeviceKey, LedgerDeviceHead, LedgerReceipt
    query = (
        select(key, head, receipt)
        .outerjoin(head, _same_chain(head, key))
        .outerjoin(receipt, _same_chain(receipt, key))
        .where(scope.owns(key))
        .order_by(key.device_id, col(key.generation))
    )
    return [_as_head(*row) for row in db.exec(query)]


def _as_head(key: LedgerDeviceKey, head: LedgerDeviceHead | None, receipt: LedgerReceipt | None) -> DeviceHead:
    return DeviceHead(
        device_id=key.device_id,
        generation=key.generation,
        status=KeyStatus(key.status),
        last_seq=head.last_seq if head else 0,
        prefix_seq=head.prefix_seq if head else 0,
        acked_seq=receipt.acked_seq if receipt else 0,
        quarantined_at=head.quarantined_at if head else None,
    )


def _same_chain(one: Any, other: Any) -> ColumnElement[bool]:  # noqa: ANN401 - any two tables with the key columns
    return and_(one.device_id == other.device_id, one.generation == other.generation)


def open_gaps(db: Session, scope: Scope) -> list[OpenGap]:
    query = (
        select(LedgerGap)
        .join(LedgerDeviceKey, _same_chain(LedgerGap, LedgerDeviceKey))
        .where(col(LedgerGap.closed_at).is_(None), scope.owns(LedgerDeviceKey))
        .order_by(col(LedgerGap.opened_at), LedgerGap.device_id, col(LedgerGap.first_seq))
    )
    return [
        OpenGap(
            device_id=row.device_id,
            generation=row.generation,
            first_seq=row.first_seq,
            last_seq=row.last_seq,
            opened_at=row.opened_at,
        )
        for row in db.exec(query.limit(MOST_ROWS))
    ]


def set_aside(db: Session, scope: Scope) -> list[SetAsideRead]:
    """Newest first."""
    query = select(LedgerQuarantine).where(visible_set_aside(scope)).order_by(col(LedgerQuarantine.last_at).desc())
    return [as_set_aside(row) for row in db.exec(query.limit(MOST_ROWS))]


def visible_set_aside(scope: Scope) -> ColumnElement[bool]:
    """What names no known device is shown to those who see the whole tenant."""
    visible = scope.owns(LedgerQuarantine)
    if scope.branch_path == WHOLE_TENANT:
        visible = or_(visible, col(LedgerQuarantine.tenant_id).is_(None))
    return visible


def as_set_aside(row: LedgerQuarantine) -> SetAsideRead:
    return SetAsideRead(
        digest=row.digest,
        reason=Reason(row.reason),
        detail=row.detail,
        source=row.source,
        device_id=row.device_id,
        generation=row.generation,
        seq=row.seq,
        size=row.size,
        first_at=row.first_at,
        last_at=row.last_at,
        times=row.times,
    )


def owner_of(db: Session, device_id: str, generation: int) -> tuple[UUID, str] | None:
    key = device_key(db, device_id, generation)
    return None if key is None else (key.tenant_id, key.branch_path)
