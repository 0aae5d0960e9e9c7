"""/api/v1/requests/{id}/evidence.zip."""

from uuid import UUID

from fastapi import APIRouter, Response

from server.approvals.errors import NoSuchRequest
from server.archive import service
from server.archive.errors import NotFinished, StillBeingFiled
from server.core.errors import errors
from server.identity.errors import NotSignedIn, RoleMissing
from server.identity.guard import AnyRole, Run

router = APIRouter(prefix="/api/v1/requests", tags=["archive"], responses=errors(NotSignedIn, RoleMissing))


@router.get("/{request_id}/evidence.zip", responses=errors(NoSuchRequest, NotFinished, StillBeingFiled))
def evidence(request_id: UUID, run: Run, scope: AnyRole) -> Response:
    data = service.build_bundle(run, scope, request_id=request_id)
    name = f"evidence-{request_id}.zip"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(data, media_type="application/zip", headers=headers)
