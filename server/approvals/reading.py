"""Requests as screens show them: names beside ids, the ladder of stages, what waits for whom."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlmodel import Session

from server.approvals import policy, store
from server.approvals.models import Decision, StampRequest
from server.approvals.policy import Decider, MayDecide, Parties, State, Vote
from server.approvals.schemas import (
    DecisionRead,
    Inbox,
    MayDecideRead,
    PlaceIn,
    RequestRead,
    SealForm,
    StageRead,
    Stamping,
)
from server.core.runtime import Runtime
from server.core.scope import Role, Scope
from server.identity import service as identity
from server.seals import service as seals
from server.seals.schemas import ApprovalRule

CLOSED = frozenset({State.DONE, State.REJECTED, State.WITHDRAWN, State.VOID, State.EXPIRED})


def votes(row: StampRequest, decisions: Iterable[Decision]) -> list[Vote]:
    """The decisions that still count for this revision."""
    return [
        Vote(approver_id=decision.approver_id, stage=decision.stage, approved=decision.approved)
        for decision in decisions
        if decision.request_id == row.id and decision.revision == row.revision and decision.voided_at is None
    ]


def parties(row: StampRequest) -> Parties:
    return Parties(requester_id=row.requester_id, keeper_id=row.keeper_id)


def rule_of(row: StampRequest) -> ApprovalRule | None:
    return None if row.rule is None else ApprovalRule.model_validate(row.rule)


def policy_of(rule: ApprovalRule) -> policy.Rule:
    return policy.Rule(
        stages=tuple(
            policy.Stage(role=stage.role.value, people=frozenset(stage.people), quorum=stage.quorum)
            for stage in rule.stages
        ),
        requester_may_keep=rule.requester_may_keep,
    )


def state_now(row: StampRequest, run: Runtime) -> State:
    """The stored state, or expired when its time is over and nobody has noted it yet."""
    state = State(row.state)
    over = state in {State.SUBMITTED, State.APPROVED} and run.now() >= row.expires_at
    return State.EXPIRED if over else state


def short(row: StampRequest) -> str:
    return f"SR-{row.created_at.year}-{row.number:04d}"


def strokes(row: StampRequest) -> int:
    """Imprints asked for on paper."""
    return 0 if row.form == SealForm.ELECTRONIC.value else len(row.places) * row.copies


def leaf_through(row: StampRequest) -> bool:
    """Whether every page must be seen by the camera before the first imprint."""
    rule = rule_of(row)
    return row.sweep or (rule is not None and rule.needs_sweep(row.pages))


def read_all(db: Session, run: Runtime, rows: Sequence[StampRequest]) -> list[RequestRead]:
    """Rows to reads, with three queries for all of them."""
    if not rows:
        return []
    tenant_id = rows[0].tenant_id
    decisions = store.decisions(db, [row.id for row in rows])
    people = {row.requester_id for row in rows} | {row.keeper_id for row in rows if row.keeper_id}
    names = identity.names(db, tenant_id, people | {decision.approver_id for decision in decisions})
    everywhere = Scope.system(tenant_id)
    seal_names = {seal_id: seals.seal(db, everywhere, seal_id).name for seal_id in {row.seal_id for row in rows}}
    return [_read(run, row, [d for d in decisions if d.request_id == row.id], names, seal_names) for row in rows]


def decider(db: Session, scope: Scope, row: StampRequest) -> Decider:
    """The person of `scope` with the roles held in the request's branch."""
    if scope.person_id is None:
        raise ValueError("the system decides nothing")
    held = identity.person(db, Scope.system(scope.tenant_id), scope.person_id).roles
    roles = frozenset(grant.role.value for grant in held if row.branch_path.startswith(grant.branch_path))
    return Decider(person_id=scope.person_id, roles=roles)


def may_decide(db: Session, run: Runtime, scope: Scope, row: StampRequest) -> MayDecideRead:
    rule = rule_of(row)
    if rule is None or state_now(row, run) is not State.SUBMITTED:
        return MayDecideRead(allowed=False, refusal=policy.Refusal.NOTHING_OPEN)
    standing = votes(row, store.decisions(db, [row.id]))
    answer = policy.may_decide(policy_of(rule), standing, parties=parties(row), by=decider(db, scope, row))
    if isinstance(answer, MayDecide):
        return MayDecideRead(allowed=True, stage=answer.stage)
    return MayDecideRead(allowed=False, refusal=answer.reason)


def inbox(db: Session, run: Runtime, scope: Scope) -> Inbox:
    """What needs this person now (soonest end first), what waits for others, what is over."""
    rows = store.requests(db, scope)
    needs, waiting, done = [], [], []
    for row in rows:
        state = state_now(row, run)
        if state in CLOSED:
            done.append(row)
        elif _needs(db, run, scope, row, state):
            needs.append(row)
        else:
            waiting.append(row)
    needs.sort(key=lambda row: row.expires_at)
    return Inbox(
        needs_you=tuple(read_all(db, run, needs)),
        waiting=tuple(read_all(db, run, waiting)),
        done=tuple(read_all(db, run, done[:20])),
    )


def _needs(db: Session, run: Runtime, scope: Scope, row: StampRequest, state: State) -> bool:
    if state is State.SUBMITTED:
        return scope.person_id is not None and may_decide(db, run, scope, row).allowed
    if state is State.DRAFT:
        return row.requester_id == scope.person_id
    return scope.has(Role.KEEPER) and row.keeper_id in {None, scope.person_id}


def _read(
    run: Runtime,
    row: StampRequest,
    decisions: Sequence[Decision],
    names: dict[UUID, str],
    seal_names: dict[UUID, str],
) -> RequestRead:
    facts = {
        name: getattr(row, name)
        for name in RequestRead.model_fields
        if hasattr(row, name) and name not in {"places", "rule", "state", "stamping"}
    }
    return RequestRead(
        **facts,
        state=state_now(row, run),
        short=short(row),
        seal_name=seal_names[row.seal_id],
        places=tuple(PlaceIn(page=page, x_mm=x_mm, y_mm=y_mm) for page, x_mm, y_mm in row.places),
        strokes=strokes(row),
        stamping=Stamping(row.stamping),
        leaf_through=leaf_through(row),
        rule=rule_of(row),
        requester_name=names.get(row.requester_id, ""),
        keeper_name=names.get(row.keeper_id) if row.keeper_id else None,
        decisions=tuple(_read_decision(decision, names) for decision in decisions),
        stages=_ladder(row, decisions),
    )


def _read_decision(decision: Decision, names: dict[UUID, str]) -> DecisionRead:
    facts = {name: getattr(decision, name) for name in DecisionRead.model_fields if name != "approver_name"}
    return DecisionRead(**facts, approver_name=names.get(decision.approver_id, ""))


def _ladder(row: StampRequest, decisions: Sequence[Decision]) -> tuple[StageRead, ...]:
    rule = rule_of(row)
    if rule is None:
        return ()
    standing = votes(row, decisions)
    waiting_for = policy.open_stage(policy_of(rule), standing) if State(row.state) is State.SUBMITTED else None
    counts = [sum(vote.stage == number and vote.approved for vote in standing) for number in range(len(rule.stages))]
    return tuple(
        StageRead(
            name=stage.name,
            quorum=stage.quorum,
            decided=counts[number],
            complete=counts[number] >= stage.quorum,
            open=number == waiting_for,
        )
        for number, stage in enumerate(rule.stages)
    )
