"""/gateway/v1: what a keeper asks to be passed on to people."""

from uuid import UUID

from fastapi import APIRouter

from server.core.db import Db
from server.core.errors import errors
from server.devices.errors import NoSuchDevice, UnknownGateway
from server.devices.guard import CurrentGateway
from server.identity.guard import Run
from server.notices import service
from server.notices.schemas import RemindedOut
from server.tokens.errors import CaseClosed, NoSuchCase

router = APIRouter(prefix="/gateway/v1/devices", tags=["gateway"], responses=errors(UnknownGateway, NoSuchDevice))


@router.post("/{device_id}/cases/{case_id}/reminder", responses=errors(NoSuchCase, CaseClosed))
def remind(device_id: str, case_id: UUID, db: Db, run: Run, gateway: CurrentGateway) -> RemindedOut:
    """Remind whoever may answer about the doubtful page; once a case, asked again it tells nobody twice."""
    return service.remind(db, run, gateway, device_id=device_id, case_id=case_id)
