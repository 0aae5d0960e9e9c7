"""What other slices call: documents, the requester's steps, the approver's steps, requests to read."""

from collections.abc import Collection
from uuid import UUID

from sqlmodel import Session

from server.approvals import policy, reading, store
from server.approvals.asking import change, create, expire_due, submit, withdraw
from server.approvals.asking import read as _read
from server.approvals.deciding import decide, finish, reopen, start_use, void
from server.approvals.documents import Prepared, document, page_png, pdf, prepare
from server.approvals.errors import NoSuchRequest
from server.approvals.policy import State
from server.approvals.reading import inbox
from server.approvals.request import PlannedStroke, stroke_plan
from server.approvals.scans import scan_photo, scans, take_scan
from server.approvals.schemas import MayDecideRead, RequestRead, SealForm
from server.approvals.sealing import seal_electronically
from server.core.runtime import Runtime
from server.core.scope import Scope

__all__ = [
    "PlannedStroke",
    "Prepared",
    "change",
    "create",
    "decide",
    "decided_payloads",
    "document",
    "expire_due",
    "finish",
    "inbox",
    "may_decide",
    "may_keep",
    "page_png",
    "pdf",
    "plan",
    "prepare",
    "reopen",
    "request",
    "requests",
    "requests_for_seals",
    "scan_photo",
    "scans",
    "seal_electronically",
    "start_use",
    "submit",
    "take_scan",
    "void",
    "withdraw",
]


def request(db: Session, run: Runtime, scope: Scope, request_id: UUID) -> RequestRead:
    """Raises: NoSuchRequest."""
    row = store.request(db, scope, request_id)
    if row is None:
        raise NoSuchRequest
    return _read(db, run, row)


def requests(
    db: Session,
    run: Runtime,
    scope: Scope,
    *,
    states: Collection[State] | None = None,
    before: UUID | None = None,
    limit: int = 100,
) -> list[RequestRead]:
    """Newest first. `before`: the last request of the page before."""
    wanted = None if states is None else [state.value for state in states]
    return reading.read_all(db, run, store.requests(db, scope, states=wanted, before=before, limit=limit))


def requests_for_seals(db: Session, run: Runtime, tenant_id: UUID, seal_ids: Collection[UUID]) -> list[RequestRead]:
    """Approved or begun requests for these seals that can still be stamped, oldest approval first."""
    rows = store.requests_of_seals(db, tenant_id, seal_ids, [State.APPROVED.value, State.IN_USE.value])
    on_paper = [row for row in rows if row.expires_at > run.now() and reading.strokes(row) > 0]
    return reading.read_all(db, run, on_paper)


def may_decide(db: Session, run: Runtime, scope: Scope, request_id: UUID) -> MayDecideRead:
    """Whether the person of `scope` may decide now, and why not. Raises: NoSuchRequest."""
    row = store.request(db, scope, request_id)
    if row is None:
        raise NoSuchRequest
    return reading.may_decide(db, run, scope, row)


def may_keep(
    db: Session, tenant_id: UUID, request_id: UUID, person_id: UUID, *, stands_in_for: Collection[UUID] = ()
) -> policy.Refused | None:
    """None: this person may hold the paper and press, maybe in the place of a keeper. Raises: NoSuchRequest."""
    row = store.request(db, Scope.system(tenant_id), request_id)
    rule = reading.rule_of(row) if row is not None else None
    if row is None or rule is None:
        raise NoSuchRequest
    standing = reading.votes(row, store.decisions(db, [row.id]))
    return policy.may_keep(
        reading.policy_of(rule),
        standing,
        parties=reading.parties(row),
        person_id=person_id,
        stands_in_for=stands_in_for,
    )


def plan(request_read: RequestRead) -> tuple[PlannedStroke, ...]:
    """Every stroke asked for, in order; none when the document is only sealed electronically."""
    if request_read.form is SealForm.ELECTRONIC:
        return ()
    places = [(place.page, place.x_mm, place.y_mm) for place in request_read.places]
    return stroke_plan(places, request_read.copies)


def decided_payloads(db: Session, scope: Scope, request_id: UUID) -> list[tuple[UUID, bytes, bytes]]:
    """(decision id, signed payload, leaf hash) of the decisions that count, for the evidence bundle."""
    row = store.request(db, scope, request_id)
    if row is None:
        raise NoSuchRequest
    standing = [d for d in store.decisions(db, [row.id]) if d.revision == row.revision and d.voided_at is None]
    return [(decision.id, decision.payload, decision.leaf_hash) for decision in standing]
