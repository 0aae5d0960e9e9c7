"""/api/v1/reconciliation."""

from uuid import UUID

from fastapi import APIRouter

from server.approvals.errors import NoSuchRequest
from server.audit import service
from server.audit.schemas import Reconciliation
from server.core.db import DbRead
from server.core.errors import errors
from server.identity.errors import NotSignedIn, RoleMissing
from server.identity.guard import Auditor, Run

router = APIRouter(prefix="/api/v1/reconciliation", tags=["audit"], responses=errors(NotSignedIn, RoleMissing))


@router.get("")
def sheet(db: DbRead, run: Run, scope: Auditor, before: UUID | None = None) -> list[Reconciliation]:
    """The newest 100 requests that were used; `before`: the id of the last one seen, for the next 100, until none."""
    return service.sheet(db, run, scope, before=before)


@router.get("/{request_id}", responses=errors(NoSuchRequest))
def reconcile(request_id: UUID, db: DbRead, run: Run, scope: Auditor) -> Reconciliation:
    return service.reconcile(db, run, scope, request_id)
