"""Tokens: every check, the count, and the same bytes for the same challenge."""

from datetime import timedelta

import pytest

from firmware_protocol import cose, events, tokens
from firmware_protocol.events import Cancelled, Cause, Refusal, TimeSet
from firmware_protocol.reasons import Reason
from server.approvals import service as approvals
from server.approvals.policy import State
from server.core.clock import FixedClock
from server.core.runtime import Runtime
from server.core.scope import Role
from server.devices import outbox
from server.devices import service as devices
from server.devices.errors import DeviceNotActive, NoSuchDevice, NotSignedInAtDevice
from server.devices.schemas import DeviceState
from server.identity import service as identity
from server.tokens import service
from server.tokens.errors import DeviceMustReport, KeeperRefused, NotReady, StillOpen, StrokesUsedUp, WrongDevice
from tests.fixtures.databases import on_both
from tests.server.office import Office, hello_of
from tests.server.world import Company

pytestmark = on_both


def project(office: Office, *, whole: bool = True) -> None:
    """What the events slice does with each admitted event. `whole`: nothing is missing before them."""
    written = list(office.pen.written)
    office.deliver()
    with office.run.db.write() as db:
        for signed in written:
            event = events.peek(signed)
            header = event.header
            devices.note_proof(
                db,
                device_id=header.device_id,
                seq=header.seq,
                counter=header.counter,
                firmware=header.firmware,
                time_ms=header.time_ms,
            )
            service.note_event(db, office.run, event, whole=whole)


def test_a_token_says_what_was_approved(office: Office, company: Company) -> None:
    request = company.approved()
    out = office.token(request, nonce=b"n" * 16)
    with office.run.db.read() as db:
        (row,) = service.tokens_of(db, company.everywhere, request.id)
        down = outbox.due(db, office.run.now())
    token = tokens.verify(row.signed, keys=cose.keyring(devices.issuer_keys(office.run)[0]))
    assert (token.device_id, token.nonce, token.token_id) == (office.pen.device_id, b"n" * 16, out.token_id)
    assert (token.seal.max_strokes, token.seal.slot) == (2, 1)
    assert token.seal.document_digest == request.document_digest
    assert token.seal.operator == company.keeper.operator
    assert token.exi_s is not None
    assert token.exi_s + token.seal.window_s <= tokens.MAX_LIFE_S
    assert [message.payload for message in down] == [row.signed]


def test_the_same_challenge_gets_the_same_bytes(office: Office, company: Company) -> None:
    request = company.approved()
    first, second = office.token(request, nonce=b"n" * 16), office.token(request, nonce=b"n" * 16)
    assert first == second
    with office.run.db.read() as db:
        assert len(service.tokens_of(db, company.everywhere, request.id)) == 1


def test_no_token_before_the_approval(office: Office, company: Company) -> None:
    with pytest.raises(NotReady):
        office.token(company.submitted())


def test_no_token_for_a_suspended_device(office: Office, company: Company) -> None:
    with office.run.db.write() as db:
        device = devices.set_state(
            db,
            office.run,
            company.scope(company.admin),
            device_id=office.pen.device_id,
            state=DeviceState.SUSPENDED,
            reason="inspection",
        )
    assert device.epoch == 1
    with pytest.raises(DeviceNotActive):
        office.token(company.approved())


def test_no_token_for_somebody_who_is_not_at_the_device(office: Office, company: Company) -> None:
    with pytest.raises(NotSignedInAtDevice):
        office.token(company.approved(), operator=company.clerk.id)


def test_no_token_for_another_device_or_gateway(office: Office, company: Company) -> None:
    with pytest.raises(WrongDevice):
        office.token(company.approved(form={"device_id": "MAD-0002"}))
    office.pen.device_id = "MAD-9999"
    with pytest.raises(NoSuchDevice):
        office.token(company.approved())


def test_who_approved_does_not_press(office: Office, company: Company, run: Runtime) -> None:
    request = company.approved()
    with run.db.write() as db:
        boss = identity.set_role(
            db, run, company.everywhere, person_id=company.boss.id, role=Role.KEEPER, branch_path="/"
        )
        devices.sign_in_keeper(db, run, device_read=office.device(), person=boss)
    with pytest.raises(KeeperRefused):
        office.token(request, operator=boss.id)


def test_a_head_that_is_not_mounted_gives_no_job(office: Office, company: Company) -> None:
    request = company.approved()
    with office.run.db.read() as db:
        jobs = service.jobs(db, office.run, office.gateway.gateway, device_id=office.pen.device_id)
    assert [(job.request_id, job.strokes_left, [page.copy_number for page in job.pages]) for job in jobs] == [
        (request.id, 2, [1, 2])
    ]
    assert {page.mm for job in jobs for page in job.pages} == {(210.0, 297.0)}, "for the outline on the tray"
    with office.run.db.write() as db:
        said = hello_of(office.pen)
        said.devices[0].heads = []
        devices.hello(db, office.run, office.gateway.gateway, said)
    with pytest.raises(WrongDevice):
        office.token(request)


def test_while_a_token_may_live_there_is_no_other(office: Office, company: Company, clock: FixedClock) -> None:
    request = company.approved()
    office.token(request)
    with pytest.raises(StillOpen) as refused:
        office.token(request)
    assert refused.value.facts["strokes"] == 2
    with office.run.db.read() as db:
        (lease,) = service.leases(db, office.run, company.everywhere)
    assert (lease.strokes, lease.until) == (2, clock.now() + timedelta(seconds=600))


def test_a_token_its_device_refused_stands_in_nobody_s_way(office: Office, company: Company) -> None:
    request = company.approved()
    refused = office.token(request)
    office.pen.write(Refusal(message_type=5, reason=Reason.WRONG_NONCE, token_id=refused.token_id))
    project(office)
    with office.run.db.read() as db:
        assert service.leases(db, office.run, company.everywhere) == []
    assert office.token(request).strokes == 2


def test_a_refusal_before_which_something_is_missing_frees_nothing(office: Office, company: Company) -> None:
    """The GRANT may be what is missing."""
    request = company.approved()
    refused = office.token(request)
    office.pen.write(Refusal(message_type=5, reason=Reason.WRONG_NONCE, token_id=refused.token_id))
    project(office, whole=False)
    with pytest.raises(StillOpen):
        office.token(request)


def test_a_refused_permit_says_nothing_about_its_token(office: Office, company: Company) -> None:
    request = company.approved()
    first = office.token(request)
    office.pen.write(Refusal(message_type=7, reason=Reason.WRONG_PHOTO, token_id=first.token_id))
    project(office)
    with pytest.raises(StillOpen):
        office.token(request)


def test_a_token_that_was_granted_before_stays_open_when_it_is_refused_again(office: Office, company: Company) -> None:
    request = company.approved()
    first = office.token(request)
    office.grant(first)
    office.pen.write(Refusal(message_type=5, reason=Reason.WRONG_NONCE, token_id=first.token_id))
    project(office)
    with pytest.raises(StillOpen):
        office.token(request)


def test_after_its_end_the_device_must_have_spoken(office: Office, company: Company, clock: FixedClock) -> None:
    request = company.approved(form={"spares": 0})
    office.token(request)
    clock.advance(601)
    with pytest.raises(DeviceMustReport):
        office.token(request)
    office.pen.time_ms = round(clock.now().timestamp() * 1000)
    office.pen.write(TimeSet(unix_ms=office.pen.time_ms))
    project(office)
    assert office.token(request).strokes == 2


def test_the_count_over_two_tokens(office: Office, company: Company, clock: FixedClock) -> None:
    request = company.approved(form={"copies": 3, "spares": 1})
    first = office.token(request)
    office.grant(first)
    office.press(first, 1)
    office.close(first, 1)
    project(office)
    second = office.token(request)
    assert second.strokes == 2
    with office.run.db.read() as db:
        plans = {row.token_id: row.plan for row in service.tokens_of(db, company.everywhere, request.id)}
    assert plans[second.token_id] == (1, 2)
    office.grant(second)
    office.press(second, 1)
    office.press(second, 2)
    office.close(second, 2)
    project(office)
    with office.run.db.read() as db:
        assert approvals.request(db, office.run, company.everywhere, request.id).state is State.DONE
    with pytest.raises(NotReady):
        office.token(request)


def test_used_but_not_done_takes_the_spare_and_then_nothing_is_left(office: Office, company: Company) -> None:
    request = company.approved(form={"copies": 1, "spares": 1})
    for _try in range(2):
        token = office.token(request)
        office.grant(token)
        office.pen.write(Cancelled(token_id=token.token_id, stroke=1, cause=Cause.BY_KEEPER, returned=False))
        office.close(token, 1)  # the use stayed consumed, no imprint: cancelled, the counter moved
        project(office)
    with pytest.raises(StrokesUsedUp):
        office.token(request)


def test_an_end_that_overtakes_its_strokes_frees_no_place(office: Office, company: Company) -> None:
    """A spare would stamp a place again that carries an imprint already (found by `campaign kill`)."""
    request = company.approved(form={"copies": 2, "spares": 1})
    first = office.token(request)
    office.grant(first)
    office.close(first, 1)  # after a broker's restart: what came before it is still on its way
    project(office)
    with pytest.raises(DeviceMustReport):
        office.token(request)
    with office.run.db.read() as db:
        (job,) = service.jobs(db, office.run, office.gateway.gateway, device_id=office.pen.device_id)
    assert job.strokes_left == 0
    office.press(first, 1)
    project(office)
    second = office.token(request)
    with office.run.db.read() as db:
        plans = {row.token_id: row.plan for row in service.tokens_of(db, company.everywhere, request.id)}
    assert (second.strokes, plans[second.token_id]) == (1, (1,))


def test_a_granted_token_without_a_close_counts_in_full(office: Office, company: Company, clock: FixedClock) -> None:
    request = company.approved(form={"spares": 0})
    token = office.token(request)
    office.grant(token)
    clock.advance(700)
    office.pen.time_ms = round(clock.now().timestamp() * 1000)
    office.pen.write(TimeSet(unix_ms=office.pen.time_ms))
    project(office)
    with pytest.raises(DeviceMustReport):
        office.token(request)
