"""What the office must not lose: signed events and the list of photos still owed, in SQLite (WAL, synchronous=FULL).

A row leaves only when the device itself accepted a ledger receipt that covers it (design: D5). PUBACK never deletes.
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gateway.errors import NoRoom

_NO_ROOM: Final = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE)
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS event (
    device TEXT NOT NULL, generation INTEGER NOT NULL, seq INTEGER NOT NULL, signed BLOB NOT NULL,
    sent INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (device, generation, seq)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS photo (
    digest BLOB PRIMARY KEY, device TEXT NOT NULL, urgent INTEGER NOT NULL,
    uploaded INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS job (
    device TEXT PRIMARY KEY, token_id BLOB NOT NULL, request_id TEXT NOT NULL, title TEXT NOT NULL,
    pages TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS birth (one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL);
INSERT OR IGNORE INTO birth VALUES (1, 0);
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptEvent:
    device_id: str
    generation: int
    seq: int
    signed: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenJob:
    """`pages`: the page of stroke 1, 2, ... of the token."""

    device_id: str
    token_id: bytes
    request_id: str
    title: str
    pages: tuple[int, ...]


class Outbox:
    """One file, one connection, a lock: small and slow enough for every thread of the gateway."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        (synchronous,) = self._db.execute("PRAGMA synchronous").fetchone()
        if synchronous != 2:
            raise sqlite3.OperationalError("synchronous=FULL was not accepted")
        self._db.executescript(_SCHEMA)

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
        with self._lock, _room(), self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany(
                "INSERT OR IGNORE INTO event (device, generation, seq, signed) VALUES (?, ?, ?, ?)",
                [(event.device_id, event.generation, event.seq, event.signed) for event in events],
            )
            self._db.executemany(
                "INSERT OR IGNORE INTO photo (digest, device, urgent) VALUES (?, ?, ?)",
                [(digest, device, position) for position, (device, digest) in enumerate(photos)],
            )

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

    def unsent(self, device_id: str, *, limit: int) -> list[KeptEvent]:
        with self._lock:
            rows = self._db.execute(
                "SELECT generation, seq, signed FROM event WHERE device = ? AND sent = 0"
                " ORDER BY generation, seq LIMIT ?",
                (device_id, limit),
            ).fetchall()
        return [KeptEvent(device_id=device_id, generation=g, seq=s, signed=e) for g, s, e in rows]

    def mark_sent(self, event: KeptEvent) -> None:
        """The broker has it: not safe yet, only not sent again at once."""
        self._run(
            "UPDATE event SET sent = 1 WHERE device = ? AND generation = ? AND seq = ?",
            event.device_id,
            event.generation,
            event.seq,
        )

    def send_again(self, device_id: str) -> None:
        """No receipt came: everything still here goes up once more."""
        self._run("UPDATE event SET sent = 0 WHERE device = ?", device_id)

    def settle(self, device_id: str, generation: int, up_to_seq: int) -> None:
        """A receipt that the device accepted covers these."""
        self._run(
            "DELETE FROM event WHERE device = ? AND generation = ? AND seq <= ?", device_id, generation, up_to_seq
        )

    def photos_owed(self, device_id: str) -> list[bytes]:
        """Not yet uploaded, in the order in which a person waits for them."""
        with self._lock:
            rows = self._db.execute(
                "SELECT digest FROM photo WHERE device = ? AND uploaded = 0 ORDER BY urgent", (device_id,)
            ).fetchall()
        return [row[0] for row in rows]

    def photo_uploaded(self, digest: bytes) -> None:
        self._run("UPDATE photo SET uploaded = 1 WHERE digest = ?", digest)

    def photo_settled(self, digest: bytes) -> None:
        """A receipt named it."""
        self._run("DELETE FROM photo WHERE digest = ?", digest)

    def open_job(self, job: OpenJob) -> None:
        """What the device's grant is for, so that a restarted gateway goes on with it."""
        self._run(
            "INSERT OR REPLACE INTO job VALUES (?, ?, ?, ?, ?)",
            job.device_id,
            job.token_id,
            job.request_id,
            job.title,
            ",".join(str(page) for page in job.pages),
        )

    def job(self, device_id: str) -> OpenJob | None:
        with self._lock:
            row = self._db.execute("SELECT * FROM job WHERE device = ?", (device_id,)).fetchone()
        if row is None:
            return None
        pages = tuple(int(page) for page in row[4].split(",") if page)
        return OpenJob(device_id=row[0], token_id=row[1], request_id=row[2], title=row[3], pages=pages)

    def close_job(self, device_id: str) -> None:
        self._run("DELETE FROM job WHERE device = ?", device_id)

    def counts(self) -> dict[str, int]:
        """Rows waiting, for the screen: {"events": n, "photos": n}."""
        events = self._one("SELECT count(*) FROM event")
        photos = self._one("SELECT count(*) FROM photo WHERE uploaded = 0")
        return {"events": events[0] or 0, "photos": photos[0] or 0}

    def _run(self, statement: str, *arguments: object) -> None:
        with self._lock, _room():
            self._db.execute(statement, arguments)

    def _one(self, statement: str, *arguments: object) -> tuple[int | None, ...]:
        with self._lock:
            row: tuple[int | None, ...] = self._db.execute(statement, arguments).fetchone()
        return row


@contextmanager
def _room() -> Iterator[None]:
    """Raises: NoRoom, when the disk is full."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode not in (
            sqlite3.SQLITE_FULL,
            sqlite3.SQLITE_IOERR_WRITE,
            sqlite3.SQLITE_IOERR_SHMSIZE,
        ):
            raise
        raise NoRoom from error
