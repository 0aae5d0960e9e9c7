"""/gateway/v1: jobs, tokens, permits."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, BackgroundTasks, File, Path, Response, UploadFile

from server.approvals.errors import NoSuchRequest
from server.core.db import Db, DbRead
from server.core.errors import errors
from server.devices.errors import (
    BadEvent,
    DeviceNotActive,
    NoSuchDevice,
    NotSignedInAtDevice,
    SampleMissing,
    UnknownGateway,
)
from server.devices.guard import MAX_EVENT_FILE, CurrentGateway
from server.identity.guard import Run
from server.inspection.errors import NoSuchFinding
from server.seals.errors import SealNotActive
from server.tokens import permits, service
from server.tokens.errors import (
    DeviceMustReport,
    KeeperRefused,
    NonceUsed,
    NoSuchCase,
    NoSuchToken,
    NotReady,
    NotYet,
    OfflineRefused,
    StillOpen,
    StrokesUsedUp,
    SweepIncomplete,
    TokenOver,
    WrongDevice,
    WrongStroke,
)
from server.tokens.schemas import (
    CaseOut,
    JobRead,
    LabelIn,
    NoteIn,
    PermitOut,
    SweptOut,
    TokenIn,
    TokenOut,
    VoucherIn,
)

router = APIRouter(prefix="/gateway/v1/devices", tags=["gateway"], responses=errors(UnknownGateway, NoSuchDevice))

DIGEST = "^[0-9a-f]{64}$"
NO_TOKEN = (
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
)
"""Why a job is not given to a device, with or without headquarters behind it."""


@router.get("/{device_id}/jobs")
def jobs(
    device_id: str, db: DbRead, run: Run, gateway: CurrentGateway, operator_id: UUID | None = None
) -> list[JobRead]:
    return service.jobs(db, run, gateway, device_id=device_id, operator_id=operator_id)


@router.post(
    "/{device_id}/tokens",
    status_code=202,
    responses=errors(*NO_TOKEN, SampleMissing, NonceUsed),
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
    responses=errors(BadEvent, DeviceNotActive, NoSuchToken, TokenOver, WrongStroke, NotReady, SweepIncomplete),
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


@router.get("/{device_id}/cases/{case_id}", responses=errors(NoSuchCase))
def read_case(device_id: str, case_id: UUID, db: DbRead, run: Run, gateway: CurrentGateway) -> CaseOut:
    """Whether a second person has answered a doubtful page; the permit after "anyway" goes down by MQTT."""
    return service.case_of_gateway(db, run, gateway, device_id=device_id, case_id=case_id)


@router.get("/{device_id}/crops/{finding_id}/{digest}", responses=errors(NoSuchFinding))
def read_crop(  # noqa: PLR0917 - FastAPI passes by name
    device_id: str,
    finding_id: UUID,
    digest: Annotated[str, Path(pattern=DIGEST)],
    db: DbRead,
    run: Run,
    gateway: CurrentGateway,
) -> Response:
    """One picture of a difference, named by the permit's answer."""
    picture = permits.crop(db, run, gateway, device_id=device_id, finding_id=finding_id, digest=bytes.fromhex(digest))
    return Response(picture, media_type="image/jpeg")


@router.post(
    "/{device_id}/sweeps/pages",
    responses=errors(BadEvent, DeviceNotActive, NoSuchToken, TokenOver, WrongStroke, NotReady),
)
def sweep_page(
    *,
    device_id: str,
    event: Annotated[UploadFile, File()],
    preview: Annotated[UploadFile, File()],
    run: Run,
    gateway: CurrentGateway,
    later: BackgroundTasks,
) -> SweptOut:
    """One leafed page; the next one is prepared while the keeper turns the leaf."""
    said = event.file.read(MAX_EVENT_FILE)
    answer = service.sweep_page(
        run, gateway, device_id=device_id, event=said, preview=preview.file.read(permits.MAX_PREVIEW + 1)
    )
    later.add_task(service.warm_next, run, gateway, answer=answer, event=said)
    return answer


@router.post(
    "/{device_id}/vouchers",
    status_code=202,
    responses=errors(*NO_TOKEN, OfflineRefused),
)
def issue_voucher(device_id: str, body: VoucherIn, db: Db, run: Run, gateway: CurrentGateway) -> TokenOut:
    return service.issue_voucher(
        db, run, gateway, device_id=device_id, request_id=body.request_id, operator_id=body.operator_id
    )


@router.post("/{device_id}/labels", status_code=204, responses=errors(NoSuchToken, WrongStroke))
def note_label(device_id: str, body: LabelIn, db: Db, run: Run, gateway: CurrentGateway) -> Response:
    service.note_label(db, run, gateway, device_id=device_id, said=body)
    return Response(status_code=204)


@router.post("/{device_id}/notes", status_code=204)
def take_note(device_id: str, body: NoteIn, db: Db, run: Run, gateway: CurrentGateway) -> Response:
    """A keeper's words; the same `note_id` again changes nothing."""
    service.take_note(db, run, gateway, device_id=device_id, said=body)
    return Response(status_code=204)
