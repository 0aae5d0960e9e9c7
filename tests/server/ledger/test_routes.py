"""The log over HTTP: whoever follows the tlog-tiles specification can rebuild the root and check a proof."""

import random
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import anyio
import httpx
import pytest
from fastapi import FastAPI

from server.core.db import Database
from server.core.errors import install
from server.core.scope import Role, Scope
from server.ledger import checkpoint, merkle, proof, routes, tile_names
from tests.server.ledger.conftest import TENANT, Device, Log


@dataclass
class OnlyDatabase:
    """The part of the runtime that these routes use."""

    db: Database


@pytest.fixture
def log(sqlite: Database) -> Log:
    return Log(sqlite)


class Client:
    def __init__(self, log: Log, scope: Scope) -> None:
        self.app = FastAPI()
        install(self.app)
        self.app.state.runtime = OnlyDatabase(log.database)
        self.app.include_router(routes.entries_router(lambda: scope))
        self.app.include_router(routes.public_router)

    def get(self, path: str) -> httpx.Response:
        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="https://seal.example") as client:
                return await client.get(path)

        return anyio.run(run)


def client(log: Log, **changes: Any) -> Client:
    return Client(log, Scope(**({"tenant_id": TENANT, "branch_path": "/", "person_id": UUID(int=1)} | changes)))


def test_stranger_rebuilds_the_signed_root_from_tiles(log: Log, device: Device) -> None:
    log.put(*device.many(300))
    web = client(log)
    answer = web.get("/log/checkpoint")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    head = checkpoint.verify(answer.text, key=log.verifier_key)
    data = b""
    for index in range(2):
        width = merkle.tile_width(0, index, head.size)
        tile = web.get("/log/" + tile_names.tile_path(0, index, width))
        assert tile.headers["content-type"] == "application/octet-stream"
        data += tile.content
    tree = merkle.Tree()
    tree.append(data[at : at + 32] for at in range(0, len(data), 32))
    assert (tree.size, tree.root()) == (head.size, head.root)
    first = merkle.Tree()
    first.append(data[at : at + 32] for at in range(0, 256 * 32, 32))
    assert web.get("/log/tile/1/000.p/1").content == first.root()


def test_older_partial_tile_is_still_served(log: Log, device: Device) -> None:
    log.put(*device.many(10))
    old = client(log).get("/log/tile/0/000.p/10").content
    log.put(*device.many(5))
    assert client(log).get("/log/tile/0/000.p/10").content == old


@pytest.mark.parametrize(
    "path",
    ["0/001", "0/000.p/11", "0/000.p/0", "0/000.p/256", "0/0", "00/000", "64/000", "0/000.p/07", "0/x000/000", "a/000"],
)
def test_path_outside_the_specification_is_not_found(log: Log, device: Device, path: str) -> None:
    log.put(*device.many(10))
    answer = client(log).get(f"/log/tile/{path}")
    assert (answer.status_code, answer.json()["code"]) == (404, "tile_not_found")


def test_tile_index_is_written_in_groups_of_three() -> None:
    assert tile_names.tile_path(0, 1234067) == "tile/0/x001/x234/067"  # c2sp.org/tlog-tiles, "Merkle Tree"
    assert tile_names.tile_path(2, 0, 7) == "tile/2/000.p/7"


def test_entry_comes_with_a_proof_for_those_who_may_see_it(log: Log, device: Device, rng: random.Random) -> None:
    leaves = device.many(20)
    log.put(*leaves)
    leaf = rng.choice(leaves)
    path = f"/log/entries/{merkle.leaf_hash(leaf).hex()}"
    answer = client(log).get(path).json()
    assert answer["leaf"] == leaf.hex()
    proof.verify(answer["proof"], leaf=leaf, key=log.verifier_key)
    for scope in ({"branch_path": "/france/"}, {"tenant_id": UUID(int=8)}):
        assert client(log, **scope).get(path).status_code == 404
    assert client(log).get("/log/entries/zz").status_code == 404


AUDITOR = {"roles": frozenset({Role.AUDITOR})}


def entries_in(bundle: bytes) -> list[bytes]:
    """c2sp.org/tlog-tiles "Log entries": each with its length in 16 bits before it."""
    found, at = [], 0
    while at < len(bundle):
        length = int.from_bytes(bundle[at : at + 2])
        found.append(bundle[at + 2 : at + 2 + length])
        at += 2 + length
    return found


def test_auditor_gets_entry_bundles_that_hash_to_the_tiles(log: Log, device: Device) -> None:
    leaves = device.many(300)
    log.put(*leaves)
    web = client(log, **AUDITOR)
    for index, width in ((0, 256), (1, 44), (1, 7)):
        answer = web.get("/log/" + tile_names.bundle_path(index, width))
        entries = entries_in(answer.content)
        assert entries == leaves[256 * index : 256 * index + width]
        tile = web.get("/log/" + tile_names.tile_path(0, index, width)).content
        assert b"".join(map(merkle.leaf_hash, entries)) == tile
        assert answer.headers["cache-control"].startswith("private")
    for path in ("001", "000.p/0", "002.p/1", "0", "entries/000"):
        assert web.get(f"/log/tile/entries/{path}").status_code == 404


def test_bundle_with_an_entry_of_another_tenant_is_withheld_whole(log: Log, device: Device, rng: random.Random) -> None:
    stranger = Device(rng, "D2")
    log.enrol(stranger, tenant_id=UUID(int=8))
    log.put(*device.many(255), stranger.next(), *device.many(10))
    for scope in (AUDITOR, AUDITOR | {"tenant_id": UUID(int=8)}):
        answer = client(log, **scope).get("/log/tile/entries/000")
        assert (answer.status_code, answer.json()["code"]) == (403, "bundle_withheld")
    assert client(log, **AUDITOR).get("/log/tile/entries/001.p/10").status_code == 200
    for scope in ({}, AUDITOR | {"branch_path": "/spain/"}, {"roles": frozenset({Role.ADMINISTRATOR})}):
        assert client(log, **scope).get("/log/tile/entries/001.p/10").status_code == 403


def test_log_that_has_not_begun_says_so(sqlite: Database) -> None:
    empty = Log.__new__(Log)
    empty.database = sqlite
    answer = client(empty).get("/log/checkpoint")
    assert (answer.status_code, answer.json()["code"]) == (503, "log_not_started")
