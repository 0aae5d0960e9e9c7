"""/gateway/v1: photos, resumable, only those that an admitted event announced; imprints and spoiled sheets."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, File, Header, Path, Request, Response, UploadFile
from starlette.concurrency import run_in_threadpool

from firmware_protocol.bulk import MAX_PHOTO
from server.blobs.errors import BlobTooLarge, DigestMismatch, WrongOffset
from server.core.db import DbRead
from server.core.errors import errors
from server.devices.errors import BadEvent, NoSuchDevice, UnknownGateway
from server.devices.guard import MAX_EVENT_FILE, CurrentGateway
from server.events import service
from server.events.errors import BadUpload, DigestNotAnnounced
from server.events.schemas import ImprintOut, PhotosWanted
from server.events.spoiling import MAX_PREVIEW
from server.identity.guard import Run
from server.tokens.errors import NoSuchToken, WrongStroke
from server.tokens.schemas import SpoiledOut

router = APIRouter(prefix="/gateway/v1/blobs", tags=["gateway"], responses=errors(UnknownGateway, DigestNotAnnounced))

devices_router = APIRouter(
    prefix="/gateway/v1/devices", tags=["gateway"], responses=errors(UnknownGateway, NoSuchDevice)
)

Digest = Annotated[str, Path(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True)
class Piece:
    """Where a piece begins and how long the whole photo is, from the headers."""

    offset: int
    size: int


def piece(
    upload_offset: Annotated[int, Header(ge=0, le=MAX_PHOTO)], upload_length: Annotated[int, Header(ge=1, le=MAX_PHOTO)]
) -> Piece:
    return Piece(upload_offset, upload_length)


@router.head("/{sha256}", status_code=204)
def where_to_go_on(sha256: Digest, run: Run, gateway: CurrentGateway) -> Response:
    offset = service.upload_offset(run, gateway, digest=bytes.fromhex(sha256))
    return Response(status_code=204, headers={"Upload-Offset": str(offset)})


@router.put("/{sha256}", status_code=204, responses=errors(BadUpload, WrongOffset, DigestMismatch, BlobTooLarge))
async def take_piece(
    sha256: Digest, request: Request, run: Run, gateway: CurrentGateway, part: Annotated[Piece, Depends(piece)]
) -> Response:
    """Async only to read the body; the work runs in a thread."""
    chunk = await request.body()
    offset = await run_in_threadpool(
        service.receive_photo,
        run,
        gateway,
        digest=bytes.fromhex(sha256),
        offset=part.offset,
        size=part.size,
        chunk=chunk,
    )
    return Response(status_code=204, headers={"Upload-Offset": str(offset)})


@devices_router.get("/{device_id}/imprints/{token_id}/{stroke}", responses=errors(NoSuchToken))
def read_imprint(
    device_id: str,
    token_id: Annotated[str, Path(pattern="^[0-9a-f]{32}$")],
    stroke: Annotated[int, Path(ge=1, le=255)],
    db: DbRead,
    gateway: CurrentGateway,
) -> ImprintOut:
    """How the imprint came out, once both full photos are here and compared."""
    return service.imprint_of_gateway(db, gateway, device_id=device_id, token_id=bytes.fromhex(token_id), stroke=stroke)


@devices_router.get("/{device_id}/photos/wanted")
def read_wanted(device_id: str, db: DbRead, gateway: CurrentGateway) -> PhotosWanted:
    """Photos of this device that never arrived; whoever has the device at hand can still bring them."""
    return service.photos_wanted(db, gateway, device_id=device_id)


@devices_router.post("/{device_id}/spoiled", responses=errors(BadEvent, NoSuchToken, WrongStroke))
def spoil_sheet(
    device_id: str,
    event: Annotated[UploadFile, File()],
    preview: Annotated[UploadFile, File()],
    run: Run,
    gateway: CurrentGateway,
) -> SpoiledOut:
    """A cancelled sheet: accepted when its code and the word CANCELLED are seen on it."""
    return service.spoil(
        run,
        gateway,
        device_id=device_id,
        event=event.file.read(MAX_EVENT_FILE),
        preview=preview.file.read(MAX_PREVIEW + 1),
    )
