"""/api/v1: timelines, photos, alarms."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Response

from server.approvals.errors import NoSuchRequest
from server.core.db import DbRead
from server.core.errors import errors
from server.events import service
from server.events.errors import PhotoMissing
from server.events.schemas import AlarmRead, TimelineRead
from server.identity.errors import NotSignedIn, RoleMissing
from server.identity.guard import AnyRole, Run

router = APIRouter(prefix="/api/v1", tags=["events"], responses=errors(NotSignedIn, RoleMissing))


@router.get("/requests/{request_id}/timeline", responses=errors(NoSuchRequest))
def timeline(request_id: UUID, db: DbRead, run: Run, scope: AnyRole) -> TimelineRead:
    return service.timeline(db, run, scope, request_id)


@router.get("/photos/{sha256}", responses=errors(PhotoMissing))
def read_photo(
    sha256: Annotated[str, Path(pattern="^[0-9a-f]{64}$")], db: DbRead, run: Run, scope: AnyRole
) -> Response:
    data = service.photo(db, run, scope, bytes.fromhex(sha256))
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "private, max-age=86400"}
    return Response(data, media_type="image/jpeg", headers=headers)


@router.get("/alarms")
def list_alarms(db: DbRead, scope: AnyRole) -> list[AlarmRead]:
    return service.alarms(db, scope)
