"""Photos from a device by digest over its bulk link, resumable, kept content-addressed."""

import asyncio
import errno
import hashlib
import os
from pathlib import Path
from typing import Final

from firmware_protocol import bulk
from firmware_protocol.bulk import BulkRequest, BulkStatus
from firmware_protocol.errors import ProtocolError
from gateway.errors import DeviceUnreachable, NoRoom, PhotoBroken, PhotoGone

TIMEOUT_S: Final = 10.0
LOOK_TIMEOUT_S: Final = 1.0
"""A picture that nobody needs holds the link no longer."""


class PhotoStore:
    """HOME/photos: SHA256.jpg once whole, SHA256.part while it comes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder

    def path(self, digest: bytes) -> Path:
        return self._folder / f"{digest.hex()}.jpg"

    def part(self, digest: bytes) -> Path:
        return self._folder / f"{digest.hex()}.part"

    def keep(self, digest: bytes) -> None:
        """Turn the finished part into the photo, durably. Raises: PhotoBroken."""
        part = self.part(digest)
        if hashlib.sha256(part.read_bytes()).digest() != digest:
            part.unlink()
            raise PhotoBroken(digest)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.rename(self.path(digest))
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def drop(self, digest: bytes) -> None:
        self.path(digest).unlink(missing_ok=True)
        self.part(digest).unlink(missing_ok=True)


class BulkLink:
    """One device's bulk link: one connection, chunk by chunk, so that an urgent preview overtakes a full photo."""

    def __init__(self, address: str, *, store: PhotoStore) -> None:
        self._host, _, port = address.rpartition(":")
        self._port = int(port)
        self._store = store
        self._turn = asyncio.Lock()
        self._urgent = 0
        self._calm = asyncio.Event()
        self._calm.set()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def fetch(self, digest: bytes, *, urgent: bool = False) -> bytes:
        """The photo. Raises: DeviceUnreachable, PhotoBroken, PhotoGone."""
        try:
            if not self._store.path(digest).exists():
                await self._bring(digest, urgent=urgent)
            return self._store.path(digest).read_bytes()
        except FileNotFoundError as error:  # a receipt that names it came in between: the next try finds out
            raise PhotoBroken(digest) from error

    async def _bring(self, digest: bytes, *, urgent: bool) -> None:
        if urgent:
            self._urgent += 1
            self._calm.clear()
        try:
            await self._complete(digest, urgent=urgent)
        finally:
            self._urgent -= urgent
            if not self._urgent:
                self._calm.set()
        await asyncio.to_thread(self._store.keep, digest)

    async def look(self, digest: bytes) -> bytes | None:
        """A small picture that is kept nowhere; None while a photo is urgent.

        Raises: DeviceUnreachable, PhotoBroken, PhotoGone.
        """
        if self._urgent:
            return None
        request = BulkRequest(digest=digest, offset=0, length=bulk.MAX_LOOK)
        total, picture = await self._chunk(request, timeout_s=LOOK_TIMEOUT_S)
        if total != len(picture) or hashlib.sha256(picture).digest() != digest:
            raise PhotoBroken(digest)
        return picture

    async def close(self) -> None:
        async with self._turn:
            self._hang_up()

    async def _complete(self, digest: bytes, *, urgent: bool) -> None:
        part = self._store.part(digest)
        offset = part.stat().st_size if part.exists() else 0
        total = offset + 1
        while offset < total:
            if not urgent:
                await self._calm.wait()
            total, chunk = await self._chunk(BulkRequest(digest=digest, offset=offset, length=bulk.MAX_CHUNK))
            _append(part, chunk)
            offset += len(chunk)

    async def _chunk(self, request: BulkRequest, *, timeout_s: float = TIMEOUT_S) -> tuple[int, bytes]:
        """(length of the whole photo, bytes at the offset asked for)."""
        async with self._turn:
            try:
                async with asyncio.timeout(timeout_s):
                    return await self._exchange(request)
            except (OSError, TimeoutError, asyncio.IncompleteReadError, ProtocolError) as error:
                self._hang_up()
                raise DeviceUnreachable(f"{self._host}:{self._port}") from error

    async def _exchange(self, request: BulkRequest) -> tuple[int, bytes]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._streams
        writer.write(bulk.encode_header(request))
        await writer.drain()
        reply = bulk.decode_reply(await reader.readexactly(bulk.header_length(await reader.readexactly(2))))
        data = await reader.readexactly(reply.length)
        if reply.status is BulkStatus.OK and (data or request.offset == reply.total):
            return reply.total, data
        if reply.status is BulkStatus.UNKNOWN_DIGEST:
            raise PhotoGone(request.digest)
        raise ConnectionError(f"bulk link answered {reply.status.name}")

    def _hang_up(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


def _append(part: Path, chunk: bytes) -> None:
    """Raises: NoRoom."""
    try:
        with part.open("ab") as file:
            file.write(chunk)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise NoRoom from error
