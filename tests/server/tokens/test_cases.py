"""A doubtful page: a second authorised person answers, on record, for exactly one photo, while the permission lives."""

import io
from uuid import UUID

import numpy as np
import pytest
from PIL import Image
from sqlmodel import select

from firmware_protocol import cose, orders
from firmware_protocol.orders import Permit
from server.core.clock import FixedClock
from server.devices import outbox
from server.devices import service as devices
from server.events import service as events
from server.events import tasks
from server.identity.schemas import PersonRead
from server.jobs.models import Job
from server.ledger import entry_codec
from server.ledger import service as ledger
from server.ledger.service import EntryType
from server.tokens import service
from server.tokens.errors import CaseClosed, NoSuchCase, NotYourCase, ReasonNeeded, TokenOver
from server.tokens.schemas import CaseRead, CaseState, PermitOut, TokenOut
from tests.server.office import Office, photo_of
from tests.server.tokens.doubt import doubtful_photo, marked
from tests.server.world import Company, contract_pdf


def ask(office: Office, token: TokenOut, photo: bytes, *, nonce: bytes = b"n" * 16) -> PermitOut:
    event = office.page_seen(token.token_id, 1, photo, nonce=nonce)
    return service.ask_permit(
        office.run, office.gateway.gateway, device_id=office.pen.device_id, event=event, preview=photo
    )


def permits(office: Office) -> list[Permit]:
    with office.run.db.read() as db:
        sent = [message.payload for message in outbox.due(db, office.run.now()) if message.kind == "permit"]
    keys = cose.keyring(devices.issuer_keys(office.run)[1])
    return [orders.verify(Permit, payload, keys=keys) for payload in sent]


def waiting(office: Office, person: PersonRead) -> list[CaseRead]:
    with office.run.db.read() as db:
        return service.waiting_cases(db, office.run, office.company.scope(person))


def answer(office: Office, person: PersonRead, case_id: UUID | str, *, anyway: bool, reason: str = "dust") -> CaseRead:
    with office.run.db.write() as db:
        return service.answer_case(
            db,
            office.run,
            office.company.scope(person),
            case_id=UUID(str(case_id)),
            anyway=anyway,
            reason=reason,
        )


def test_a_second_person_lets_exactly_this_photo_through(office: Office, company: Company) -> None:
    token = office.token(company.approved())
    asked = ask(office, token, doubtful_photo(office))
    assert (asked.answer, asked.permit_sent, bool(asked.case_id)) == ("doubtful", False, True)
    (case,) = waiting(office, company.boss)
    assert (str(case.id), case.stroke, case.state) == (asked.case_id, 1, CaseState.WAITING)
    done = answer(office, company.boss, case.id, anyway=True, reason="a speck of dust on the glass")
    (permit,) = permits(office)
    assert (permit.stroke, permit.stroke_nonce, permit.page) == (1, b"n" * 16, 1)
    with office.run.db.read() as db:
        told = service.case_of_gateway(
            db, office.run, office.gateway.gateway, device_id=office.pen.device_id, case_id=case.id
        )
    assert (told.state, told.by, told.reason) == (CaseState.ANYWAY, "Boss", "a speck of dust on the glass")
    office.deliver()
    with office.run.db.read() as db:
        (entry,) = ledger.find(db, company.everywhere, ref=f"case:{case.id}", entry_type=EntryType.VERDICT)
    assert entry.leaf_hash == done.leaf_hash
    said = entry_codec.peek(entry.leaf).public
    assert (said["verdict"], said["finding_kind"]) == ("anyway", "doubtful_page")


def test_no_means_no_permit(office: Office, company: Company) -> None:
    token = office.token(company.approved())
    asked = ask(office, token, doubtful_photo(office))
    answer(office, company.second_boss, asked.case_id, anyway=False)
    assert permits(office) == []
    assert not ask(office, token, doubtful_photo(office)).permit_sent  # the same photo again


def test_who_stamps_or_asked_does_not_answer(office: Office, company: Company) -> None:
    asked = ask(office, office.token(company.approved()), doubtful_photo(office))
    for person in (company.keeper, company.clerk, company.auditor):
        assert waiting(office, person) == []
        with pytest.raises(NotYourCase):
            answer(office, person, asked.case_id, anyway=True)
    with pytest.raises(NoSuchCase):  # another branch
        answer(office, company.stranger, asked.case_id, anyway=True)
    with pytest.raises(ReasonNeeded):
        answer(office, company.boss, asked.case_id, anyway=True, reason=" x ")
    assert permits(office) == []


def test_a_wrong_page_has_no_case(office: Office, company: Company) -> None:
    token = office.token(company.approved())
    asked = ask(office, token, marked(photo_of(contract_pdf(), 1), radius_px=12))
    assert (asked.answer, asked.case_id) == ("wrong", "")
    assert waiting(office, company.boss) == []


def test_another_photo_closes_the_question(office: Office, company: Company) -> None:
    token = office.token(company.approved())
    first = ask(office, token, doubtful_photo(office))
    good = photo_of(contract_pdf(), 1, nonce=b"m" * 16)
    assert ask(office, token, good, nonce=b"m" * 16).permit_sent
    with pytest.raises(CaseClosed):
        answer(office, company.boss, first.case_id, anyway=True)
    assert len(permits(office)) == 1


def test_an_answer_after_the_end_permits_nothing(office: Office, company: Company, clock: FixedClock) -> None:
    asked = ask(office, office.token(company.approved()), doubtful_photo(office))
    clock.advance(601)
    assert waiting(office, company.boss) == []
    with pytest.raises(CaseClosed):
        answer(office, company.boss, asked.case_id, anyway=True)


def test_a_closed_job_permits_nothing(office: Office, company: Company) -> None:
    token = office.token(company.approved())
    asked = ask(office, token, doubtful_photo(office))
    office.grant(token)
    office.close(token, 0)
    office.projected.clear()
    office.deliver()
    for first, last in office.projected:
        events.project(office.run, first=first, last=last)
    with pytest.raises(TokenOver):
        answer(office, company.boss, asked.case_id, anyway=True)


def test_an_old_photo_is_refused_and_raises_the_alarm(office: Office, company: Company) -> None:
    token = office.token(company.approved())
    old = photo_of(contract_pdf(), 1, nonce=b"o" * 16)
    asked = ask(office, token, old)
    assert (asked.answer, asked.reason, asked.case_id, asked.permit_sent) == ("wrong", "old_photo", "", False)
    counter = photo_of(contract_pdf(), 1, nonce=b"p" * 16, counter=99)  # right nonce, wrong counter
    assert ask(office, token, counter, nonce=b"p" * 16).reason == "old_photo"
    with office.run.db.read() as db:
        payloads = [job.payload for job in db.exec(select(Job).where(Job.kind == "events.old_photo"))]
    for payload in [*payloads, *payloads]:
        tasks.old_photo(office.run, payload)
    events.rebuild(office.run)
    with office.run.db.read() as db:
        assert [alarm.kind for alarm in events.alarms(db, company.everywhere)] == ["old_photo"] * 2


def test_a_dark_strip_is_no_match(office: Office, company: Company) -> None:
    pixels = np.array(Image.open(io.BytesIO(photo_of(contract_pdf(), 1))))
    pixels[-58:] = 20
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=90)
    asked = ask(office, office.token(company.approved()), out.getvalue())
    assert (asked.answer, asked.reason, asked.case_id) == ("doubtful", "no_strip", "")
