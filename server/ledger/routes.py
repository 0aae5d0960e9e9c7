"""HTTP: the log as C2SP tlog-tiles for anyone, one entry with its proof for those who may see it.

The app mounts both under `/log`, so that the log's name is its URL prefix (c2sp.org/tlog-tiles, "Parameters").
"""

import re
import struct
from collections.abc import Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Response

from server.core.db import DbRead
from server.core.errors import errors
from server.core.scope import WHOLE_TENANT, Role, Scope
from server.ledger import log_store, service, tile_names
from server.ledger.errors import BundleWithheld, EntryNotFound, LogNotStarted, TileNotFound
from server.ledger.merkle import HASH_SIZE, TILE_WIDTH
from server.ledger.schemas import INSTALLATION
from server.ledger.tile_names import NoSuchTile

public_router = APIRouter(prefix="/log", tags=["log"])

CHECKPOINT_HEADERS: Final = {"Cache-Control": "max-age=1"}
TILE_HEADERS: Final = {"Cache-Control": "public, max-age=31536000, immutable"}
"""c2sp.org/tlog-tiles: what has an index and a width never changes again."""
BUNDLE_HEADERS: Final = {"Cache-Control": "private, max-age=31536000, immutable"}
TEXT: Final = "text/plain; charset=utf-8"
BYTES: Final = "application/octet-stream"


@public_router.get("/checkpoint", responses=errors(LogNotStarted))
def checkpoint(db: DbRead) -> Response:
    """The published one, with the lines of its witnesses."""
    return Response(service.published_checkpoint(db).note, media_type=TEXT, headers=CHECKPOINT_HEADERS)


@public_router.get("/tile/{level}/{path:path}", responses=errors(TileNotFound))
def tile(level: str, path: str, db: DbRead) -> Response:
    """`/tile/<L>/<N>[.p/<W>]`."""
    try:
        height, index, width = tile_names.parse_tile(level, path)
    except NoSuchTile as error:
        raise TileNotFound from error
    data = log_store.tile(db, height, index)
    if len(data) < width * HASH_SIZE:
        raise TileNotFound
    return Response(data[: width * HASH_SIZE], media_type=BYTES, headers=TILE_HEADERS)


def entries_router(scope_of: Callable[..., Scope]) -> APIRouter:
    """`scope_of` is the app's dependency that says who asks. Include it before `public_router`."""
    router = APIRouter(prefix="/log", tags=["log"])

    @router.get("/tile/entries/{path:path}", responses=errors(TileNotFound, BundleWithheld))
    def bundle(path: str, db: DbRead, scope: Annotated[Scope, Depends(scope_of)]) -> Response:
        """`/tile/entries/<N>[.p/<W>]`: whole or not at all, to auditors of the whole tenant (docs/decisions/0015)."""
        try:
            index, width = tile_names.parse_index(path)
        except NoSuchTile as error:
            raise TileNotFound from error
        if not scope.has(Role.AUDITOR) or scope.branch_path != WHOLE_TENANT:
            raise BundleWithheld
        first = index * TILE_WIDTH
        leaves = service.leaves(db, first=first, last=first + width - 1)
        if len(leaves) < width:
            raise TileNotFound
        if any(leaf.tenant_id not in (scope.tenant_id, INSTALLATION) for leaf in leaves):
            raise BundleWithheld
        data = b"".join(struct.pack(">H", len(leaf.leaf)) + leaf.leaf for leaf in leaves)
        return Response(data, media_type=BYTES, headers=BUNDLE_HEADERS)

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
