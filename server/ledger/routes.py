"""HTTP: the log as C2SP tlog-tiles for anyone, one entry with its proof for those who may see it.

The app mounts both under `/log`, so that the log's name is its URL prefix (c2sp.org/tlog-tiles, "Parameters").
"""

import re
from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response

from server.core.db import DbRead
from server.core.errors import errors
from server.core.scope import Scope
from server.ledger import log_store, merkle, service
from server.ledger.errors import EntryNotFound, LogNotStarted, TileNotFound
from server.ledger.merkle import HASH_SIZE, TILE_WIDTH

public_router = APIRouter(prefix="/log", tags=["log"])

_INDEX: Final = re.compile(r"(?:x[0-9]{3}/){0,6}[0-9]{3}")
"""N as zero-padded groups of three, all but the last with an x: 1234067 is x001/x234/067."""


@public_router.get("/checkpoint", responses=errors(LogNotStarted))
def checkpoint(db: DbRead) -> Response:
    note = service.checkpoint(db).note
    return Response(note, media_type="text/plain; charset=utf-8", headers={"Cache-Control": "max-age=1"})


@public_router.get("/tile/{level}/{path:path}", responses=errors(TileNotFound))
def tile(level: str, path: str, db: DbRead) -> Response:
    """`/tile/<L>/<N>[.p/<W>]`."""
    height, index, width = _tile_name(level, path)
    data = log_store.tile(db, height, index)
    if len(data) < width * HASH_SIZE:
        raise TileNotFound
    headers = {"Cache-Control": "public, max-age=31536000, immutable"}
    return Response(data[: width * HASH_SIZE], media_type="application/octet-stream", headers=headers)


def entries_router(scope_of: Callable[..., Scope]) -> APIRouter:
    """`scope_of` is the app's dependency that says who asks."""
    router = APIRouter(prefix="/log", tags=["log"])

    @router.get("/entries/{leaf_hash}", responses=errors(EntryNotFound))
    def entry(leaf_hash: str, db: DbRead, scope: Annotated[Scope, Depends(scope_of)]) -> dict[str, Any]:
        """One leaf, as hex, with its `.tlog-proof`."""
        wanted = bytes.fromhex(leaf_hash) if re.fullmatch(r"[0-9a-f]{64}", leaf_hash) else b""
        found = service.entry(db, scope, wanted)
        proof = service.proof(db, wanted)
        if found is None or proof is None:
            raise EntryNotFound
        return {
            "index": found.index,
            "leaf_hash": leaf_hash,
            "kind": found.kind.value,
            "type": found.entry_type.name if found.entry_type is not None else None,
            "leaf": found.leaf.hex(),
            "admitted_at": found.admitted_at.isoformat(),
            "device_id": found.device_id,
            "generation": found.generation,
            "seq": found.seq,
            "proof": proof.text(),
        }

    return router


def tile_path(level: int, index: int, width: int = merkle.TILE_WIDTH) -> str:
    """`tile/<L>/<N>[.p/<W>]` as the specification writes it."""
    digits = f"{index:d}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    name = "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])
    return f"tile/{level}/{name}" + ("" if width == TILE_WIDTH else f".p/{width}")


def _tile_name(level: str, path: str) -> tuple[int, int, int]:
    """(level, index, width). Raises: TileNotFound for a path that the specification does not allow."""
    name, partial, width = path.partition(".p/")
    if not re.fullmatch(r"[0-9]{1,2}", level) or not _INDEX.fullmatch(name) or (partial and not width.isdecimal()):
        raise TileNotFound
    found = (int(level), int(name.replace("x", "").replace("/", "")), int(width) if partial else TILE_WIDTH)
    canonical = tile_path(*found)
    if found[0] > 63 or not 1 <= found[2] <= TILE_WIDTH or canonical != f"tile/{level}/{path}":
        raise TileNotFound
    return found
