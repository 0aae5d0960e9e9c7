"""What the office must not lose: signed events and the list of photos still owed, in SQLite (WAL, synchronous=FULL).

A row leaves only when the device itself accepted a ledger receipt that covers it (design: D5). PUBACK never deletes.
What was sent is not written down: a sync for each event would cost more than to send the last few again after a start.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.durable import open_durable
from gateway.errors import NoRoom

_NO_ROOM: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS event (
    device TEXT NOT NULL, generation INTEGER NOT NULL, seq INTEGER NOT NULL, signed BLOB NOT NULL,
    PRIMARY KEY (device, generation, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS photo (
    digest BLOB PRIMARY KEY, device TEXT NOT NULL, uploaded INTEGER NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS photo_owed ON photo (device) WHERE uploaded = 0;
CREATE TABLE IF NOT EXISTS birth (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL);
INSERT OR IGNORE INTO birth VALUES (1, 0);
"""


Place = tuple[int, int]
"""(generation, sequence number) in one device's history."""
BEGINNING: Final[Place] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEvent:
    device_id: str
    generation: int
    seq: int
    signed: bytes

    @property
    def place(self) -> Place:
        return self.generation, self.seq


class Outbox:
    """One file, one connection, a lock: small and slow enough for every thread of the gateway."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = open_durable(path, schema=_SCHEMA)
        self._events: int = self._db.execute("SELECT count(*) FROM event").fetchone()[0]
        self._photos: int = self._db.execute("SELECT count(*) FROM photo WHERE uploaded = 0").fetchone()[0]

    def close(self) -> None:
        with self._lock:
            self._db.close()

    def next_birth(self) -> int:
        """Counts this gateway's starts; in will and birth message, so that a late will is recognised."""
        with self._lock:
            (number,) = self._db.execute("UPDATE birth SET number = number + 1 RETURNING number").fetchone()
        return int(number)

    def keep(self, events: Sequence[KeptEvent], *, photos: Sequence[tuple[str, bytes]] = ()) -> None:
        """Durable when it returns; the same event twice is one event. `photos`: (device, digest), most urgent first.

        Raises: NoRoom.
        """
        with self._lock:
            with room(), self._db:
                self._db.execute("BEGIN IMMEDIATE")
                new = self._db.executemany(
                    "INSERT OR IGNORE INTO event (device, generation, seq, signed) VALUES (?, ?, ?, ?)",
                    [(event.device_id, event.generation, event.seq, event.signed) for event in events],
                ).rowcount
                owed = self._db.executemany(
                    "INSERT OR IGNORE INTO photo (device, digest) VALUES (?, ?)", list(photos)
                ).rowcount
            self._events += max(new, 0)  # -1: nothing to insert
            self._photos += max(owed, 0)

    def event(self, device_id: str, generation: int, seq: int) -> bytes | None:
        """The signed bytes, while no receipt has settled them."""
        with self._lock:
            row = self._db.execute(
                "SELECT signed FROM event WHERE device = ? AND generation = ? AND seq = ?", (device_id, generation, seq)
            ).fetchone()
        return row[0] if row else None

    def last_seq(self, device_id: str, generation: int) -> int:
        """The highest sequence number kept here, 0 when none."""
        row = self._one("SELECT max(seq) FROM event WHERE device = ? AND generation = ?", device_id, generation)
        return row[0] or 0

    def missing(self, device_id: str, generation: int, *, after: int, up_to: int) -> list[int]:
        """Sequence numbers in (after, up_to] that are not kept here, ascending."""
        query = "SELECT {} FROM event WHERE device = ? AND generation = ? AND seq > ? AND seq <= ?"
        asked = (device_id, generation, after, up_to)
        count, last = self._one(query.format("count(*), max(seq)"), *asked)
        if not count or last is None:
            return list(range(after + 1, up_to + 1))
        if count == last - after:  # the usual case: no hole in front of what is new
            return list(range(last + 1, up_to + 1))
        with self._lock:
            here = {seq for (seq,) in self._db.execute(query.format("seq"), asked)}
        return [seq for seq in range(after + 1, up_to + 1) if seq not in here]

    def after(self, device_id: str, place: Place, *, limit: int) -> list[KeptEvent]:
        """The next events behind `place`, in order."""
        with self._lock:
            rows = self._db.execute(
                "SELECT generation, seq, signed FROM event WHERE device = ? AND (generation, seq) > (?, ?)"
                " ORDER BY generation, seq LIMIT ?",
                (device_id, *place, limit),
            ).fetchall()
        return [KeptEvent(device_id=device_id, generation=g, seq=s, signed=e) for g, s, e in rows]

    def settle(self, device_id: str, generation: int, up_to_seq: int, *, photos: Sequence[bytes] = ()) -> None:
        """A receipt that the device accepted covers these events and names these photos."""
        named = [(digest,) for digest in photos]
        with self._lock:
            with room(), self._db:
                self._db.execute("BEGIN IMMEDIATE")
                settled = self._db.execute(
                    "DELETE FROM event WHERE device = ? AND generation = ? AND seq <= ?",
                    (device_id, generation, up_to_seq),
                ).rowcount
                owed = self._db.executemany("DELETE FROM photo WHERE digest = ? AND uploaded = 0", named).rowcount
                self._db.executemany("DELETE FROM photo WHERE digest = ?", named)
            self._events -= settled
            self._photos -= max(owed, 0)

    def photos_owed(self, device_id: str, *, limit: int = 100) -> list[bytes]:
        """Not yet uploaded, oldest first; of one `keep` in the order in which a person waits for them."""
        with self._lock:
            rows = self._db.execute(
                "SELECT digest FROM photo WHERE device = ? AND uploaded = 0 ORDER BY rowid LIMIT ?",
                (device_id, limit),
            ).fetchall()
        return [row[0] for row in rows]

    def owe(self, device_id: str, digests: Sequence[bytes]) -> None:
        """Headquarters misses these photos. Raises: NoRoom."""
        self.keep([], photos=[(device_id, digest) for digest in digests])

    def photo_gone(self, digest: bytes) -> None:
        """Nobody here can upload this one. Raises: NoRoom."""
        with self._lock, room():
            owed = self._db.execute("DELETE FROM photo WHERE digest = ? AND uploaded = 0", (digest,))
            self._photos -= owed.rowcount

    def photo_uploaded(self, digest: bytes) -> None:
        with self._lock, room():
            changed = self._db.execute("UPDATE photo SET uploaded = 1 WHERE digest = ? AND uploaded = 0", (digest,))
            self._photos -= changed.rowcount

    def counts(self) -> dict[str, int]:
        """Rows waiting, for the screen: {"events": n, "photos": n}. Counted along: the screen asks often."""
        with self._lock:
            return {"events": self._events, "photos": self._photos}

    def _run(self, statement: str, *arguments: object) -> None:
        with self._lock, room():
            self._db.execute(statement, arguments)

    def _one(self, statement: str, *arguments: object) -> tuple[int | None, ...]:
        with self._lock:
            row: tuple[int | None, ...] = self._db.execute(statement, arguments).fetchone()
        return row


@contextmanager
def room() -> Iterator[None]:
    """Raises: NoRoom, when the disk is full."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode not in _NO_ROOM:
            raise
        raise NoRoom from error
