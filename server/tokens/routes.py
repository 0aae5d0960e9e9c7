"""/api/v1/leases: what devices may still do."""

from fastapi import APIRouter

from server.core.db import DbRead
from server.core.errors import errors
from server.identity.errors import NotSignedIn, RoleMissing
from server.identity.guard import AnyRole, Run
from server.tokens import service
from server.tokens.schemas import LeaseRead

router = APIRouter(prefix="/api/v1", tags=["tokens"], responses=errors(NotSignedIn, RoleMissing))


@router.get("/leases")
def list_leases(db: DbRead, run: Run, scope: AnyRole) -> list[LeaseRead]:
    return service.leases(db, run, scope)
