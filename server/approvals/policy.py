"""Who may decide, in which order, and what state a request may take. Pure: values in, an answer out.

Rules: a requester never approves; a keeper never approves; nobody decides twice; stages are decided in order; each
needs its quorum of different people; the requester holds the paper only where the seal's rule allows it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID


class State(StrEnum):
    DRAFT = "draft"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    IN_USE = "in_use"
    DONE = "done"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    VOID = "void"
    EXPIRED = "expired"


class Step(StrEnum):
    SUBMIT = "submit"
    APPROVE = "approve"  # the last decision that was missing
    REJECT = "reject"
    WITHDRAW = "withdraw"
    CHANGE = "change"  # back to a draft; what was decided is void
    VOID = "void"
    START = "start"  # the first token
    FINISH = "finish"
    REOPEN = "reopen"  # a sheet was spoiled: one more is due, within the spares
    EXPIRE = "expire"


_ALLOWED: Final[dict[tuple[State, Step], State]] = {
    (State.DRAFT, Step.SUBMIT): State.SUBMITTED,
    (State.DRAFT, Step.CHANGE): State.DRAFT,
    (State.DRAFT, Step.WITHDRAW): State.WITHDRAWN,
    (State.SUBMITTED, Step.APPROVE): State.APPROVED,
    (State.SUBMITTED, Step.REJECT): State.REJECTED,
    (State.SUBMITTED, Step.WITHDRAW): State.WITHDRAWN,
    (State.SUBMITTED, Step.CHANGE): State.DRAFT,
    (State.SUBMITTED, Step.VOID): State.VOID,
    (State.SUBMITTED, Step.EXPIRE): State.EXPIRED,
    (State.APPROVED, Step.WITHDRAW): State.WITHDRAWN,
    (State.APPROVED, Step.CHANGE): State.DRAFT,
    (State.APPROVED, Step.VOID): State.VOID,
    (State.APPROVED, Step.START): State.IN_USE,
    (State.APPROVED, Step.EXPIRE): State.EXPIRED,
    (State.IN_USE, Step.START): State.IN_USE,
    (State.IN_USE, Step.FINISH): State.DONE,
    (State.DONE, Step.REOPEN): State.IN_USE,
    (State.IN_USE, Step.VOID): State.VOID,
}


class Refusal(StrEnum):
    """Why a person may not decide, or may not hold the paper."""

    IS_REQUESTER = "is_requester"
    IS_KEEPER = "is_keeper"
    DECIDED_ALREADY = "decided_already"
    NOT_THIS_STAGE = "not_this_stage"
    NOTHING_OPEN = "nothing_open"
    IS_APPROVER = "is_approver"
    OTHER_KEEPER = "other_keeper"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """`quorum` different people who hold `role`, out of `people` when it names any."""

    role: str
    people: frozenset[UUID]
    quorum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    stages: tuple[Stage, ...]
    requester_may_keep: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Vote:
    """A decision that still counts. `stage` counts from 0."""

    approver_id: UUID
    stage: int
    approved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Parties:
    requester_id: UUID
    keeper_id: UUID | None  # None: any keeper of the branch


@dataclass(frozen=True, slots=True, kw_only=True)
class Decider:
    person_id: UUID
    roles: frozenset[str]  # held in the request's branch


@dataclass(frozen=True, slots=True)
class MayDecide:
    stage: int


@dataclass(frozen=True, slots=True)
class Refused:
    reason: Refusal


class OutOfOrder(Exception):
    """A step that the state does not allow."""

    def __init__(self, state: State, step: Step) -> None:
        super().__init__(f"{step} is not possible while {state}")
        self.state = state
        self.step = step


def next_state(state: State, step: Step) -> State:
    """Raises: OutOfOrder."""
    try:
        return _ALLOWED[state, step]
    except KeyError:
        raise OutOfOrder(state, step) from None


def open_stage(rule: Rule, votes: Sequence[Vote]) -> int | None:
    """The first stage without its quorum; None when all have theirs, or one vote was a no."""
    if any(not vote.approved for vote in votes):
        return None
    for number, stage in enumerate(rule.stages):
        if len({vote.approver_id for vote in votes if vote.stage == number}) < stage.quorum:
            return number
    return None


def approved(rule: Rule, votes: Sequence[Vote]) -> bool:
    return open_stage(rule, votes) is None and all(vote.approved for vote in votes)


def may_decide(rule: Rule, votes: Sequence[Vote], *, parties: Parties, by: Decider) -> MayDecide | Refused:
    if by.person_id == parties.requester_id:
        return Refused(Refusal.IS_REQUESTER)
    if by.person_id == parties.keeper_id:
        return Refused(Refusal.IS_KEEPER)
    number = open_stage(rule, votes)
    if number is None:
        return Refused(Refusal.NOTHING_OPEN)
    if any(vote.approver_id == by.person_id for vote in votes):
        return Refused(Refusal.DECIDED_ALREADY)
    stage = rule.stages[number]
    if stage.role not in by.roles or (stage.people and by.person_id not in stage.people):
        return Refused(Refusal.NOT_THIS_STAGE)
    return MayDecide(number)


def may_keep(
    rule: Rule, votes: Sequence[Vote], *, parties: Parties, person_id: UUID, stands_in_for: Collection[UUID] = ()
) -> Refused | None:
    """None: this person may hold the paper and press. A deputy may do so in the place of the keeper who was named."""
    if parties.keeper_id is not None and parties.keeper_id not in {person_id, *stands_in_for}:
        return Refused(Refusal.OTHER_KEEPER)
    if any(vote.approver_id == person_id for vote in votes):
        return Refused(Refusal.IS_APPROVER)
    if person_id == parties.requester_id and not rule.requester_may_keep:
        return Refused(Refusal.IS_REQUESTER)
    return None
