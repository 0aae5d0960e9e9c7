"""Passkeys on the keeper's page: the device's challenge to the browser, the answer back, and what can go wrong."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from firmware_protocol import messages, passkeys
from gateway.errors import HeadOfficeRefused, HeadOfficeUnreachable, NoPasskey, OutOfOrder, PasskeyNotKnown
from gateway.passkeys import Passkeys
from tests.fixtures.authenticator import Authenticator, client_data
from tests.gateway.stand import Stand, at_desk, refusal
from tests.gateway.test_operators import KIM, ROSTER, with_roster

NONCE = bytes(range(16))
KEY = Authenticator()
KIMS = KIM | {"passkeys": [{"credential_id": KEY.credential_id.hex(), "rp_id": "localhost"}]}
SIGNED = {"operator_id": "p-kim", "name": "Kim"}


def text(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def shown(challenge: str) -> dict[str, str]:
    """The browser's answer for a challenge of the page."""
    signed = KEY.sign(client_data(urlsafe_b64decode(challenge + "=")))
    half = [int.from_bytes(signed.signature[at : at + 32], "big") for at in (0, 32)]
    return {
        "credential_id": text(KEY.credential_id),
        "authenticator_data": text(signed.authenticator_data),
        "client_data": text(signed.client_data),
        "signature": text(encode_dss_signature(*half)),
    }


async def at_page(stand: Stand, **says: list[Any]) -> Passkeys:
    await with_roster(stand)
    stand.head_office.says |= {"roster": [ROSTER | {"number": 4, "people": [KIMS]}]} | says
    stand.device.answers |= {
        messages.PasskeyChallengeRequest: messages.PasskeyChallenge(nonce=NONCE),
        messages.PasskeyRequest: messages.Identified(event=b"signed"),
    }
    return Passkeys(stand.desk, stand.operators)


def test_the_challenge_is_the_devices_own_and_the_answer_goes_to_it_as_it_is(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        page = await at_page(stand, sign_in_passkey=[SIGNED])
        asked = await page.ask("localhost")
        device_id = stand.desk.device.device_id
        assert asked["challenge"] == text(passkeys.challenge(device_id, NONCE))
        assert asked["credentials"] == [text(KEY.credential_id)]
        answered = shown(asked["challenge"])
        signed = await page.sign_in(answered)
        assert (signed["name"], signed["at_device"], signed["method"]) == ("Kim", True, "passkey")
        (request,) = stand.device.of(messages.PasskeyRequest)
        assert isinstance(request, messages.PasskeyRequest)
        count = passkeys.check(
            passkeys.Assertion(
                authenticator_data=request.authenticator_data,
                client_data=request.client_data,
                signature=request.signature,
            ),
            passkey=KEY.passkey(request.operator),
            challenge=passkeys.challenge(device_id, NONCE),
            count=0,
        )
        assert (request.operator.hex(), count) == (KIM["operator"], 0)

    at_desk(tmp_path, work)


def test_only_passkeys_of_this_page_are_asked_for_and_headquarters_is_asked_once_more(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        page = await at_page(stand)
        with pytest.raises(NoPasskey):
            await page.ask("gateway.example.com")
        assert (await page.ask("localhost"))["credentials"] == [text(KEY.credential_id)]

    at_desk(tmp_path, work)


def test_without_headquarters_the_device_is_enough(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        page = await at_page(stand)
        await page.ask("localhost")
        stand.head_office.says = {"sign_in_passkey": [HeadOfficeUnreachable("no link")]}
        signed = await page.sign_in(shown((await page.ask("localhost"))["challenge"]))
        assert (signed["operator_id"], signed["offline"]) == ("p-kim", True)

    at_desk(tmp_path, work)


def test_whom_device_or_headquarters_refuse_is_not_signed_in(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        no = HeadOfficeRefused(status=401, code="wrong_passkey", detail="Removed.")
        page = await at_page(stand, sign_in_passkey=[no])
        answered = shown((await page.ask("localhost"))["challenge"])
        with pytest.raises(HeadOfficeRefused):
            await page.sign_in(answered)
        assert len(stand.device.of(messages.OperatorLeaveRequest)) == 1
        stand.device.answers[messages.PasskeyRequest] = refusal("WRONG_OPERATOR")
        with pytest.raises(PasskeyNotKnown):
            await page.sign_in(answered)
        assert stand.desk.operator is None

    at_desk(tmp_path, work)


def test_what_is_no_answer_of_a_browser_does_not_reach_the_device(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        page = await at_page(stand)
        answered = shown((await page.ask("localhost"))["challenge"])
        huge = text(encode_dss_signature(1 << 300, 1))
        changes = ({"credential_id": "AAAA"}, {"signature": "AAAA"}, {"signature": huge}, {"client_data": "é"})
        for change in changes:
            with pytest.raises(PasskeyNotKnown):
                await page.sign_in(answered | change)
        with pytest.raises(PasskeyNotKnown):
            await page.sign_in({})
        assert stand.device.of(messages.PasskeyRequest) == []

    at_desk(tmp_path, work)


def test_a_new_one_is_for_whoever_is_signed_in(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        page = await at_page(stand, sign_in_passkey=[SIGNED], register_passkey=[{"number": "482913"}])
        made = {"rp_id": "localhost", "authenticator_data": text(KEY.made())}
        with pytest.raises(OutOfOrder):
            page.new("localhost")
        with pytest.raises(OutOfOrder):
            await page.register(made)
        await page.sign_in(shown((await page.ask("localhost"))["challenge"]))
        asked = page.new("localhost")
        assert (asked["username"], asked["name"]) == ("kim", "Kim")
        assert asked["credentials"] == [text(KEY.credential_id)], "this authenticator need not be asked again"
        assert len(urlsafe_b64decode(asked["challenge"] + "=")) == 32
        assert await page.register(made) == "482 913"

    at_desk(tmp_path, work)
