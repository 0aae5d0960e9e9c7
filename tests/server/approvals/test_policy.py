"""The rules alone: who may decide, in which order."""

from uuid import UUID

import pytest

from server.approvals.policy import (
    Decider,
    MayDecide,
    OutOfOrder,
    Parties,
    Refusal,
    Refused,
    Rule,
    Stage,
    State,
    Step,
    Vote,
    approved,
    may_decide,
    may_keep,
    next_state,
    open_stage,
)

ANA, BEA, CAI, DAN, EVE = (UUID(int=number) for number in range(1, 6))
ANYONE = Stage(role="approver", people=frozenset(), quorum=1)
TWO_OF_THREE = Stage(role="approver", people=frozenset({BEA, CAI, DAN}), quorum=2)
RULE = Rule(stages=(TWO_OF_THREE, ANYONE), requester_may_keep=False)
PARTIES = Parties(requester_id=ANA, keeper_id=EVE)


def by(person: UUID, *roles: str) -> Decider:
    return Decider(person_id=person, roles=frozenset(roles or ("approver",)))


def yes(person: UUID, stage: int) -> Vote:
    return Vote(approver_id=person, stage=stage, approved=True)


def test_requester_and_keeper_never_decide() -> None:
    assert may_decide(RULE, [], parties=PARTIES, by=by(ANA)) == Refused(Refusal.IS_REQUESTER)
    assert may_decide(RULE, [], parties=PARTIES, by=by(EVE)) == Refused(Refusal.IS_KEEPER)


def test_stages_are_decided_in_order() -> None:
    assert may_decide(RULE, [], parties=PARTIES, by=by(UUID(int=9))) == Refused(Refusal.NOT_THIS_STAGE)
    first = [yes(BEA, 0), yes(CAI, 0)]
    assert may_decide(RULE, first, parties=PARTIES, by=by(UUID(int=9))) == MayDecide(1)


def test_nobody_decides_twice_not_even_in_another_stage() -> None:
    votes = [yes(BEA, 0), yes(CAI, 0)]
    assert may_decide(RULE, votes, parties=PARTIES, by=by(BEA)) == Refused(Refusal.DECIDED_ALREADY)
    assert may_decide(RULE, votes[:1], parties=PARTIES, by=by(BEA)) == Refused(Refusal.DECIDED_ALREADY)


def test_a_role_is_needed() -> None:
    assert may_decide(RULE, [], parties=PARTIES, by=by(BEA, "auditor")) == Refused(Refusal.NOT_THIS_STAGE)


def test_the_quorum_counts_people_not_votes() -> None:
    assert open_stage(RULE, [yes(BEA, 0), yes(BEA, 0)]) == 0
    assert open_stage(RULE, [yes(BEA, 0), yes(DAN, 0)]) == 1
    assert approved(RULE, [yes(BEA, 0), yes(DAN, 0), yes(UUID(int=9), 1)])


def test_one_no_ends_it() -> None:
    no = Vote(approver_id=BEA, stage=0, approved=False)
    assert not approved(RULE, [no])
    assert may_decide(RULE, [no], parties=PARTIES, by=by(CAI)) == Refused(Refusal.NOTHING_OPEN)


def test_who_may_hold_the_paper() -> None:
    open_keeper = Parties(requester_id=ANA, keeper_id=None)
    allowed = Rule(stages=RULE.stages, requester_may_keep=True)
    votes = [yes(BEA, 0)]
    assert may_keep(RULE, votes, parties=PARTIES, person_id=EVE) is None
    assert may_keep(RULE, votes, parties=PARTIES, person_id=DAN) == Refused(Refusal.OTHER_KEEPER)
    assert may_keep(RULE, votes, parties=open_keeper, person_id=BEA) == Refused(Refusal.IS_APPROVER)
    assert may_keep(RULE, votes, parties=open_keeper, person_id=ANA) == Refused(Refusal.IS_REQUESTER)
    assert may_keep(allowed, votes, parties=open_keeper, person_id=ANA) is None


@pytest.mark.parametrize("state", [State.DONE, State.REJECTED, State.WITHDRAWN, State.VOID, State.EXPIRED])
@pytest.mark.parametrize("step", [step for step in Step if step is not Step.REOPEN])
def test_what_is_over_stays_over(state: State, step: Step) -> None:
    with pytest.raises(OutOfOrder):
        next_state(state, step)


@pytest.mark.parametrize("state", list(State))
def test_only_a_finished_request_goes_on_after_a_spoiled_sheet(state: State) -> None:
    if state is State.DONE:
        assert next_state(state, Step.REOPEN) is State.IN_USE
    else:
        with pytest.raises(OutOfOrder):
            next_state(state, Step.REOPEN)
