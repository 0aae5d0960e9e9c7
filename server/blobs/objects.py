"""Objects by name over `obstore`: a local folder (fsynced) or S3. Names are ours; nothing a client sends is in them."""

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore, ObjectStore, from_url

from server.core.keyfile import sync_folder


class ObjectExists(Exception):
    """An object of this name is there already; nothing was written."""


class ObjectMissing(Exception):
    """No object of this name."""


class Objects:
    """Create-only object storage: an object is never overwritten. Thread-safe."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._folder: Final = Path(unquote(parts.path)) if parts.scheme == "file" else None
        if self._folder is not None:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._store: ObjectStore = LocalStore(prefix=self._folder)
        else:
            self._store = from_url(url)

    def create(self, name: str, data: bytes) -> None:
        """Write once; durable when this returns.

        Raises: ObjectExists.
        """
        try:
            obstore.put(self._store, name, data, mode="create", use_multipart=False)
        except AlreadyExistsError as error:
            raise ObjectExists(name) from error
        if self._folder is not None:
            self._sync(self._folder / name)

    def read(self, name: str) -> bytes:
        """Raises: ObjectMissing."""
        try:
            return bytes(obstore.get(self._store, name).bytes())
        except FileNotFoundError as error:
            raise ObjectMissing(name) from error

    def delete(self, names: list[str]) -> None:
        """Remove objects; one that is gone already counts as removed."""
        for name in names:
            try:
                obstore.delete(self._store, name)
            except FileNotFoundError:
                continue

    def list(self, prefix: str) -> Iterator[tuple[str, int, datetime]]:
        """Name, size and time of last change of every object below the folder `prefix`."""
        for batch in obstore.list(self._store, prefix):
            for item in batch:
                yield item["path"], item["size"], item["last_modified"]

    def _sync(self, path: Path) -> None:
        with path.open("rb") as written:
            os.fsync(written.fileno())
        folder = path.parent
        while True:
            sync_folder(folder)
            if folder == self._folder:
                return
            folder = folder.parent
