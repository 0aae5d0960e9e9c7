"""A folder as the device's disk: every promise of ports.Disk and ports.Photos, with fsync."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO, Final

from device_sim.core.errors import StorageFailed
from device_sim.process.faults import Fault, Faults

_SUFFIX: Final = ".jpg"


def write_durably(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """The new content or the old, also after a power cut. Raises: OSError."""
    write_synced(path, data, mode=mode)
    sync_folder(path.parent)


def write_synced(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """As `write_durably`, up to the folder, which the caller syncs. Raises: OSError."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def sync_folder(folder: Path) -> None:
    """A new name is durable only with its folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class FolderDisk:
    """ports.Disk."""

    def __init__(self, folder: Path, faults: Faults) -> None:
        self._folder = folder
        self._faults = faults
        folder.mkdir(parents=True, exist_ok=True)

    def read(self, name: str) -> bytes:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return b""
        except OSError as error:
            raise StorageFailed(f"{name} can't be read") from error

    def append(self, name: str, data: bytes) -> None:
        self._refuse_when_full()
        path = self._folder / name
        try:
            new = not path.exists()
            with path.open("ab") as file:
                if self._faults.has(Fault.TORN_WRITE):
                    self._tear(file, data)
                file.write(data)
            if new:
                sync_folder(self._folder)
        except OSError as error:
            raise StorageFailed(f"{name} takes no more writes") from error

    def sync(self, name: str) -> None:
        try:
            with (self._folder / name).open("ab") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise StorageFailed(f"{name} can't be made durable") from error

    def replace(self, name: str, data: bytes) -> None:
        self._refuse_when_full()
        try:
            write_durably(self._folder / name, data)
        except OSError as error:
            raise StorageFailed(f"{name} can't be replaced") from error

    def free_bytes(self) -> int:
        if self._faults.has(Fault.DISK_FULL):
            return 0
        found = os.statvfs(self._folder)
        return found.f_bavail * found.f_frsize

    def _tear(self, file: BinaryIO, data: bytes) -> None:
        file.write(data[: len(data) // 2])
        file.flush()
        os.fsync(file.fileno())
        self._faults.cut_power()

    def _refuse_when_full(self) -> None:
        if self._faults.has(Fault.DISK_FULL):
            raise StorageFailed("no space left")


class PhotoFolder:
    """ports.Photos, and what the bulk link reads."""

    def __init__(self, folder: Path, faults: Faults) -> None:
        self._folder = folder
        self._faults = faults
        self._held = (b"", b"")
        folder.mkdir(parents=True, exist_ok=True)

    def hold(self, digest: bytes, picture: bytes) -> None:
        """In RAM only, until the next one."""
        self._held = digest, picture

    def keep(self, pictures: Iterable[tuple[bytes, bytes]]) -> None:
        """(digest, picture) pairs, durable when this returns. Raises: StorageFailed."""
        if self._faults.has(Fault.DISK_FULL):
            raise StorageFailed("no space left for photos")
        try:
            for digest, picture in pictures:
                write_synced(self._path(digest), picture)
            sync_folder(self._folder)
        except OSError as error:
            raise StorageFailed("a photo could not be kept") from error

    def read(self, digest: bytes) -> bytes | None:
        held, picture = self._held
        if digest == held:
            return picture
        try:
            return self._path(digest).read_bytes()
        except OSError:
            return None

    def forget(self, digest: bytes) -> None:
        self._path(digest).unlink(missing_ok=True)

    def keep_only(self, digests: Iterable[bytes]) -> None:
        wanted = {self._path(digest).name for digest in digests}
        for file in self._folder.iterdir():
            if file.name not in wanted:
                file.unlink()

    def _path(self, digest: bytes) -> Path:
        return self._folder / (digest.hex() + _SUFFIX)
