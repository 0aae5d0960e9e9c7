"""The short form of `campaign hammer`, on SQLite and PostgreSQL; and that its reader sees what does not fit."""

import base64
import random
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import anyio
import httpx
import pytest
from fastapi import FastAPI

from dashboard.campaign._reader import Fetch, Mismatch, Reader, climbed, root_of
from dashboard.campaign.hammer import Hammer
from server.core.errors import install
from server.core.scope import Role, Scope
from server.core.signer import Purpose
from server.ledger import merkle, routes
from tests.server.ledger.conftest import TENANT, Device, Log, database, log, sqlite
from tests.server.ledger.test_routes import OnlyDatabase

__all__ = ["database", "log", "sqlite"]


def served(log: Log) -> Callable[[], Fetch]:
    """The log's own routes over HTTP inside this process."""
    app = FastAPI()
    install(app)
    app.state.runtime = OnlyDatabase(log.database)
    auditor = Scope(tenant_id=TENANT, branch_path="/", person_id=UUID(int=1), roles=frozenset([Role.AUDITOR]))
    app.include_router(routes.entries_router(lambda: auditor))
    app.include_router(routes.public_router)

    def fetch(path: str) -> bytes | None:
        async def get() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="https://seal.example") as client:
                return await client.get(f"/log/{path}")

        answer = anyio.run(get)
        return None if answer.status_code == httpx.codes.NOT_FOUND else answer.raise_for_status().content

    return lambda: fetch


def test_readers_find_nothing_wrong_while_the_log_is_written(log: Log, rng: random.Random, seed: int) -> None:
    devices = [Device(rng, f"D{number}") for number in range(3)]
    for device in devices:
        log.enrol(device)
    log.put(devices[0].next())
    hammer = Hammer(served(log), log.keys[Purpose.CHECKPOINT].public_key, seed=seed, readers=2)
    hammer.start()
    for _ in range(12):
        log.put(*(leaf for device in devices for leaf in device.many(rng.randrange(1, 30))))
    found = hammer.stop()
    assert found.mismatches == []
    assert found.done["roots_rebuilt"] >= 1
    assert found.done["entries_checked"] >= 2
    assert found.done["entries_not_shown"] == 0


@pytest.fixture
def filled(log: Log, rng: random.Random) -> Log:
    device = Device(rng)
    log.enrol(device)
    log.put(*device.many(300))
    return log


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("kind", "path"),
    [("root", "tile/0/000"), ("tile", "tile/1/000.p/1"), ("checkpoint", "checkpoint"), ("tile", "tile/0/001.p/44")],
)
def test_the_reader_names_what_was_changed_on_its_way(filled: Log, kind: str, path: str) -> None:
    honest = served(filled)()

    def changed(asked: str) -> bytes | None:
        data = honest(asked)
        if asked != path or data is None:
            return data
        return data[:-20] + bytes([data[-20] ^ 1]) + data[-19:] if path != "tile/0/001.p/44" else data[:-1]

    with pytest.raises(Mismatch) as wrong:
        Reader(changed, filled.keys[Purpose.CHECKPOINT].public_key).read_all(None)
    assert wrong.value.kind == kind


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_the_reader_names_a_log_that_took_something_back(filled: Log, tmp_path: Path) -> None:
    reader = Reader(served(filled)(), filled.keys[Purpose.CHECKPOINT].public_key)
    head = reader.read_all(None)
    with pytest.raises(Mismatch, match="consistency"):
        reader.read_all(type(head)(head.size - 1, head.root))
    with pytest.raises(Mismatch, match="consistency"):
        reader.read_all(type(head)(head.size + 1, head.root))


def test_the_reader_hashes_as_the_ledger_does(rng: random.Random) -> None:
    hashes = [rng.randbytes(32) for _ in range(700)]
    tree = merkle.Tree()
    tiles: dict[tuple[int, int], bytes] = {}
    for size, one in enumerate(hashes, start=1):
        tiles.update({(tile.level, tile.index): tile.data for tile in tree.append([one])})
        if size % 37 == 0 or size < 20:
            assert root_of(hashes[:size]) == tree.root()
            index = rng.randrange(size)
            path = merkle.inclusion_proof(index, size, lambda level, at: tiles[level, at])
            assert climbed(hashes[index], index, size, path) == tree.root()
            assert climbed(hashes[index], index, size, [*path, bytes(32)]) != tree.root()
            if path:
                assert climbed(hashes[index], index, size, path[:-1]) != tree.root()
    assert base64.b64encode(root_of([])) == b"47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
