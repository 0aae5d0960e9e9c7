"""The trust bundle on disk: home/trust.cose, and beside it the root-signed anchor.cose. Only bytes; no meaning.

What the bytes say is `server.verification.trust`; this is where the roles that issue and serve them meet.
"""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from server.core.keyfile import sync_folder


class TrustFile:
    """One installation's bundle. Safe between processes."""

    def __init__(self, home: Path) -> None:
        self._folder = home

    @property
    def path(self) -> Path:
        return self._folder / "trust.cose"

    def anchor(self) -> bytes:
        """Raises: FileNotFoundError before `cinnabar init`."""
        return (self._folder / "anchor.cose").read_bytes()

    def bundle(self) -> bytes:
        """The current bundle. Raises: FileNotFoundError before `cinnabar init`."""
        return self.path.read_bytes()

    def create(self, anchor: bytes, bundle: bytes) -> None:
        """Put the first (or, after a root ceremony, the next) anchor and bundle in place."""
        self._replace("anchor.cose", anchor)
        self._replace("trust.cose", bundle)

    def update(self, change: Callable[[bytes, bytes], bytes]) -> bytes:
        """Replace the bundle by `change(anchor, current bundle)`; one process at a time, whole or not at all."""
        with (self._folder / "trust.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            bundle = change(self.anchor(), self.bundle())
            self._replace("trust.cose", bundle)
        return bundle

    def _replace(self, name: str, data: bytes) -> None:
        fresh = self._folder / f".{name}.new"
        with fresh.open("wb") as target:
            target.write(data)
            target.flush()
            os.fsync(target.fileno())
        fresh.rename(self._folder / name)
        sync_folder(self._folder)
