"""A doubtful page: a second authorised person answers "stamp anyway, because ..." or "no" while the keeper waits.

Who may: an approver or another keeper of the branch, never the one who stamps nor the one who asked. The answer is an
entry of the ledger; "anyway" permits exactly that photo, while the device's permission lives. A wrong page has no case.
"""

from typing import Final
from uuid import UUID

from sqlmodel import Session

from firmware_protocol import cbor
from server.approvals import service as approvals
from server.core.runtime import Runtime
from server.core.scope import Role, Scope
from server.devices import service as devices
from server.devices.schemas import GatewayRead
from server.identity import entries
from server.identity import service as identity
from server.identity.entries import EntryType
from server.inspection import service as inspection
from server.inspection.schemas import FindingRead
from server.tokens import permitting, store
from server.tokens.errors import CaseClosed, NoSuchCase, NotYourCase, ReasonNeeded
from server.tokens.models import DoubtCase
from server.tokens.schemas import CaseOut, CaseRead, CaseState
from server.tokens.seeing import Seen

NOT_FOR_PEOPLE: Final = frozenset({"undecodable", "no_strip", "no_page"})
"""Doubts that nobody can settle by looking at the photo: the keeper takes another one."""
LEAST_REASON: Final = 3


def open_for(db: Session, run: Runtime, seen: Seen, finding: FindingRead) -> DoubtCase | None:
    """The case of this doubtful photo; an older photo of the stroke waits no longer."""
    known = store.case_of_finding(db, finding.id)
    if known is not None:
        return known
    close_for(db, seen.token.token_id, seen.body.stroke)
    if finding.answer != "doubtful" or finding.reason in NOT_FOR_PEOPLE:
        return None
    row = DoubtCase(
        id=run.new_id(),
        created_at=run.now(),
        tenant_id=seen.at.tenant_id,
        branch_path=seen.at.branch_path,
        request_id=seen.at.request_id,
        device_id=seen.at.device_id,
        token_id=seen.at.token_id,
        stroke=seen.at.stroke,
        page=seen.at.page,
        finding_id=finding.id,
        event=seen.event,
        keeper_id=seen.token.operator_id,
        state=CaseState.WAITING.value,
        ends_at=seen.token.lease_until,
    )
    db.add(row)
    db.flush()
    return row


def close_for(db: Session, token_id: bytes, stroke: int) -> None:
    """Another photo of the stroke took the place of those that somebody should have looked at."""
    for row in store.waiting_at(db, token_id, stroke):
        row.state = CaseState.OVER.value
        db.add(row)
    db.flush()


def case_of_gateway(db: Session, run: Runtime, gateway: GatewayRead, *, device_id: str, case_id: UUID) -> CaseOut:
    """What a keeper waits for. Raises: NoSuchDevice, NoSuchCase."""
    device = devices.device_of_gateway(db, gateway, device_id)
    row = store.case(db, case_id)
    if row is None or row.device_id != device.device_id:
        raise NoSuchCase
    names = identity.names(db, row.tenant_id, [row.answered_by])
    return CaseOut(
        state=_state(run, row),
        by=names.get(row.answered_by, "") if row.answered_by else "",
        reason=row.reason,
        asked_ms=round(row.created_at.timestamp() * 1000),
    )


def case(db: Session, run: Runtime, scope: Scope, case_id: UUID) -> CaseRead:
    """Raises: NoSuchCase."""
    row = store.case(db, case_id)
    if row is None or row.tenant_id != scope.tenant_id or not scope.covers(row.branch_path):
        raise NoSuchCase
    return _read(run, row)


def waiting(db: Session, run: Runtime, scope: Scope) -> list[CaseRead]:
    """Cases that the person of `scope` may answer now, longest waiting first."""
    rows = [row for row in store.waiting_cases(db, scope) if _state(run, row) is CaseState.WAITING]
    return [_read(run, row) for row in rows if may_answer(db, run, scope, row)]


def cases_of(db: Session, run: Runtime, scope: Scope, request_id: UUID) -> list[CaseRead]:
    """All cases of a request, oldest first."""
    rows = store.cases_of_request(db, scope.tenant_id, request_id)
    return [_read(run, row) for row in rows if scope.covers(row.branch_path)]


def may_answer(db: Session, run: Runtime, scope: Scope, row: DoubtCase | CaseRead) -> bool:
    """Whether the person of `scope` is a second authorised person for this case."""
    if scope.person_id is None or scope.person_id == row.keeper_id or not scope.covers(row.branch_path):
        return False
    asked = approvals.request(db, run, Scope.system(row.tenant_id), row.request_id)
    if scope.person_id == asked.requester_id:
        return False
    return any(
        identity.holds(db, row.tenant_id, scope.person_id, role, row.branch_path)
        for role in (Role.APPROVER, Role.KEEPER)
    )


def answer(db: Session, run: Runtime, scope: Scope, *, case_id: UUID, anyway: bool, reason: str) -> CaseRead:
    """Put the answer on record; for "anyway", sign and send the permit for the photo of the case.

    Raises: NoSuchCase, NotYourCase, CaseClosed, ReasonNeeded, and for "anyway" what `permitting.permit` raises.
    """
    row = store.case(db, case_id, lock=True)
    if row is None or row.tenant_id != scope.tenant_id or not scope.covers(row.branch_path):
        raise NoSuchCase
    if not may_answer(db, run, scope, row):
        raise NotYourCase
    if _state(run, row) is not CaseState.WAITING:
        raise CaseClosed
    if len(reason.strip()) < LEAST_REASON:
        raise ReasonNeeded
    finding = inspection.finding(db, Scope.system(row.tenant_id), row.finding_id)
    row.state = (CaseState.ANYWAY if anyway else CaseState.NO).value
    row.answered_at, row.answered_by, row.reason = run.now(), scope.person_id, reason.strip()
    row.leaf_hash = _record(db, run, scope, row, finding)
    db.add(row)
    db.flush()
    if anyway:
        permitting.permit_case(db, run, row, finding)
    return _read(run, row)


def _record(db: Session, run: Runtime, scope: Scope, row: DoubtCase, finding: FindingRead) -> bytes:
    """What was decided, about which photo, as one byte string in the entry: VERDICT."""
    nonce = run.rng.token_bytes(16)
    said = cbor.encode(["seal/1/case", row.id.bytes, finding.leaf_hash, row.state, row.reason, nonce])
    return entries.record(
        db,
        run,
        EntryType.VERDICT,
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        refs={
            "request": row.request_id,
            "device": row.device_id,
            "token": row.token_id,
            "finding": row.finding_id,
            "photo": finding.photo_digest,
            "case": row.id,
        },
        public={
            "stroke": row.stroke,
            "verdict": row.state,
            "finding_kind": "doubtful_page",
            "method": "session, attested by the server",
            "photo_digest": finding.photo_digest,
        },
        private={"reason": row.reason, "by": scope.person_id, "assertion": said},
    )


def _state(run: Runtime, row: DoubtCase) -> CaseState:
    state = CaseState(row.state)
    return CaseState.OVER if state is CaseState.WAITING and run.now() >= row.ends_at else state


def _read(run: Runtime, row: DoubtCase) -> CaseRead:
    return CaseRead.model_validate(row).model_copy(update={"state": _state(run, row)})
