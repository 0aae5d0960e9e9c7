"""fsck --policy names every right that the entries do not justify, and nothing in an honest company's log."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlmodel import select

from firmware_protocol import events
from firmware_protocol.events import Grant, Refusal
from firmware_protocol.reasons import Reason
from firmware_protocol.tokens import Mode
from server.core.scope import Role
from server.devices import service as devices
from server.devices.schemas import DeputyIn
from server.identity import service as identity
from server.identity.entries import EntryType
from server.identity.schemas import PersonRead
from server.ledger.models import LedgerOpening
from server.seals.schemas import ApprovalRule, Stage
from server.tokens import service as tokens
from tests.server.ledger.forger import Asked, Forger
from tests.server.office import Office
from tests.server.world import Company

DAY = timedelta(days=1)
TWO_STAGES = ApprovalRule(stages=(Stage(name="Finance"), Stage(name="Law", quorum=2)))


@pytest.fixture
def forger(office: Office) -> Forger:
    made = Forger(office)
    for person in (office.company.boss, office.company.second_boss):
        made.password(person)
    return made


def approved(forger: Forger) -> Asked:
    asked = forger.ask()
    forger.decide(asked, forger.company.boss)
    return asked


def role(forger: Forger, person: PersonRead, held: Role, *, given: bool) -> None:
    with forger.run.db.write() as db:
        identity.set_role(
            db,
            forger.run,
            forger.company.everywhere,
            person_id=person.id,
            role=held,
            branch_path="/",
            held=given,
        )


def no_approver(forger: Forger) -> None:
    forger.token(forger.ask())


def too_few_approvers(forger: Forger) -> None:
    forger.rule(TWO_STAGES)
    asked = forger.ask(version=2)
    forger.decide(asked, forger.company.boss)
    forger.decide(asked, forger.company.second_boss, stage=1)
    forger.token(asked)


def approver_without_the_role(forger: Forger) -> None:
    role(forger, forger.company.boss, Role.APPROVER, given=False)
    forger.token(approved(forger))


def approver_of_another_branch(forger: Forger) -> None:
    asked = forger.ask()
    forger.password(forger.company.stranger)
    forger.decide(asked, forger.company.stranger)
    forger.token(asked)


def approver_whom_the_rule_does_not_name(forger: Forger) -> None:
    forger.rule(ApprovalRule(stages=(Stage(name="Law", people=(forger.company.second_boss.id,)),)))
    asked = forger.ask(version=2)
    forger.decide(asked, forger.company.boss)
    forger.token(asked)


def role_from_nobody_who_might(forger: Forger) -> None:
    clerk = forger.company.auditor
    forger.password(clerk)
    public = {"branch": "/", "role": "approver", "granted": True}
    forger.record(EntryType.ROLE_SET, refs={"person": clerk.id}, public=public, private={"by": clerk.id})
    asked = forger.ask()
    forger.decide(asked, clerk)
    forger.token(asked)


def self_approval(forger: Forger) -> None:
    role(forger, forger.company.clerk, Role.APPROVER, given=True)
    forger.password(forger.company.clerk)
    asked = forger.ask()
    forger.decide(asked, forger.company.clerk)
    forger.token(asked)


def keeper_approves(forger: Forger) -> None:
    asked = forger.ask(keeper_id=forger.company.boss.id)
    forger.decide(asked, forger.company.boss)
    forger.token(asked)


def credential_revoked(forger: Forger) -> None:
    forger.record(EntryType.CREDENTIAL_REVOKED, refs={"person": forger.company.boss.id}, public={"method": "password"})
    forger.token(approved(forger))


def credential_unknown(forger: Forger) -> None:
    role(forger, forger.company.auditor, Role.APPROVER, given=True)
    asked = forger.ask()
    forger.decide(asked, forger.company.auditor)
    forger.token(asked)


def approver_who_left(forger: Forger) -> None:
    forger.record(EntryType.PERSON_REMOVED, refs={"person": forger.company.boss.id})
    forger.token(approved(forger))


def old_rule(forger: Forger) -> None:
    forger.rule(TWO_STAGES)
    forger.token(approved(forger))


def more_strokes(forger: Forger) -> None:
    forger.token(approved(forger), strokes=3)


def strokes_twice(forger: Forger) -> None:
    asked = approved(forger)
    forger.token(asked)
    forger.token(asked, strokes=1)


def stages_out_of_order(forger: Forger) -> None:
    forger.rule(TWO_STAGES)
    asked = forger.ask(version=2)
    forger.decide(asked, forger.company.boss, stage=1)
    forger.decide(asked, forger.company.second_boss)
    forger.token(asked)


def decided_after_expiry(forger: Forger) -> None:
    asked = forger.ask()
    forger.decide(asked, forger.company.boss, at=8 * DAY)
    forger.token(asked)


def issued_after_expiry(forger: Forger) -> None:
    forger.token(approved(forger), at=8 * DAY)


def said_no(forger: Forger) -> None:
    asked = forger.ask()
    forger.decide(asked, forger.company.boss, approved=False)
    forger.token(asked)


def another_digest(forger: Forger) -> None:
    asked = forger.ask()
    forger.decide(asked, forger.company.boss, digest=bytes(32))
    forger.token(asked)


def another_hand(forger: Forger) -> None:
    asked = forger.ask()
    forger.decide(asked, forger.company.boss, signed_by=forger.company.second_boss)
    forger.token(asked)


def voided(forger: Forger) -> None:
    asked = approved(forger)
    forger.record(EntryType.REQUEST_VOIDED, refs={"request": asked.id}, public={"old_digest": asked.digest})
    forger.token(asked)


def deputy_after_the_days(forger: Forger) -> None:
    forger.token(approved(forger), keeper=deputy(forger), at=3 * DAY)


def keeper_of_elsewhere(forger: Forger) -> None:
    forger.token(approved(forger), keeper=forger.company.stranger)


def other_document(forger: Forger) -> None:
    forger.token(approved(forger), document=bytes(32))


def other_head(forger: Forger) -> None:
    forger.token(approved(forger), head=b"forehead")


def page_check_left_out(forger: Forger) -> None:
    forger.token(approved(forger), policy=2)


def voucher_unasked(forger: Forger) -> None:
    forger.token(approved(forger), policy=int(Mode.VOUCHER), counter=1)


def token_off_the_record(forger: Forger) -> None:
    forger.token(approved(forger), accounted=False)


def permit_without_a_look(forger: Forger) -> None:
    forger.permit(forger.token(approved(forger)), forger.run.new_id())


def permit_for_a_wrong_page(forger: Forger) -> None:
    forger.permit(forger.token(approved(forger)), forger.finding("wrong"))


def permit_answered_by_the_keeper(forger: Forger) -> None:
    finding = forger.finding("doubtful")
    forger.anyway(finding, forger.company.keeper)
    forger.permit(forger.token(approved(forger)), finding)


def permit_for_another_document(forger: Forger) -> None:
    forger.permit(forger.token(approved(forger)), forger.finding("match"), document=bytes(32))


def permit_beyond_the_token(forger: Forger) -> None:
    forger.permit(forger.token(approved(forger)), forger.finding("match"), stroke=3)


def service_by_one_person(forger: Forger) -> None:
    forger.service(forger.company.admin, forger.company.admin)


def service_by_no_administrator(forger: Forger) -> None:
    forger.service(forger.company.admin, forger.company.keeper)


def service_not_proposed(forger: Forger) -> None:
    role(forger, forger.company.auditor, Role.ADMINISTRATOR, given=True)
    forger.service(forger.company.admin, forger.company.auditor, proposed=False)


def release_not_ordered(forger: Forger) -> None:
    refs = {"device": forger.office.pen.device_id}
    forger.record(EntryType.DEVICE_RESET_ORDERED, refs=refs, public={"order_digest": bytes(32)})


def unlocked_without_a_token(forger: Forger) -> None:
    forger.office.pen.write(Grant(token_id=b"a" * 16, token_digest=bytes(32), max_strokes=1))


PLANTED: dict[Callable[[Forger], None], str] = {
    no_approver: "stage 1 has 0 of 1 decisions",
    too_few_approvers: "stage 2 has 1 of 2 decisions",
    approver_without_the_role: "held no role 'approver'",
    approver_of_another_branch: "held no role 'approver' in /spain/madrid/",
    approver_whom_the_rule_does_not_name: "not one of those whom the rule names",
    role_from_nobody_who_might: "held no role 'approver'",
    self_approval: "self-approval",
    keeper_approves: "the approver is the keeper",
    credential_revoked: "'password' was unknown or revoked",
    credential_unknown: "'password' was unknown or revoked",
    approver_who_left: "held no role 'approver'",
    old_rule: "its rule generation is 1, in force was 2",
    more_strokes: "more strokes than approved: 3 counted with it, 2 approved",
    strokes_twice: "more strokes than approved: 3 counted with it, 2 approved",
    stages_out_of_order: "order of stages: stage 2, while stage 1 was open",
    decided_after_expiry: "decided after the request's end",
    issued_after_expiry: "issued after the request's end",
    said_no: "an approver said no",
    another_digest: "on another digest",
    another_hand: "does not say this decision",
    voided: "was voided or withdrawn before it",
    deputy_after_the_days: "nor a deputy in these days",
    keeper_of_elsewhere: "neither keeper there",
    other_document: "its document is not the one approved",
    other_head: "its head is not one of the seal's",
    page_check_left_out: "checks pages less than approved",
    voucher_unasked: "a voucher, which the request does not ask for",
    token_off_the_record: "no entry says why it was issued",
    permit_without_a_look: "nobody answered for it",
    permit_for_a_wrong_page: "judged 'wrong' and nobody answered",
    permit_answered_by_the_keeper: "who answered for its photo is the keeper",
    permit_for_another_document: "its page is not one of the approved document",
    permit_beyond_the_token: "more strokes than its token allows",
    service_by_one_person: "one person proposed and confirmed it",
    service_by_no_administrator: "not both were administrators",
    service_not_proposed: "nobody proposed it before",
    release_not_ordered: "no service of two people orders it",
    unlocked_without_a_token: "it was never issued",
}


LASTING = {
    too_few_approvers,
    approver_without_the_role,
    approver_whom_the_rule_does_not_name,
    self_approval,
    credential_revoked,
    credential_unknown,
    approver_who_left,
    old_rule,
    stages_out_of_order,
    service_not_proposed,
}
"""Those that change who may do what; each needs a company of its own."""


@pytest.mark.parametrize("plant", sorted(LASTING, key=lambda plant: plant.__name__), ids=lambda plant: plant.__name__)
def test_what_is_planted_is_found_and_named(forger: Forger, plant: Callable[[Forger], None]) -> None:
    assert forger.unjustified() == []
    plant(forger)
    (found,) = forger.unjustified()
    assert PLANTED[plant] in found.what
    assert not found.erased


def test_each_of_many_planted_in_one_log_is_found_and_named(forger: Forger) -> None:
    before = set(forger.unjustified())
    assert not before
    for plant in PLANTED.keys() - LASTING:
        plant(forger)
        after = set(forger.unjustified())
        (found,) = after - before
        assert PLANTED[plant] in found.what, plant.__name__
        before = after


def deputy(forger: Forger) -> PersonRead:
    """The auditor stands in for the keeper for two days."""
    now, keeper = forger.run.now(), forger.company.keeper
    form = DeputyIn(
        person_id=forger.company.auditor.id,
        stands_for=keeper.id,
        device_id=forger.office.pen.device_id,
        starts_at=now,
        ends_at=now + 2 * DAY,
    )
    with forger.run.db.write() as db:
        devices.name_deputy(db, forger.run, forger.company.scope(forger.company.admin), form)
    return forger.company.auditor


def test_what_an_honest_server_writes_is_justified(forger: Forger) -> None:
    """The control of every forgery above: the same steps with nothing changed."""
    token_id = forger.token(approved(forger))
    finding = forger.finding("doubtful")
    forger.anyway(finding, forger.company.boss)
    forger.permit(token_id, finding)
    forger.permit(token_id, forger.finding("match"), stroke=2)
    forger.token(approved(forger), keeper=deputy(forger), at=DAY)
    forger.rule(TWO_STAGES)
    role(forger, forger.company.auditor, Role.ADMINISTRATOR, given=True)
    forger.service(forger.company.admin, forger.company.auditor)
    assert forger.unjustified() == []


def test_real_services_leave_nothing_unjustified(office: Office, with_passwords: Company) -> None:
    request = with_passwords.approved(form={"copies": 2})
    token = office.token(request)
    office.grant(token)
    office.press(token, 1)
    office.close(token, used=1)
    assert Forger(office).unjustified() == []


def test_a_token_after_one_that_its_device_refused_is_justified(office: Office, with_passwords: Company) -> None:
    request = with_passwords.approved()
    refused = office.token(request)
    signed = office.pen.write(Refusal(message_type=5, reason=Reason.WRONG_NONCE, token_id=refused.token_id))
    office.deliver()
    with office.run.db.write() as db:
        tokens.note_event(db, office.run, events.peek(signed), whole=True)
    office.token(request)
    assert Forger(office).unjustified() == []


def test_a_password_is_no_decision_of_a_person_without_one(office: Office) -> None:
    office.token(office.company.approved())
    assert "'password' was unknown" in Forger(office).said()


def forget(forger: Forger, label: str) -> None:
    forger.office.deliver()
    with forger.run.db.write() as db:
        for row in db.exec(select(LedgerOpening).where(LedgerOpening.label == label)):
            row.salt = row.value = None
            db.add(row)


def test_an_opening_that_is_gone_without_a_word_is_named(forger: Forger) -> None:
    forger.token(approved(forger))
    forget(forger, "approver")
    (found,) = forger.unjustified()
    assert "commits to as 'approver' is not shown" in found.what
    assert not found.erased


def test_what_was_erased_on_record_cannot_be_decided_and_says_so(forger: Forger) -> None:
    asked = approved(forger)
    forger.token(asked)
    forget(forger, "approver")
    forger.record(EntryType.RECORD_ERASED, refs={"request": asked.id}, public={"labels": ["approver"]})
    (found,) = forger.unjustified()
    assert found.erased


def test_an_opening_of_another_person_does_not_fit_its_commitment(forger: Forger) -> None:
    forger.token(approved(forger))
    forger.office.deliver()
    with forger.run.db.write() as db:
        for row in db.exec(select(LedgerOpening).where(LedgerOpening.label == "approver")):
            value = row.value or b"0"
            row.value = value[:-1] + (b"1" if value.endswith(b"0") else b"0")
            db.add(row)
    assert "is not shown" in forger.said()
