"""The approver's step, and what happens to an approved request afterwards."""

from typing import Final, NoReturn
from uuid import UUID

from sqlmodel import Session

from server.approvals import policy, reading, sealing, store
from server.approvals import request as canonical_request
from server.approvals.asking import locked, move, read, record
from server.approvals.errors import (
    DecidedAlready,
    KeeperApproval,
    NothingToDecide,
    NotYourStage,
    RequestChanged,
    RequestOver,
    SelfApproval,
    WrongState,
)
from server.approvals.models import Decision, StampRequest
from server.approvals.policy import MayDecide, Refusal, State, Step
from server.approvals.schemas import RequestRead
from server.core.errors import ServerError
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.identity.entries import EntryType

_SAYS_NO: Final[dict[Refusal, type[ServerError]]] = {
    Refusal.IS_REQUESTER: SelfApproval,
    Refusal.IS_KEEPER: KeeperApproval,
    Refusal.DECIDED_ALREADY: DecidedAlready,
    Refusal.NOT_THIS_STAGE: NotYourStage,
    Refusal.NOTHING_OPEN: NothingToDecide,
}


def decide(
    db: Session,
    run: Runtime,
    scope: Scope,
    *,
    request_id: UUID,
    approve: bool,
    seen_digest: bytes,
    comment: str = "",
    method: str = "password",
) -> RequestRead:
    """One person's yes or no to exactly the request they saw. The caller has checked their password just before.

    Raises: NoSuchRequest, RequestChanged, RequestOver, SelfApproval, KeeperApproval, DecidedAlready, NotYourStage,
    NothingToDecide.
    """
    row = locked(db, scope, request_id)
    state, rule = reading.state_now(row, run), reading.rule_of(row)
    if state is State.EXPIRED:
        raise RequestOver(until=row.expires_at.isoformat(timespec="minutes"))
    standing = reading.votes(row, store.decisions(db, [row.id]))
    by = reading.decider(db, scope, row)
    if rule is None or row.digest is None or state is not State.SUBMITTED:
        _refuse(Refusal.IS_REQUESTER if by.person_id == row.requester_id else Refusal.NOTHING_OPEN)
    if seen_digest != row.digest:
        raise RequestChanged
    answer = policy.may_decide(reading.policy_of(rule), standing, parties=reading.parties(row), by=by)
    if not isinstance(answer, MayDecide):
        _refuse(answer.reason)
    vote = policy.Vote(approver_id=by.person_id, stage=answer.stage, approved=approve)
    complete = policy.approved(reading.policy_of(rule), [*standing, vote])
    _keep(db, run, row, vote, comment=comment, method=method, complete=complete)
    if not approve:
        move(row, Step.REJECT, run)
        row.closing_reason = comment
    elif complete:
        move(row, Step.APPROVE, run)
        row.approved_at = run.now()
        sealing.promise(db, run, row)
    db.add(row)
    db.flush()
    return read(db, run, row)


def start_use(db: Session, run: Runtime, *, tenant_id: UUID, request_id: UUID) -> RequestRead:
    """The first (or next) token was issued. Raises: NoSuchRequest, WrongState (or not for paper), RequestOver."""
    row = locked(db, Scope.system(tenant_id), request_id)
    if reading.strokes(row) == 0:
        raise WrongState(state=row.state, step=Step.START.value)
    move(row, Step.START, run)
    db.add(row)
    db.flush()
    return read(db, run, row)


def finish(db: Session, run: Runtime, *, tenant_id: UUID, request_id: UUID) -> None:
    """All imprints are made; saying it again changes nothing. Raises: NoSuchRequest."""
    row = locked(db, Scope.system(tenant_id), request_id)
    if State(row.state) is State.IN_USE:
        move(row, Step.FINISH, run)
        db.add(row)


def reopen(db: Session, run: Runtime, *, tenant_id: UUID, request_id: UUID) -> None:
    """A finished request goes on: one of its sheets was spoiled. Saying it again changes nothing.

    Raises: NoSuchRequest.
    """
    row = locked(db, Scope.system(tenant_id), request_id)
    if State(row.state) is State.DONE:
        move(row, Step.REOPEN, run)
        row.closed_at = None
        db.add(row)
        db.flush()


def void(db: Session, run: Runtime, scope: Scope, *, request_id: UUID, reason: str) -> RequestRead:
    """End a request that must not go on. Tokens already at a device live until their end, as the screen says.

    Raises: NoSuchRequest, WrongState.
    """
    row = locked(db, scope, request_id)
    move(row, Step.VOID, run)
    row.closing_reason = reason
    db.add(row)
    db.flush()
    public: dict[str, object] = {"old_digest": row.digest or b""}
    record(db, run, row, EntryType.REQUEST_VOIDED, public=public, private={"reason": reason, "by": scope.person_id})
    return read(db, run, row)


def _keep(
    db: Session, run: Runtime, row: StampRequest, vote: policy.Vote, *, comment: str, method: str, complete: bool
) -> None:
    digest, nonce, decision_id = row.digest or b"", run.rng.token_bytes(16), run.new_id()
    payload = canonical_request.decision_payload(
        request_digest=digest, approver_id=vote.approver_id, stage=vote.stage, nonce=nonce, approved=vote.approved
    )
    leaf_hash = record(
        db,
        run,
        row,
        EntryType.DECISION,
        refs={"decision": str(decision_id)},
        public={
            "request_digest": digest,
            "stage": vote.stage,
            "approved": vote.approved,
            "complete": complete,
            "method": f"{method}, attested by the server",
            "assertion_digest": canonical_request.digest(payload),
            "nonce": nonce,
        },
        private={"approver": vote.approver_id, "reason": comment, "assertion": payload},
    )
    db.add(
        Decision(
            id=decision_id,
            created_at=run.now(),
            tenant_id=row.tenant_id,
            request_id=row.id,
            revision=row.revision,
            request_digest=digest,
            approver_id=vote.approver_id,
            stage=vote.stage,
            approved=vote.approved,
            comment=comment,
            nonce=nonce,
            payload=payload,
            method=method,
            leaf_hash=leaf_hash,
        )
    )
    db.flush()


def _refuse(reason: Refusal) -> NoReturn:
    raise _SAYS_NO[reason]
