"""/gateway/v1: paper photographed by a device for a new request."""

from typing import Annotated

from fastapi import APIRouter, File, UploadFile

from firmware_protocol.bulk import MAX_PHOTO
from server.approvals import service
from server.approvals.schemas import ScanMade
from server.core.errors import errors
from server.devices import service as devices
from server.devices.errors import BadEvent, NoSuchDevice, UnknownGateway
from server.devices.guard import MAX_EVENT_FILE, CurrentGateway
from server.identity.guard import Run

router = APIRouter(prefix="/gateway/v1", tags=["gateway"], responses=errors(UnknownGateway))


@router.post("/devices/{device_id}/scans", status_code=201, responses=errors(NoSuchDevice, BadEvent))
def take_scan(
    device_id: str,
    event: Annotated[UploadFile, File()],
    photo: Annotated[UploadFile, File()],
    run: Run,
    gateway: CurrentGateway,
) -> ScanMade:
    said, picture = event.file.read(MAX_EVENT_FILE), photo.file.read(MAX_PHOTO + 1)
    with run.db.write() as db:
        device = devices.device_of_gateway(db, gateway, device_id)
        return ScanMade(scan_id=service.take_scan(db, run, device, event=said, photo=picture).id)
