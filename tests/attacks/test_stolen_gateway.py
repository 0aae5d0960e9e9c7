"""The gateway is in the wrong hands: it can delay and drop, and nothing more. Tokens, permits, frames."""

import random
from collections.abc import Iterator
from dataclasses import replace

import pytest

from dashboard.demo.story import Stage
from dashboard.demo.waiting import until
from firmware_protocol import cose, messages, orders, tokens
from firmware_protocol.framing import encode_frame
from firmware_protocol.purposes import Purpose
from firmware_protocol.reasons import Reason
from firmware_protocol.tokens import Token
from tests.attacks.stolen_gateway import StolenGateway, stolen
from tests.fixtures.running import approved, at_headquarters, books, check_problem


@pytest.fixture(scope="module")
def thief(company: Stage) -> Iterator[StolenGateway]:
    with stolen(company) as gateway:
        yield gateway
    books(company)  # what the thief did not carry, the honest gateway does


@pytest.fixture(autouse=True)
def nothing_moved(company: Stage) -> Iterator[None]:
    """No attack of this file frees the latch or moves the counter."""
    before = company.beside.get("before", "/state")["counter"]
    yield
    after = company.beside.get("after", "/state")
    assert (after["counter"], after["latch_free"]) == (before, False)
    assert company.beside.pull()["pressed"] is False


@pytest.fixture
def request_id(thief: StolenGateway) -> Iterator[str]:
    """An approved request; whatever was granted for it is closed afterwards."""
    yield approved(thief.stage)
    thief.ask(messages.RelockRequest(close_grant=True), messages.Accepted)


def claims(token: bytes) -> Token:
    return tokens.read(cose.parse1(token).payload)


def signed_by_headquarters(thief: StolenGateway, token: Token) -> bytes:
    """As if headquarters had issued it: with its own key."""
    with at_headquarters(thief.stage) as run:
        return tokens.issue(token, key=run.keys.signer(Purpose.TOKEN))


def test_an_altered_token_is_refused_whichever_bit_it_is(
    thief: StolenGateway, request_id: str, rng: random.Random
) -> None:
    token = thief.token(request_id)
    for at in rng.sample(range(len(token)), 25):
        altered = token[:at] + bytes([token[at] ^ 1 << rng.randrange(8)]) + token[at + 1 :]
        assert isinstance(thief.say(messages.TokenRequest(token=altered)), messages.Refused), at
    thief.ask(messages.TokenRequest(token=token), messages.Granted)


def test_a_replayed_token_is_refused(thief: StolenGateway, request_id: str) -> None:
    token = thief.token(request_id)
    thief.ask(messages.TokenRequest(token=token), messages.Granted)
    thief.ask(messages.RelockRequest(close_grant=True), messages.Accepted)
    assert thief.refused(messages.TokenRequest(token=token)) is Reason.WRONG_NONCE
    thief.ask(messages.ChallengeRequest(), messages.Challenge)
    assert thief.refused(messages.TokenRequest(token=token)) is Reason.WRONG_NONCE


def test_an_expired_token_is_refused(thief: StolenGateway, request_id: str) -> None:
    token = claims(thief.token(request_id))
    past = replace(
        token, issued_at=token.issued_at - 4000, not_before=token.not_before - 4000, expires_at=token.expires_at - 4000
    )
    assert thief.refused(messages.TokenRequest(token=signed_by_headquarters(thief, past))) is Reason.EXPIRED


def test_a_token_of_another_device_is_refused(thief: StolenGateway, request_id: str) -> None:
    token = replace(claims(thief.token(request_id)), device_id="CB-OTHER000")
    assert thief.refused(messages.TokenRequest(token=signed_by_headquarters(thief, token))) is Reason.WRONG_DEVICE


def test_a_permit_for_another_photo_is_refused(thief: StolenGateway, request_id: str) -> None:
    stage = thief.stage
    token = thief.token(request_id)
    thief.ask(messages.TokenRequest(token=token), messages.Granted)
    stage.beside.lay(stage.contract.pdf, page=stage.contract.page)
    until("lay", "the page lying still", lambda: stage.beside.get("state", "/state")["page_still"])
    first = thief.ask(messages.CaptureRequest(), messages.Captured)
    second = thief.ask(messages.CaptureRequest(), messages.Captured)
    permit = orders.Permit(
        device_id=stage.device_id,
        token_id=claims(token).token_id,
        stroke=1,
        page=stage.contract.page,
        page_digest=orders.page_digest(claims(token).seal.document_digest, stage.contract.page),
        photo_digest=first.photo_digest,
        stroke_nonce=second.stroke_nonce,
    )
    with at_headquarters(stage) as run:
        key = run.keys.signer(Purpose.PERMIT)
        other_photo = orders.sign(permit, key=key)
        other_nonce = orders.sign(
            replace(permit, photo_digest=second.photo_digest, stroke_nonce=first.stroke_nonce), key=key
        )
    assert thief.refused(messages.PermitRequest(permit=other_photo)) is Reason.WRONG_PHOTO
    assert thief.refused(messages.PermitRequest(permit=other_nonce)) in (Reason.WRONG_NONCE, Reason.WRONG_PHOTO)
    stage.beside.post("take", "/take-away")


def test_headquarters_gives_no_permit_for_a_photo_the_device_did_not_sign(
    thief: StolenGateway, request_id: str
) -> None:
    """The event is the device's own, the picture is not the one it signed."""
    stage = thief.stage
    thief.ask(messages.TokenRequest(token=thief.token(request_id)), messages.Granted)
    stage.beside.lay(stage.contract.pdf, page=stage.contract.page)
    until("lay", "the page lying still", lambda: stage.beside.get("state", "/state")["page_still"])
    captured = thief.ask(messages.CaptureRequest(), messages.Captured)
    event = thief.ask(messages.ReadEventRequest(seq=captured.seq), messages.SignedEvent).event
    picture = stage.beside.send("picture", "GET", "/view.jpg").content
    answer = thief.try_post(f"devices/{stage.device_id}/permits", files={"event": event, "preview": picture})
    check_problem(answer, status=400, code="bad_event")
    stage.beside.post("take", "/take-away")


def test_garbage_and_truncated_frames_are_dropped_and_the_device_still_answers(
    thief: StolenGateway, rng: random.Random
) -> None:
    whole = encode_frame(messages.encode(messages.StatusRequest(), msg_id=7))
    for _ in range(50):
        thief.write(rng.randbytes(rng.randrange(1, 700)))
        thief.write(whole[: rng.randrange(1, len(whole))])
    thief.write(b"\x00")
    status = thief.ask(messages.StatusRequest(), messages.Status)
    assert status.token_id is None
