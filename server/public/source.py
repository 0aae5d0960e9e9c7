"""The snapshot file as the public role reads it: anew when it was replaced, and only under this home's own root."""

import os
import threading
from pathlib import Path
from typing import Final

from server.public.snapshot import Reader, SnapshotBroken, read

FOLDER: Final = "public"
NAME: Final = "snapshot.cose"


def path_in(home: Path) -> Path:
    return home / FOLDER / NAME


class Source:
    """Thread-safe. A replacement that does not verify is not taken; the last good one stays."""

    def __init__(self, path: Path, *, root: bytes) -> None:
        self._path = path
        self._root = root
        self._lock = threading.Lock()
        self._seen: tuple[int, int, int] | None = None
        self._reader: Reader | None = None

    def current(self) -> Reader | None:
        """None while there has been no snapshot that holds."""
        try:
            facts = self._path.stat()
        except OSError:
            return self._reader
        mark = (facts.st_mtime_ns, facts.st_size, facts.st_ino)
        with self._lock:
            if mark != self._seen:
                self._seen = mark
                self._take()
            return self._reader

    def _take(self) -> None:
        try:
            fresh = read(self._path.read_bytes(), root=self._root)
        except (OSError, SnapshotBroken):
            return
        old = self._reader
        if old is None or fresh.snapshot.made_ms >= old.snapshot.made_ms:
            self._reader = fresh


def write(path: Path, signed: bytes) -> None:
    """Replace the snapshot: whole or not at all, durable before this returns."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    fresh = path.with_suffix(".new")
    with fresh.open("wb") as target:
        target.write(signed)
        target.flush()
        os.fsync(target.fileno())
    fresh.replace(path)
