"""Photos over the bulk link: resumable, urgent ones first, never believed without their digest."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from firmware_protocol import bulk
from firmware_protocol.bulk import BulkReply, BulkRequest, BulkStatus
from gateway.bulk import BulkLink, PhotoStore
from gateway.errors import DeviceUnreachable, PhotoBroken, PhotoGone
from gateway.uplink.head_office import HeadOffice
from tests.gateway.test_carry import SETTINGS

PHOTO = bytes(range(256)) * 700
DIGEST = hashlib.sha256(PHOTO).digest()
SMALL = b"preview" * 100
SMALL_DIGEST = hashlib.sha256(SMALL).digest()
Serve = Callable[[BulkRequest], tuple[BulkReply, bytes] | None]


def honest(request: BulkRequest) -> tuple[BulkReply, bytes] | None:
    photo = {DIGEST: PHOTO, SMALL_DIGEST: SMALL}.get(request.digest)
    if photo is None:
        return BulkReply(status=BulkStatus.UNKNOWN_DIGEST, total=0, length=0), b""
    data = photo[request.offset : request.offset + request.length]
    return BulkReply(status=BulkStatus.OK, total=len(photo), length=len(data)), data


@asynccontextmanager
async def device(serve: Serve, asked: list[BulkRequest]) -> AsyncIterator[str]:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                length = bulk.header_length(await reader.readexactly(2))
                request = bulk.decode_request(await reader.readexactly(length))
                asked.append(request)
                answer = serve(request)
                if answer is None:
                    break
                writer.write(bulk.encode_header(answer[0]) + answer[1])
                await writer.drain()
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    async with server:
        yield f"{host}:{port}"


def test_a_photo_comes_in_chunks_and_is_kept(tmp_path: Path) -> None:
    async def run() -> None:
        asked: list[BulkRequest] = []
        async with device(honest, asked) as address:
            link = BulkLink(address, store=PhotoStore(tmp_path))
            assert await link.fetch(DIGEST) == PHOTO
            assert [request.offset for request in asked] == [0, 65_536, 131_072]
            assert await link.fetch(DIGEST) == PHOTO
            assert len(asked) == 3, "kept photos are not fetched again"
            await link.close()

    asyncio.run(run())


def test_a_broken_line_resumes_where_it_was(tmp_path: Path) -> None:
    async def run() -> None:
        asked: list[BulkRequest] = []
        cut = iter([False, True, False, False])

        def flaky(request: BulkRequest) -> tuple[BulkReply, bytes] | None:
            return None if next(cut) else honest(request)

        async with device(flaky, asked) as address:
            link = BulkLink(address, store=PhotoStore(tmp_path))
            with pytest.raises(DeviceUnreachable):
                await link.fetch(DIGEST)
            assert await link.fetch(DIGEST) == PHOTO
            assert [request.offset for request in asked] == [0, 65_536, 65_536, 131_072]
            await link.close()

    asyncio.run(run())


def test_other_bytes_than_the_digest_are_thrown_away(tmp_path: Path) -> None:
    async def run() -> None:
        def liar(request: BulkRequest) -> tuple[BulkReply, bytes]:
            return BulkReply(status=BulkStatus.OK, total=4, length=4), b"fake"[request.offset :]

        async with device(liar, []) as address:
            link = BulkLink(address, store=PhotoStore(tmp_path))
            with pytest.raises(PhotoBroken):
                await link.fetch(DIGEST)
            await link.close()

    asyncio.run(run())
    assert list(tmp_path.iterdir()) == []


def test_a_look_is_checked_and_kept_nowhere(tmp_path: Path) -> None:
    async def run() -> None:
        asked: list[BulkRequest] = []
        async with device(honest, asked) as address:
            link = BulkLink(address, store=PhotoStore(tmp_path))
            assert await link.look(SMALL_DIGEST) == SMALL
            assert await link.look(SMALL_DIGEST) == SMALL
            assert [request.length for request in asked] == [bulk.MAX_LOOK] * 2
            with pytest.raises(PhotoBroken):
                await link.look(DIGEST)  # longer than a look may be
            with pytest.raises(PhotoGone):
                await link.look(bytes(32))
            await link.close()

    asyncio.run(run())
    assert list(tmp_path.iterdir()) == []


def test_an_urgent_preview_overtakes_a_full_photo(tmp_path: Path) -> None:
    async def run() -> None:
        asked: list[BulkRequest] = []
        started = asyncio.Event()

        def told(request: BulkRequest) -> tuple[BulkReply, bytes] | None:
            started.set()
            return honest(request)

        async with device(told, asked) as address:
            link = BulkLink(address, store=PhotoStore(tmp_path))
            full = asyncio.create_task(link.fetch(DIGEST))
            await started.wait()
            assert await link.fetch(SMALL_DIGEST, urgent=True) == SMALL
            assert await full == PHOTO
            order = [request.digest for request in asked]
            assert order.index(SMALL_DIGEST) <= 1
            await link.close()

    asyncio.run(run())


def test_an_unknown_digest_is_gone_not_empty(tmp_path: Path) -> None:
    async def run() -> None:
        async with device(honest, []) as address:
            link = BulkLink(address, store=PhotoStore(tmp_path))
            with pytest.raises(PhotoGone):
                await link.fetch(b"?" * 32)
            await link.close()

    asyncio.run(run())


def test_a_photo_that_a_receipt_takes_away_while_it_comes_breaks_nothing(tmp_path: Path) -> None:
    """Headquarters had it already: the gateway once ended over this."""

    class Settled(PhotoStore):
        def keep(self, digest: bytes) -> None:
            self.drop(digest)
            super().keep(digest)

    async def run() -> None:
        async with device(honest, []) as address:
            link = BulkLink(address, store=Settled(tmp_path))
            with pytest.raises(PhotoBroken):
                await link.fetch(DIGEST)
            await link.close()

    asyncio.run(run())


def test_a_photo_that_a_receipt_takes_away_while_it_goes_up_goes_up_whole(tmp_path: Path) -> None:
    photo, arrived = tmp_path / "photo.jpg", bytearray()
    photo.write_bytes(PHOTO)

    class Headquarters(HeadOffice):
        async def _raw(self, method: str, path: str, **request: Any) -> httpx.Response:
            photo.unlink(missing_ok=True)
            assert (method, path) in {("HEAD", f"blobs/{DIGEST.hex()}"), ("PUT", f"blobs/{DIGEST.hex()}")}
            arrived.extend(request.get("content", b""))
            return httpx.Response(200, headers={"Upload-Offset": str(len(arrived))})

    async def run() -> None:
        office = Headquarters(SETTINGS)
        await office.upload(DIGEST, photo)
        with pytest.raises(PhotoBroken):
            await office.upload(DIGEST, photo)
        await office.close()

    asyncio.run(run())
    assert bytes(arrived) == PHOTO
