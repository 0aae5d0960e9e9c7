"""Where a leaf stands in the log: by its hash, and by its number in a device's chain; over all partitions.

SQLite has one table of entries, whose unique indexes answer. On PostgreSQL `ledger_entry` is partitioned by index, and
a unique index of a partitioned table must hold the partition key; so `ledger_place` keeps hash and number of every
entry once for all partitions, written in the batch's transaction. A leaf or a number that is there already is refused
by it, in whichever partition the first one stands. An index, once known, leads to one partition alone: entries are
asked for by `idx = ANY(...)` with the numbers as values, which PostgreSQL prunes before it opens a partition.
"""

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection
from sqlalchemy.orm import aliased
from sqlmodel import Session, SQLModel, col, select

from server.ledger import driver
from server.ledger.models import LedgerEntry, LedgerPlace, LedgerReceipt

CHAIN: Final = ("device_id", "generation")
NUMBER: Final = (*CHAIN, "seq")
_HEAD: Final = "JOIN ledger_device_head AS h ON h.device_id = t.device_id AND h.generation = t.generation"
_LAST_OF_PREFIX: Final = "x.device_id = h.device_id AND x.generation = h.generation AND x.seq = h.prefix_seq"
_ON_SQLITE: Final = aliased(LedgerEntry, name="place")
_ADD: Final = (
    "INSERT INTO ledger_place (leaf_hash, idx, device_id, generation, seq) "
    "SELECT leaf_hash, idx, device_id, generation, seq FROM ledger_entry WHERE idx BETWEEN %s::bigint AND %s::bigint"
)
_LEAVES: Final = "SELECT idx, leaf FROM ledger_entry WHERE idx = ANY(%s::bigint[])"
_WRONG: Final = """\
SELECT coalesce(e.idx, p.idx) FROM ledger_entry AS e FULL JOIN ledger_place AS p ON p.idx = e.idx
WHERE e.idx IS NULL OR p.idx IS NULL OR p.leaf_hash <> e.leaf_hash
OR (p.device_id, p.generation, p.seq) IS DISTINCT FROM (e.device_id, e.generation, e.seq)
ORDER BY 1"""


def table(db: Session) -> type[SQLModel]:
    """For `driver`: the table with the columns `leaf_hash`, `idx` and NUMBER of every entry."""
    return LedgerPlace if _partitioned(db.connection()) else LedgerEntry


def columns(db: Session) -> Any:  # noqa: ANN401 - a mapped class or an alias of one
    """The same for queries; not the entry itself, so that it can stand in a subquery of one."""
    return LedgerPlace if _partitioned(db.connection()) else _ON_SQLITE


def with_hash(db: Session, leaf_hash: bytes) -> ColumnElement[bool]:
    """Condition on LedgerEntry: it is this leaf."""
    place = columns(db)
    return col(LedgerEntry.idx) == select(place.idx).where(place.leaf_hash == leaf_hash).scalar_subquery()


def with_number(db: Session, device_id: str, generation: int, seq: int) -> ColumnElement[bool]:
    """Condition on LedgerEntry: it holds this number of a device's chain."""
    place = columns(db)
    same = (place.device_id == device_id, place.generation == generation, place.seq == seq)
    return col(LedgerEntry.idx) == select(place.idx).where(*same).scalar_subquery()


def add(db: Session, first: int, last: int) -> None:
    """Entries `first`..`last` (both included) are in the table. Raises: IntegrityError for one that is there twice."""
    connection = db.connection()
    if _partitioned(connection):
        connection.exec_driver_sql(_ADD, (first, last))


def leaves(db: Session, wanted: Collection[tuple[str, int, int]]) -> list[tuple[str, int, int, bytes]]:
    """(device id, generation, number, leaf) of those numbers that are in the log, in no order."""
    if not _partitioned(db.connection()):
        found: Any = driver.look_up(db, LedgerEntry, (*NUMBER, "leaf"), by=NUMBER, wanted=wanted)
        return list(found)
    places = driver.look_up(db, LedgerPlace, (*NUMBER, "idx"), by=NUMBER, wanted=wanted)
    known = _leaves(db, [place[3] for place in places])
    return [(device_id, generation, seq, known[index]) for device_id, generation, seq, index in places]


def ends_of_prefixes(db: Session, wanted: Collection[tuple[str, int]]) -> list[tuple[str, int, str, int, bytes]]:
    """(device id, generation, gateway, number, leaf) of the last event below the lowest open gap of each device."""
    picked = (*CHAIN, "gateway_id")
    if not _partitioned(db.connection()):
        joined = f"{_HEAD} JOIN ledger_entry AS x ON {_LAST_OF_PREFIX}"
        more = ("x.seq", "x.leaf")
        found: Any = driver.look_up(db, LedgerReceipt, picked, by=CHAIN, wanted=wanted, joined=joined, more=more)
        return list(found)
    joined = f"{_HEAD} JOIN ledger_place AS x ON {_LAST_OF_PREFIX}"
    places = driver.look_up(db, LedgerReceipt, picked, by=CHAIN, wanted=wanted, joined=joined, more=("x.seq", "x.idx"))
    known = _leaves(db, [place[4] for place in places])
    return [(*place, seq, known[index]) for *place, seq, index in places]


def wrong(db: Session) -> list[int]:
    """Indexes at which places and entries do not agree, lowest first; for fsck."""
    connection = db.connection()
    return list(connection.exec_driver_sql(_WRONG).scalars()) if _partitioned(connection) else []


def _leaves(db: Session, indexes: list[int]) -> dict[int, bytes]:
    if not indexes:
        return {}
    rows: Any = db.connection().exec_driver_sql(_LEAVES, (indexes,)).fetchall()
    return dict(rows)


def _partitioned(connection: Connection) -> bool:
    return connection.dialect.name == "postgresql"
