"""How this gateway opens its SQLite files: what a call wrote is on the disk when it returns."""

import sqlite3
from pathlib import Path


def open_durable(path: Path, *, schema: str) -> sqlite3.Connection:
    """WAL, synchronous=FULL, for any thread behind a lock. Raises: sqlite3.OperationalError."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    (synchronous,) = db.execute("PRAGMA synchronous").fetchone()
    if synchronous != 2:
        raise sqlite3.OperationalError("synchronous=FULL was not accepted")
    db.executescript(schema)
    return db
