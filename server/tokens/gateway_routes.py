"""/gateway/v1: jobs, tokens, permits."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, File, UploadFile

from server.approvals.errors import NoSuchRequest
from server.core.db import Db, DbRead
from server.core.errors import errors
from server.devices.errors import BadEvent, DeviceNotActive, NoSuchDevice, NotSignedInAtDevice, UnknownGateway
from server.devices.guard import CurrentGateway
from server.identity.guard import Run
from server.seals.errors import SealNotActive
from server.tokens import permits, service
from server.tokens.errors import (
    DeviceMustReport,
    KeeperRefused,
    NonceUsed,
    NoSuchToken,
    NotReady,
    NotYet,
    StillOpen,
    StrokesUsedUp,
    TokenOver,
    WrongDevice,
    WrongStroke,
)
from server.tokens.schemas import JobRead, PermitOut, TokenIn, TokenOut

router = APIRouter(prefix="/gateway/v1/devices", tags=["gateway"], responses=errors(UnknownGateway, NoSuchDevice))

MAX_EVENT_FILE = 4096


@router.get("/{device_id}/jobs")
def jobs(
    device_id: str, db: DbRead, run: Run, gateway: CurrentGateway, operator_id: UUID | None = None
) -> list[JobRead]:
    return service.jobs(db, run, gateway, device_id=device_id, operator_id=operator_id)


@router.post(
    "/{device_id}/tokens",
    status_code=202,
    responses=errors(
        NoSuchRequest,
        DeviceNotActive,
        NotSignedInAtDevice,
        NotReady,
        NotYet,
        SealNotActive,
        WrongDevice,
        KeeperRefused,
        StillOpen,
        DeviceMustReport,
        StrokesUsedUp,
        NonceUsed,
    ),
)
def issue_token(
    *, device_id: str, body: TokenIn, db: Db, run: Run, gateway: CurrentGateway, later: BackgroundTasks
) -> TokenOut:
    """While the keeper lays the page, the approved pages are prepared for the check."""
    later.add_task(service.warm_pages, run, gateway.tenant_id, body.request_id)
    return service.issue(
        db,
        run,
        gateway,
        device_id=device_id,
        request_id=body.request_id,
        nonce=bytes.fromhex(body.nonce),
        operator_id=body.operator_id,
    )


@router.post(
    "/{device_id}/permits",
    responses=errors(BadEvent, DeviceNotActive, NoSuchToken, TokenOver, WrongStroke, NotReady),
)
def ask_permit(
    device_id: str,
    event: Annotated[UploadFile, File()],
    preview: Annotated[UploadFile, File()],
    run: Run,
    gateway: CurrentGateway,
) -> PermitOut:
    said = event.file.read(MAX_EVENT_FILE)
    return service.ask_permit(
        run, gateway, device_id=device_id, event=said, preview=preview.file.read(permits.MAX_PREVIEW + 1)
    )
