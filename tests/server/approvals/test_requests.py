"""Requests from draft to approved, through the services, on a real database."""

from datetime import timedelta

import pytest

from firmware_protocol import cbor
from server.approvals import service as approvals
from server.approvals.errors import (
    BadPlace,
    DecidedAlready,
    DocumentRefused,
    NoSuchRequest,
    NothingToDecide,
    NotYours,
    NotYourStage,
    RequestChanged,
    RequestOver,
    SelfApproval,
    WrongState,
)
from server.approvals.policy import State
from server.approvals.schemas import RequestIn
from server.core.clock import FixedClock
from server.core.runtime import Runtime
from server.ledger import service as ledger
from server.seals import service as seals
from server.seals.schemas import ApprovalRule, SealState, Stage
from tests.fixtures.databases import on_both
from tests.server.world import SPOT, Company, contract_pdf

pytestmark = on_both


def test_a_request_is_approved_by_another_person(company: Company) -> None:
    request = company.approved()
    assert request.state is State.APPROVED
    assert request.short == "SR-2026-0001"
    assert request.strokes == 2
    assert [(stage.decided, stage.complete) for stage in request.stages] == [(1, True)]
    decision = request.decisions[0]
    assert (decision.approver_name, decision.method) == ("Boss", "password")
    assert decision.request_digest == request.digest


def test_the_requester_cannot_approve(company: Company) -> None:
    request = company.submitted()
    with pytest.raises(SelfApproval):
        company.decide(company.clerk, request)


def test_a_keeper_of_the_branch_is_no_approver(company: Company) -> None:
    with pytest.raises(NotYourStage):
        company.decide(company.keeper, company.submitted())


def test_another_branch_does_not_even_see_it(company: Company) -> None:
    request = company.submitted()
    with pytest.raises(NoSuchRequest):
        company.decide(company.stranger, request)


def test_two_of_two_in_order(company: Company, run: Runtime) -> None:
    rule = ApprovalRule(
        stages=(Stage(name="Finance", quorum=2), Stage(name="Legal", people=(company.auditor.id,))),
    )
    with run.db.write() as db:
        seals.set_rule(db, run, company.everywhere, seal_id=company.seal.id, rule=rule)
    request = company.submitted()
    request = company.decide(company.boss, request)
    assert request.state is State.SUBMITTED
    with pytest.raises(DecidedAlready):
        company.decide(company.boss, request)
    request = company.decide(company.second_boss, request)
    assert [stage.open for stage in request.stages] == [False, True]
    with pytest.raises(NotYourStage):  # named, but without the role
        company.decide(company.auditor, request)


def test_a_no_is_final(company: Company) -> None:
    request = company.decide(company.boss, company.submitted(), approve=False)
    assert request.state is State.REJECTED
    with pytest.raises(NothingToDecide):
        company.decide(company.second_boss, request)


def test_any_change_voids_the_decision_and_shows_it(company: Company, run: Runtime) -> None:
    request = company.approved()
    form = RequestIn(seal_id=company.seal.id, title="Supply contract", places=(SPOT,), copies=3)
    with run.db.write() as db:
        changed = approvals.change(db, run, company.scope(company.clerk), request_id=request.id, form=form)
    assert (changed.state, changed.revision, changed.digest) == (State.DRAFT, 2, None)
    assert changed.decisions[0].voided_at is not None
    with run.db.write() as db:
        again = approvals.submit(db, run, company.scope(company.clerk), request_id=request.id)
    assert again.digest != request.digest
    with pytest.raises(RequestChanged):  # the approver still has the first version on the screen
        company.decide(company.boss, request)
    assert company.decide(company.boss, again).state is State.APPROVED


def test_only_the_requester_changes_or_withdraws(company: Company, run: Runtime) -> None:
    request = company.submitted()
    with pytest.raises(NotYours), run.db.write() as db:
        approvals.withdraw(db, run, company.scope(company.boss), request_id=request.id, reason="not mine")
    with run.db.write() as db:
        gone = approvals.withdraw(db, run, company.scope(company.clerk), request_id=request.id, reason="mistake")
    assert gone.state is State.WITHDRAWN


def test_time_ends_a_request(company: Company, clock: FixedClock, run: Runtime) -> None:
    request = company.submitted()
    clock.advance(timedelta(days=8))
    with pytest.raises(RequestOver):
        company.decide(company.boss, request)
    with run.db.write() as db:
        assert approvals.expire_due(db, run) == 1
    with run.db.read() as db:
        assert approvals.request(db, run, company.everywhere, request.id).state is State.EXPIRED


def test_a_place_off_the_page_is_refused(company: Company) -> None:
    with pytest.raises(BadPlace):
        company.draft(form={"places": ({"page": 3, "x_mm": 1, "y_mm": 1},)})
    with pytest.raises(BadPlace):
        company.draft(form={"places": ({"page": 1, "x_mm": 211, "y_mm": 1},)})


def test_a_suspended_seal_stops_a_submission(company: Company, run: Runtime) -> None:
    request = company.draft()
    with run.db.write() as db:
        seals.set_state(
            db, run, company.everywhere, seal_id=company.seal.id, state=SealState.SUSPENDED, reason="under review"
        )
    with pytest.raises(seals.SealNotActive), run.db.write() as db:
        approvals.submit(db, run, company.scope(company.clerk), request_id=request.id)


def test_in_use_cannot_be_changed(company: Company, run: Runtime) -> None:
    request = company.approved()
    with run.db.write() as db:
        approvals.start_use(db, run, tenant_id=company.tenant.id, request_id=request.id)
    with pytest.raises(WrongState), run.db.write() as db:
        approvals.withdraw(db, run, company.scope(company.clerk), request_id=request.id, reason="too late")


def test_each_decision_is_queued_for_the_ledger_in_the_same_transaction(company: Company, run: Runtime) -> None:
    request = company.submitted()
    with run.db.read() as db:
        before = ledger.queued(db)
    request = company.decide(company.boss, request)
    with run.db.read() as db:
        assert ledger.queued(db) == before + 1
        openings = ledger.openings(db, company.everywhere, request.decisions[0].leaf_hash)
        (_id, payload, leaf_hash) = approvals.decided_payloads(db, company.everywhere, request.id)[0]
    assert openings["approver"] is not None
    assert cbor.decode(openings["approver"].value) == str(company.boss.id)
    assert cbor.decode(payload)[1] == request.digest
    assert leaf_hash == request.decisions[0].leaf_hash


def test_the_inbox_sorts_by_who_must_act(company: Company, run: Runtime) -> None:
    waiting = company.submitted()
    approved = company.approved()
    with run.db.read() as db:
        boss = approvals.inbox(db, run, company.scope(company.boss))
        keeper = approvals.inbox(db, run, company.scope(company.keeper))
        stranger = approvals.inbox(db, run, company.scope(company.stranger))
    assert [request.id for request in boss.needs_you] == [waiting.id]
    assert [request.id for request in keeper.needs_you] == [approved.id]
    assert stranger.needs_you == stranger.waiting == stranger.done == ()


def test_pages_become_pictures_once(company: Company, run: Runtime) -> None:
    request = company.draft()
    first = approvals.page_png(run, company.tenant.id, request.document_digest, 2)
    assert first.startswith(b"\x89PNG")
    assert approvals.page_png(run, company.tenant.id, request.document_digest, 2) == first


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty_document"),
        (b"hello", "not_a_document"),
        (b"%PDF-1.7 and nothing else", "broken_document"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 old Word", "word_document"),
    ],
)
def test_files_that_are_no_documents_are_answered_with_what_to_do(run: Runtime, data: bytes, code: str) -> None:
    with pytest.raises(DocumentRefused) as refused:
        approvals.prepare(run, data)
    assert refused.value.code == code
    assert refused.value.text(refused.value.next_step)


def test_the_same_document_has_one_digest(run: Runtime) -> None:
    assert approvals.prepare(run, contract_pdf()).digest == approvals.prepare(run, contract_pdf()).digest
    assert (
        approvals.prepare(run, contract_pdf()).digest != approvals.prepare(run, contract_pdf(amount="7.200,00")).digest
    )
