"""The short way of a digital document: once approved, its PDF is sealed electronically. What was approved decides."""

from typing import Final
from uuid import UUID

from sqlmodel import Session

from server.approvals import reading, store
from server.approvals.asking import locked, move
from server.approvals.errors import NoSuchRequest, RequestChanged, WrongState
from server.approvals.models import StampRequest
from server.approvals.policy import State, Step
from server.approvals.schemas import SealForm
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.eseals import service as eseals
from server.eseals.schemas import EsealRead, Order
from server.jobs import service as jobs

SEAL_JOB: Final = "approvals.seal"
_SEALABLE: Final = {State.APPROVED, State.IN_USE, State.DONE}


def promise(db: Session, run: Runtime, row: StampRequest) -> None:
    """With the last decision: a worker will seal the PDF, when that was asked for."""
    if SealForm(row.form) is not SealForm.PAPER:
        payload = {"tenant_id": str(row.tenant_id), "request_id": str(row.id)}
        jobs.enqueue(db, SEAL_JOB, payload, now=run.now())


def seal_electronically(run: Runtime, scope: Scope, *, request_id: UUID) -> EsealRead:
    """Seal the approved PDF, or name the seal it has. Opens its own sessions, since sealing takes a tenth of a second.

    Raises: NoSuchRequest, WrongState (not approved, or for paper only), RequestChanged, and what `eseals.make` raises.
    """
    with run.db.read() as db:
        row = store.request(db, scope, request_id)
        if row is None:
            raise NoSuchRequest
        known = eseals.of_request(db, scope, request_id)
        if known is not None and known.document_digest == row.document_digest:
            return known
        order = _order(run, row, ordered_by=scope.person_id)
    made = eseals.make(run, order)
    with run.db.write() as db:
        row = locked(db, scope, request_id)
        sealed = eseals.keep(db, run, made)
        if sealed.id != made.eseal_id:
            return sealed
        if _order(run, row, ordered_by=scope.person_id) != order:
            raise RequestChanged
        if SealForm(row.form) is SealForm.ELECTRONIC:
            move(row, Step.START, run)
            move(row, Step.FINISH, run)
            db.add(row)
        return sealed


def _order(run: Runtime, row: StampRequest, *, ordered_by: UUID | None) -> Order:
    """Raises: WrongState."""
    state = reading.state_now(row, run)
    if state not in _SEALABLE or SealForm(row.form) is SealForm.PAPER:
        raise WrongState(state=state.value, step="seal")
    page, x_mm, y_mm = row.places[0]
    return Order(
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        request_id=row.id,
        request_name=reading.short(row),
        title=row.title,
        seal_id=row.seal_id,
        document_digest=row.document_digest,
        page=page,
        x_mm=x_mm,
        y_mm=y_mm,
        ordered_by=ordered_by,
    )
