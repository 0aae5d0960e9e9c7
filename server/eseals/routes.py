"""/api/v1/eseals, and the sealed PDF of a request."""

from uuid import UUID

from fastapi import APIRouter, Response

from server.core.db import Db, DbRead
from server.core.errors import errors
from server.eseals import service
from server.eseals.errors import NoSuchEseal, WithdrawnAlready
from server.eseals.schemas import EsealRead, WithdrawIn
from server.identity.errors import NotSignedIn, RoleMissing
from server.identity.guard import Administrator, AnyRole, Run

router = APIRouter(prefix="/api/v1", tags=["electronic seals"], responses=errors(NotSignedIn, RoleMissing))


@router.get("/eseals")
def list_eseals(db: DbRead, scope: AnyRole) -> list[EsealRead]:
    return service.eseals(db, scope)


@router.get("/eseals/{eseal_id}", responses=errors(NoSuchEseal))
def read_eseal(eseal_id: UUID, db: DbRead, scope: AnyRole) -> EsealRead:
    return service.eseal(db, scope, eseal_id)


@router.get("/eseals/{eseal_id}/sealed.pdf", responses=errors(NoSuchEseal))
def download_eseal(eseal_id: UUID, db: DbRead, run: Run, scope: AnyRole) -> Response:
    return _file(service.eseal(db, scope, eseal_id), service.sealed_pdf(db, run, scope, eseal_id))


@router.get("/requests/{request_id}/sealed.pdf", responses=errors(NoSuchEseal))
def download_sealed(request_id: UUID, db: DbRead, run: Run, scope: AnyRole) -> Response:
    found = service.of_request(db, scope, request_id)
    if found is None:
        raise NoSuchEseal
    return _file(found, service.sealed_pdf(db, run, scope, found.id))


@router.post("/eseals/{eseal_id}/withdraw", responses=errors(NoSuchEseal, WithdrawnAlready))
def withdraw_eseal(eseal_id: UUID, body: WithdrawIn, db: Db, run: Run, scope: Administrator) -> EsealRead:
    return service.withdraw(db, run, scope, eseal_id=eseal_id, reason=body.reason)


def _file(found: EsealRead, data: bytes) -> Response:
    headers = {
        "Content-Disposition": f'attachment; filename="sealed-{found.short_code}.pdf"',
        "X-Content-Type-Options": "nosniff",
    }
    return Response(data, media_type="application/pdf", headers=headers)
