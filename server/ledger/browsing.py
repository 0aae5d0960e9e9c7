"""The ledger as people look through it: pages of entries under filters, its growth, and the cases it made. Reads only.

A page costs the same in a log of a million entries: candidates come newest first out of one index (a reference, a
device, a person, a type, else the tenant and the installation itself), a bounded number of them; scope and every other
filter then pick among these rows in SQL. The next page begins at an index, never at an offset. Times become indexes by
bisection, because the log's order is the order of admission.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, TypeAlias
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, func, literal_column, or_, union
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from firmware_protocol import cbor
from firmware_protocol.events import EventType
from server.core.scope import Scope
from server.ledger import places, store
from server.ledger.entry_types import EntryType
from server.ledger.models import LedgerDeviceKey, LedgerEntry, LedgerGap, LedgerOpening, LedgerQuarantine, LedgerRef
from server.ledger.schemas import INSTALLATION, EntryRead, LeafKind, SetAsideRead

SPANS: Final = (64, 2_048, 32_768)
"""Candidates looked at for one page, in steps: a filter that fits few of them is tried on more, up to the last."""

_TYPED: Final = {LeafKind.EVENT, LeafKind.ENTRY}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Filters of a page; all that are given must fit. `refs`: `kind:value`. Days are UTC and included."""

    refs: tuple[str, ...] = ()
    device_id: str | None = None
    person_id: UUID | None = None
    may_open: bool = False  # `person_id` also finds those who stand in a commitment: only for readers of openings
    kind: LeafKind | None = None
    entry_type: EntryType | EventType | None = None  # with its `kind`
    since: date | None = None
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryPage:
    """Newest first. `older`: where the next page begins (`before`); None: nothing older fits."""

    entries: tuple[EntryRead, ...]
    older: int | None
    looked_to: int | None = None  # the page is short because the look stopped at this index, not because the log ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """How many entries one UTC day added, and how large the tree was at its end."""

    day: date
    added: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class GapRead:
    """Numbers of a device that did not arrive, or (closed) that arrived late or were given up by two people."""

    gap_id: int
    device_id: str
    generation: int
    first_seq: int
    last_seq: int  # included
    opened_at: datetime
    closed_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAsideKept:
    """A set-aside item with what is kept of it."""

    item: SetAsideRead
    payload: bytes  # at most batch.MAX_KEPT bytes of it
    tenant_known: bool


Between: TypeAlias = Callable[[Any], ColumnElement[bool]]


def page(db: Session, scope: Scope, wanted: Wanted, *, before: int | None = None, limit: int = 40) -> EntryPage:
    """One page of the entries that fit and that the scope may see."""
    size = _size(db)
    low = _index_at(db, wanted.since, size) if wanted.since else 0
    high = _index_at(db, wanted.until + timedelta(days=1), size) if wanted.until and wanted.until < date.max else size
    high = high if before is None else min(high, max(0, before))
    rows: list[EntryRead] = []
    for span in SPANS:
        candidates = _candidates(places.columns(db), scope, wanted, _between(low, high), span)
        rows = _fitting(db, scope, wanted, candidates, limit + 1)
        if len(rows) > limit:
            return EntryPage(entries=tuple(rows[:limit]), older=rows[limit - 1].index)
        seen = candidates.subquery()
        count, lowest = db.exec(select(func.count(), func.min(seen.c.idx)).select_from(seen)).one()
        if count < span:
            return EntryPage(entries=tuple(rows), older=None)
    return EntryPage(entries=tuple(rows), older=lowest, looked_to=lowest)


def _between(low: int, high: int) -> Between:
    return lambda column: and_(column >= low, column < high)


def _candidates(place: Any, scope: Scope, wanted: Wanted, between: Between, span: int) -> Select[tuple[int]]:  # noqa: ANN401 - see places.columns
    """Indexes from the narrowest index that the filters allow, newest first, at most `span`."""
    entry_index, ref_index = col(LedgerEntry.idx), col(LedgerRef.idx)

    def newest(query: Any, index: Any) -> Any:  # noqa: ANN401 - selects of one integer column
        return query.where(between(index)).order_by(index.desc()).limit(span)

    def either(*queries: Any) -> Any:  # noqa: ANN401
        whole = union(*(select(query.subquery().c.idx) for query in queries)).subquery()
        return select(whole.c.idx).order_by(whole.c.idx.desc()).limit(span)

    def about(ref: str) -> Any:  # noqa: ANN401
        return newest(select(LedgerRef.idx).where(LedgerRef.ref == ref), ref_index)

    if wanted.refs:
        return about(wanted.refs[0])  # type: ignore[no-any-return]
    if wanted.person_id is not None:
        stands = select(place.idx).where(place.leaf_hash.in_(_named(scope, wanted.person_id)))
        known = about(f"person:{wanted.person_id}")
        return either(known, newest(stands, place.idx)) if wanted.may_open else known  # type: ignore[no-any-return]
    if wanted.device_id is not None:
        events = select(place.idx).where(place.device_id == wanted.device_id)
        return either(newest(events, place.idx), about(f"device:{wanted.device_id}"))  # type: ignore[no-any-return]
    if wanted.entry_type is not None or wanted.kind in {LeafKind.TOKEN, LeafKind.PERMIT}:
        return newest(select(LedgerEntry.idx).where(*_of_type(LedgerEntry, wanted)), entry_index)  # type: ignore[no-any-return]
    of_all = (
        select(LedgerEntry.idx).where(
            LedgerEntry.tenant_id == INSTALLATION,
            LedgerEntry.kind == LeafKind.ENTRY,
            LedgerEntry.entry_type == int(kind),
        )
        for kind in store.OF_ALL
    )
    own = select(LedgerEntry.idx).where(LedgerEntry.tenant_id == scope.tenant_id)
    return either(newest(own, entry_index), *(newest(one, entry_index) for one in of_all))  # type: ignore[no-any-return]


def _fitting(db: Session, scope: Scope, wanted: Wanted, candidates: Select[tuple[int]], limit: int) -> list[EntryRead]:
    """Those candidates that every filter and the scope let through, newest first.

    The candidates are fetched by number first and the conditions asked of the result: on SQLite a planner without
    statistics would rather walk the tenant's whole index.
    """
    numbers = candidates.subquery()
    fetched = (
        select(LedgerEntry)
        .where(col(LedgerEntry.idx).in_(select(numbers.c.idx)))
        .order_by(col(LedgerEntry.idx).desc())
        .limit(SPANS[-1])
        .subquery()
    )
    entry: Any = aliased(LedgerEntry, fetched)
    conditions: list[ColumnElement[bool]] = [store.readable(scope, entry)]
    conditions += [_has_ref(entry, ref) for ref in wanted.refs[1:]]
    if wanted.device_id is not None:
        conditions.append(or_(entry.device_id == wanted.device_id, _has_ref(entry, f"device:{wanted.device_id}")))
    if wanted.person_id is not None:
        named = _has_ref(entry, f"person:{wanted.person_id}")
        stands = entry.leaf_hash.in_(_named(scope, wanted.person_id))
        conditions.append(or_(named, stands) if wanted.may_open else named)
    conditions += _of_type(entry, wanted)
    query = select(entry).where(*conditions).order_by(entry.idx.desc()).limit(limit)
    return [store.as_read(row) for row in db.exec(query)]


def _of_type(entry: Any, wanted: Wanted) -> list[ColumnElement[bool]]:  # noqa: ANN401 - the table or an alias of it
    if wanted.kind is None:
        return []
    if wanted.kind in _TYPED:
        same = [] if wanted.entry_type is None else [entry.entry_type == int(wanted.entry_type)]
    else:
        same = [entry.entry_type.is_(None)]
    return [entry.kind == wanted.kind, *same]


def _has_ref(entry: Any, ref: str) -> ColumnElement[bool]:  # noqa: ANN401
    return select(LedgerRef.idx).where(LedgerRef.ref == ref, col(LedgerRef.idx) == entry.idx).exists()


def _named(scope: Scope, person_id: UUID) -> Any:  # noqa: ANN401 - a select of leaf hashes
    """Entries of which one commitment, not erased, holds this person's id. The length is that of the partial index."""
    return select(LedgerOpening.leaf_hash).where(
        LedgerOpening.value == cbor.encode(str(person_id)),
        literal_column("length(value) = 38"),
        scope.owns(LedgerOpening),
    )


def _size(db: Session) -> int:
    newest = db.exec(select(func.max(LedgerEntry.idx))).one()
    return 0 if newest is None else int(newest) + 1


def _index_at(db: Session, day: date, high: int, low: int = 0) -> int:
    """The first index in `low`..`high` that was admitted on `day` (UTC) or later; `high` when there is none."""
    begin = datetime.combine(day, time(), UTC)
    while low < high:
        middle = (low + high) // 2
        if db.exec(select(LedgerEntry.admitted_at).where(LedgerEntry.idx == middle)).one() < begin:
            low = middle + 1
        else:
            high = middle
    return low


def growth(db: Session, *, days: int, now: datetime) -> list[Day]:
    """The whole log's growth over the last `days` UTC days, today included, oldest first."""
    size = _size(db)
    today = now.astimezone(UTC).date()
    starts = [today - timedelta(days=days - 1 - number) for number in range(days)]
    found: list[Day] = []
    at = _index_at(db, starts[0], size)
    for day in starts:
        end = size if day == today else _index_at(db, day + timedelta(days=1), size, at)
        found.append(Day(day=day, added=end - at, size=end))
        at = end
    return found


def at_place(db: Session, scope: Scope, *, device_id: str, generation: int, seq: int) -> EntryRead | None:
    """The entry that holds this number of a device's chain."""
    place = places.with_number(db, device_id, generation, seq)
    row = db.exec(select(LedgerEntry).where(place, scope.owns(LedgerEntry))).first()
    return None if row is None else store.as_read(row)


def signing_key(db: Session, scope: Scope, *, device_id: str, generation: int) -> bytes | None:
    """The registered public key of one device generation, 32 bytes."""
    place = and_(col(LedgerDeviceKey.device_id) == device_id, col(LedgerDeviceKey.generation) == generation)
    return db.exec(select(LedgerDeviceKey.public_key).where(place, scope.owns(LedgerDeviceKey))).first()


def gaps(
    db: Session, scope: Scope, *, closed: bool = False, before: int | None = None, limit: int = 40
) -> list[GapRead]:
    """Open gaps (or the closed ones), newest first; `before`: a gap's id."""
    conditions: list[ColumnElement[bool]] = [
        col(LedgerGap.closed_at).is_not(None) if closed else col(LedgerGap.closed_at).is_(None)
    ]
    if before is not None:
        conditions.append(col(LedgerGap.id) < before)
    query = _visible_gaps(scope).where(*conditions).order_by(col(LedgerGap.id).desc()).limit(limit)
    return [_as_gap(row) for row in db.exec(query)]


def gap(db: Session, scope: Scope, *, device_id: str, generation: int, seq: int) -> GapRead | None:
    """The gap, open or closed, that report `seq` belongs or belonged to: rows are split as late reports arrive."""
    conditions = (
        col(LedgerGap.device_id) == device_id,
        col(LedgerGap.generation) == generation,
        col(LedgerGap.first_seq) <= seq,
        col(LedgerGap.last_seq) >= seq,
    )
    row = db.exec(_visible_gaps(scope).where(*conditions).order_by(col(LedgerGap.id).desc())).first()
    return None if row is None else _as_gap(row)


def set_aside(
    db: Session, scope: Scope, *, before: tuple[datetime, bytes] | None = None, limit: int = 40
) -> list[SetAsideRead]:
    """What was not admitted, newest first; `before`: (last_at, digest) of the last one seen."""
    last_at, digest = col(LedgerQuarantine.last_at), col(LedgerQuarantine.digest)
    query = select(LedgerQuarantine).where(store.visible_set_aside(scope))
    if before is not None:
        query = query.where(or_(last_at < before[0], and_(last_at == before[0], digest < before[1])))
    query = query.order_by(last_at.desc(), digest.desc()).limit(limit)
    return [store.as_set_aside(row) for row in db.exec(query)]


def set_aside_item(db: Session, scope: Scope, digest: bytes) -> SetAsideKept | None:
    query = select(LedgerQuarantine).where(LedgerQuarantine.digest == digest, store.visible_set_aside(scope))
    row = db.exec(query).first()
    if row is None:
        return None
    return SetAsideKept(item=store.as_set_aside(row), payload=row.payload, tenant_known=row.tenant_id is not None)


def _visible_gaps(scope: Scope) -> Any:  # noqa: ANN401 - a select of gaps
    same_chain = and_(
        col(LedgerGap.device_id) == LedgerDeviceKey.device_id, col(LedgerGap.generation) == LedgerDeviceKey.generation
    )
    return select(LedgerGap).join(LedgerDeviceKey, same_chain).where(scope.owns(LedgerDeviceKey))


def _as_gap(row: LedgerGap) -> GapRead:
    return GapRead(
        gap_id=row.id or 0,
        device_id=row.device_id,
        generation=row.generation,
        first_seq=row.first_seq,
        last_seq=row.last_seq,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
    )
