"""The log for strangers and their tools: c2sp.org/tlog-tiles from the files that the ledger role publishes.

Nothing here is believed by anyone who checks: every tile follows from the signed root, and the page counts only
cosignatures that verify under the keys in this installation's settings. Entries are not served here at all.
"""

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from fastapi import APIRouter, Request
from fastapi.responses import Response

from firmware_protocol.purposes import Purpose
from server.core.settings import Settings
from server.ledger import checkpoint, cosignature, tile_names, witnessing
from server.ledger.checkpoint import BadCheckpoint, Checkpoint, VerifierKey
from server.ledger.cosignature import BadCosignature, Witness
from server.ledger.errors import LogNotStarted, TileNotFound
from server.ledger.merkle import HASH_SIZE
from server.ledger.publishing import CHECKPOINT, FOLDER, file_of
from server.ledger.routes import BYTES, CHECKPOINT_HEADERS, TEXT, TILE_HEADERS
from server.ledger.tile_names import NoSuchTile
from server.verification.trust import IssuerKey

router = APIRouter(prefix="/log")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the page says of the published checkpoint."""

    size: int
    root: bytes
    outside: int  # witnesses that others run and that cosigned it
    wanted: int  # how many the installation asks for
    witnesses: tuple[Witness, ...]
    cosigned_by: frozenset[str]
    vkey: str  # the log's

    @property
    def lacking(self) -> int:
        return max(0, self.wanted - self.outside)


class PublishedLog:
    """The published folder, and whose cosignatures count."""

    def __init__(self, settings: Settings, *, log_name: str, keys: Iterable[IssuerKey]) -> None:
        self._keys = tuple(
            VerifierKey(name=log_name, public_key=key.public_key) for key in keys if key.purpose is Purpose.CHECKPOINT
        )
        self._folder = settings.home / FOLDER
        self._quorum = settings.witness_quorum
        try:
            self._witnesses = witnessing.witnesses_of(settings)
        except BadCosignature:  # the ledger role says so; here nobody is counted
            self._witnesses = ()

    def note(self) -> str:
        """Raises: LogNotStarted."""
        try:
            return (self._folder / CHECKPOINT).read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise LogNotStarted from error

    def tile(self, level: str, path: str) -> bytes:
        """Raises: TileNotFound."""
        try:
            height, index, width = tile_names.parse_tile(level, path)
            data = file_of(self._folder, height, index).read_bytes()
        except (NoSuchTile, FileNotFoundError) as error:
            raise TileNotFound from error
        if len(data) < width * HASH_SIZE:
            raise TileNotFound
        return data[: width * HASH_SIZE]

    def seen(self) -> Seen | None:
        """None while nothing is published that our own key signed."""
        try:
            note = self.note()
        except LogNotStarted:
            return None
        key, head = next(self._signed(note), (None, None))
        if key is None or head is None:
            return None
        found = cosignature.verified(note, [witness.key for witness in self._witnesses])
        return Seen(
            size=head.size,
            root=head.root,
            outside=cosignature.outside(found, self._witnesses),
            wanted=self._quorum,
            witnesses=self._witnesses,
            cosigned_by=frozenset(one.name for one in found),
            vkey=key.text(),
        )

    def _signed(self, note: str) -> Iterator[tuple[VerifierKey, Checkpoint]]:
        for key in self._keys:
            with contextlib.suppress(BadCheckpoint):
                yield key, checkpoint.verify(note, key=key)


def _log(request: Request) -> PublishedLog:
    published: PublishedLog = request.app.state.log
    return published


@router.get("/checkpoint")
def newest(request: Request) -> Response:
    return Response(_log(request).note(), media_type=TEXT, headers=CHECKPOINT_HEADERS)


@router.get("/tile/{level}/{path:path}")
def tile(request: Request, level: str, path: str) -> Response:
    """`/tile/<L>/<N>[.p/<W>]`."""
    return Response(_log(request).tile(level, path), media_type=BYTES, headers=TILE_HEADERS)
