"""What a witness remembers: the logs it follows, the latest checkpoint of each, and what speaks against a log.

One SQLite file, WAL and synchronous=FULL: a cosignature leaves only when the checkpoint under it is on disk.
"""

import hashlib
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from server.ledger.checkpoint import VerifierKey

MOST_EVIDENCE: Final = 1000
"""Kept refusals a log; only a holder of the log's key can cause one, and the first ones say all."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS log (origin TEXT PRIMARY KEY, vkey TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS latest (
    origin TEXT PRIMARY KEY REFERENCES log, size INTEGER NOT NULL, root BLOB NOT NULL, note TEXT NOT NULL,
    time INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS evidence (
    digest BLOB PRIMARY KEY, origin TEXT NOT NULL, time INTEGER NOT NULL, what TEXT NOT NULL, fork INTEGER NOT NULL,
    known TEXT NOT NULL, request TEXT NOT NULL
) STRICT;
"""


class StateUnusable(Exception):
    """The witness's memory cannot be trusted to last, or is another's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Latest:
    """The largest checkpoint of one log that was cosigned here; `note` carries the log's line and ours."""

    size: int
    root: bytes
    note: str
    time: int  # Unix seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A request that the log's key signed and that does not follow from `known`."""

    origin: str
    time: int  # Unix seconds
    what: str
    fork: bool  # two signed roots for one size: nobody but the log can have made it
    known: str  # the note cosigned here before; empty: none
    request: str  # as it came


class State:
    """Thread-safe, and safe between processes: `writing` excludes every other writer of the file."""

    def __init__(self, path: Path) -> None:
        """Raises: StateUnusable."""
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        mode = self._connection.execute("PRAGMA journal_mode").fetchone()[0]
        synchronous = self._connection.execute("PRAGMA synchronous").fetchone()[0]
        if (mode, synchronous) != ("wal", 2):
            self._connection.close()
            raise StateUnusable(f"SQLite gave journal_mode {mode}, synchronous {synchronous}; WAL and FULL are needed")
        self._connection.executescript(_SCHEMA)

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def writing(self) -> Iterator[Self]:
        """One transaction: all of it on disk when the block ends well, nothing of it when it raises."""
        with self._lock:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def follow(self, key: VerifierKey) -> None:
        """From now on cosign this log. Raises: StateUnusable, when its name is followed under another key."""
        with self.writing():
            known = self.key_of(key.name)
            if known is not None and known != key:
                raise StateUnusable(f"{key.name} is followed under another key; a log does not change its key")
            self._connection.execute("INSERT OR IGNORE INTO log VALUES (?, ?)", (key.name, key.text()))

    def key_of(self, origin: str) -> VerifierKey | None:
        row = self._row("SELECT vkey FROM log WHERE origin = ?", origin)
        return None if row is None else VerifierKey.parse(row[0])

    def logs(self) -> list[VerifierKey]:
        with self._lock:
            rows = self._connection.execute("SELECT vkey FROM log ORDER BY origin").fetchall()
        return [VerifierKey.parse(row[0]) for row in rows]

    def latest(self, origin: str) -> Latest | None:
        row = self._row("SELECT size, root, note, time FROM latest WHERE origin = ?", origin)
        return None if row is None else Latest(size=row[0], root=row[1], note=row[2], time=row[3])

    def named(self, origin_hash: str) -> Latest | None:
        """By the lowercase hex SHA-256 of the origin, as the monitoring address has it."""
        for key in self.logs():
            if hashlib.sha256(key.name.encode()).hexdigest() == origin_hash:
                return self.latest(key.name)
        return None

    def remember(self, origin: str, latest: Latest) -> None:
        """Inside `writing`."""
        row = (origin, latest.size, latest.root, latest.note, latest.time)
        self._connection.execute("INSERT OR REPLACE INTO latest VALUES (?, ?, ?, ?, ?)", row)

    def keep(self, found: Evidence) -> None:
        """Inside `writing`; the same request again adds nothing."""
        count = self._row("SELECT count(*) FROM evidence WHERE origin = ?", found.origin)
        if count[0] >= MOST_EVIDENCE:
            return
        digest = hashlib.sha256(found.request.encode()).digest()
        row = (digest, found.origin, found.time, found.what, found.fork, found.known, found.request)
        self._connection.execute("INSERT OR IGNORE INTO evidence VALUES (?, ?, ?, ?, ?, ?, ?)", row)

    def evidence(self) -> list[Evidence]:
        """Oldest first."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT origin, time, what, fork, known, request FROM evidence ORDER BY time, digest"
            ).fetchall()
        return [
            Evidence(origin=row[0], time=row[1], what=row[2], fork=bool(row[3]), known=row[4], request=row[5])
            for row in rows
        ]

    def _row(self, query: str, value: str) -> Any:  # noqa: ANN401 - a row, or None; STRICT tables keep its types
        with self._lock:
            return self._connection.execute(query, (value,)).fetchone()
