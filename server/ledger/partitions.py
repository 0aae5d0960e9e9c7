"""The partitions of `ledger_entry` on PostgreSQL; SQLite has none, and nothing here does anything there.

The sequencer makes the next partition when less than half of one is left, in a transaction of its own before a batch;
so a batch never waits for it at the border. A new table is made and then attached, which only keeps out other changes
of the table's shape: readers and backups go on. (CREATE TABLE ... PARTITION OF would wait for every one of them.)
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import structlog
from sqlalchemy import Connection
from sqlalchemy.exc import OperationalError
from sqlmodel import Session

ENTRIES: Final = 1 << 20
"""Of one partition: some 0.7 GB with its indexes, so the one that is written stays in memory."""
LOCK_TIMEOUT_MS: Final = 2_000
"""Longest wait for someone who changes the table's shape (VACUUM, CREATE INDEX); then the next batch tries again."""
_FOR_EVER: Final = 1 << 63
_TABLE: Final = "ledger_entry"
_BOUNDS: Final = (
    "SELECT pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid "
    "WHERE i.inhparent = 'ledger_entry'::regclass"
)
_END: Final = re.compile(r"TO \('?(\d+)'?\)")

log = structlog.get_logger("ledger")


class Room:
    """How far the partitions reach, as the one sequencer knows it; each new one holds `entries`."""

    def __init__(self, entries: int = ENTRIES) -> None:
        self._entries = entries
        self._end = 0  # the first index that no partition can hold
        self._ask_from = 0  # the size of the log from which on the next one is asked for

    def is_short(self, size: int, most: int) -> bool:
        """Whether to `extend` before `most` entries are added to a log of `size`."""
        return size >= self._ask_from or size + most > self._end

    def extend(self, db: Session, size: int, most: int) -> None:
        """Make what is missing for `most` entries more and half a partition after `size`; the log's row is locked.

        Raises: OperationalError, when someone changes the table's shape for longer than LOCK_TIMEOUT_MS.
        """
        connection = db.connection()
        if connection.dialect.name != "postgresql":
            self._end = self._ask_from = _FOR_EVER
            return
        self._end = _end(connection)
        wanted = size + max(most, self._entries // 2 + 1)
        if self._end < wanted:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")
        while self._end < wanted:
            _make(connection, self._end, self._end + self._entries)
            self._end += self._entries
        self._ask_from = self._end - self._entries // 2

    @contextmanager
    def patience(self, size: int, most: int) -> Iterator[None]:
        """Around `extend` and its commit: what is not needed yet may fail, and is tried again a little later."""
        known = self._end
        try:
            yield
        except BaseException as error:
            self._end = known  # the rest was rolled back
            if not isinstance(error, OperationalError) or size + most > known:
                raise
            self._ask_from = size + self._entries // 64 + 1
            log.warning("partition_not_made", reason=type(error.orig).__name__, entries_left=known - size)


def _end(connection: Connection) -> int:
    bounds = connection.exec_driver_sql(_BOUNDS).scalars()
    return max((int(found.group(1)) for bound in bounds if (found := _END.search(bound))), default=0)


def _make(connection: Connection, first: int, behind: int) -> None:
    """Holds the indexes `first`..`behind` - 1."""
    name = f"{_TABLE}_{first}"
    connection.exec_driver_sql(f"CREATE TABLE {name} (LIKE {_TABLE} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)")
    connection.exec_driver_sql(f"ALTER TABLE {_TABLE} ATTACH PARTITION {name} FOR VALUES FROM ({first}) TO ({behind})")
