"""Who stands at the device, with and without headquarters; and vouchers for when it cannot be reached."""

import asyncio
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firmware_protocol import messages, operators, tokens
from firmware_protocol.tokens import Mode, SealClaims, Token
from gateway.errors import DeviceUnreachable, HeadOfficeRefused, HeadOfficeUnreachable, NotKnownHere, OutOfOrder
from gateway.notebook import Voucher
from gateway.rules.session import Step
from tests.gateway.stand import STATUS, TOKEN, Stand, at_desk, refusal
from tests.gateway.test_desk import Key

SALT = b"12345678"
BADGE = "BADGE-0042"
KIM = {
    "operator": "0a0b0c0d",
    "person_id": "p-kim",
    "username": "kim",
    "name": "Kim",
    "methods": [{"method": 1, "salt": SALT.hex()}, {"method": 2, "salt": SALT.hex()}],
    "badge_lookup": hashlib.sha256(b"seal/1/badge" + BADGE.encode()).digest()[:8].hex(),
}
DEPUTY = KIM | {"operator": "01020304", "person_id": "p-lee", "username": "lee", "name": "Lee", "badge_lookup": None}
ROSTER: dict[str, Any] = {"number": 3, "parts": ["aa01", "aa02"], "people": [KIM, DEPUTY]}
OFFLINE = HeadOfficeUnreachable("no link")
JOB = {
    "request_id": "r1",
    "title": "Notices",
    "short": "SR-1",
    "pages": [{"stroke": 1, "page": 1, "copy": 1}],
    "mode": "voucher",
    "mine": True,
}


async def with_roster(stand: Stand) -> None:
    stand.device.answers |= {
        messages.RosterRequest: messages.Accepted(),
        messages.OperatorRequest: messages.Accepted(),
        messages.OperatorLeaveRequest: messages.Accepted(),
    }
    stand.head_office.says["roster"] = [ROSTER]
    await stand.operators.refresh()


def test_the_roster_goes_to_the_device_once_and_again_when_it_changed(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        await with_roster(stand)
        await stand.operators.refresh()
        parts = [messages.RosterRequest(roster=b"\xaa\x01"), messages.RosterRequest(roster=b"\xaa\x02")]
        assert stand.device.of(messages.RosterRequest) == parts
        stand.head_office.says["roster"] = [ROSTER | {"number": 4, "parts": ["bb"]}]
        await stand.operators.refresh()
        assert stand.device.of(messages.RosterRequest) == [*parts, messages.RosterRequest(roster=b"\xbb")]

    at_desk(tmp_path, work)


def test_online_both_the_device_and_headquarters_are_asked(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        await with_roster(stand)
        stand.head_office.says["sign_in"] = [{"operator_id": "p-kim", "name": "Kim"}]
        signed = await stand.operators.sign_in("Kim", "4711")
        assert (signed["name"], signed["at_device"]) == ("Kim", True)
        proof = operators.proof("4711", salt=SALT)
        asked = messages.OperatorRequest(operator=bytes.fromhex("0a0b0c0d"), method=1, proof=proof)
        assert stand.device.of(messages.OperatorRequest) == [asked]

    at_desk(tmp_path, work)


@pytest.mark.parametrize("how", ["pin", "badge"])
def test_without_headquarters_the_device_and_the_kept_roster_are_enough(tmp_path: Path, how: str) -> None:
    async def work(stand: Stand) -> None:
        await with_roster(stand)
        stand.head_office.says.clear()
        signed = await (stand.operators.sign_in("kim", "4711") if how == "pin" else stand.operators.badge(BADGE))
        assert (signed["operator_id"], signed["offline"]) == ("p-kim", True)

    at_desk(tmp_path, work)


def test_a_wrong_pin_is_refused_and_nobody_is_signed_in(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        await with_roster(stand)
        stand.device.answers[messages.OperatorRequest] = refusal("WRONG_OPERATOR")
        with pytest.raises(NotKnownHere):
            await stand.operators.sign_in("kim", "0000")
        assert stand.desk.operator is None

    at_desk(tmp_path, work)


def test_a_pin_that_was_changed_is_tried_again_with_the_new_roster(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        await with_roster(stand)
        stand.device.answers[messages.OperatorRequest] = refusal("WRONG_OPERATOR")

        def newer() -> dict[str, Any]:
            stand.device.answers[messages.OperatorRequest] = messages.Accepted()
            return ROSTER | {"number": 4}

        stand.head_office.says |= {"roster": [newer], "sign_in": [{"operator_id": "p-kim", "name": "Kim"}]}
        assert (await stand.operators.sign_in("kim", "4712"))["at_device"]

    at_desk(tmp_path, work)


def test_whom_headquarters_refuses_does_not_stay_signed_in_at_the_device(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        await with_roster(stand)
        stand.head_office.says["sign_in"] = [HeadOfficeRefused(status=401, code="x", detail="Not here.")]
        with pytest.raises(HeadOfficeRefused):
            await stand.operators.sign_in("kim", "4711")
        assert len(stand.device.of(messages.OperatorLeaveRequest)) == 1
        assert stand.desk.operator is None

    at_desk(tmp_path, work)


def test_who_signs_out_is_gone_also_when_the_device_does_not_answer(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        await with_roster(stand)
        stand.head_office.says["sign_in"] = [{"operator_id": "p-kim", "name": "Kim"}]
        await stand.operators.sign_in("kim", "4711")
        stand.device.answers[messages.OperatorLeaveRequest] = DeviceUnreachable("COM3")
        await stand.operators.sign_out()
        assert stand.desk.operator is None
        stand.head_office.says["sign_in"] = [HeadOfficeRefused(status=401, code="x", detail="Not here.")]
        with pytest.raises(HeadOfficeRefused):  # and not that the device does not answer
            await stand.operators.sign_in("kim", "4711")

    at_desk(tmp_path, work)


def test_a_badge_of_nobody_is_said_so_and_the_same_badge_twice_changes_nothing(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        await with_roster(stand)
        stand.head_office.says["sign_in_badge"] = [HeadOfficeRefused(status=401, code="x", detail="Unknown badge.")]
        with pytest.raises(HeadOfficeRefused):
            await stand.operators.badge("SOMEBODY")
        stand.head_office.says["sign_in_badge"] = [{"operator_id": "p-kim", "name": "Kim"}]
        first = await stand.operators.badge(BADGE)
        assert await stand.operators.badge(BADGE) is first
        assert len(stand.device.of(messages.OperatorRequest)) == 1

    at_desk(tmp_path, work)


def test_a_device_that_learned_of_people_later_asks_again_who_is_there(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.desk.operator = {"operator_id": "p-kim", "name": "Kim", "at_device": False}

        def sent() -> dict[str, Any]:
            stand.carrying.down("token", bound_token(stand))
            return {}

        stand.head_office.says |= {"jobs": [[JOB | {"mode": "single"}]], "token": [sent]}
        stand.device.answers[messages.TokenRequest] = refusal("OPERATOR_NEEDED")
        with pytest.raises(OutOfOrder, match="Sign in once more"):
            await stand.stamping.start("r1")
        assert stand.desk.operator is None

    at_desk(tmp_path, work)


def test_a_device_that_was_started_again_signed_its_operator_out(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.desk.operator = {"operator_id": "p-kim", "name": "Kim", "at_device": True}
        stand.connection.saw(replace(STATUS, operator=b"\x0a\x0b\x0c\x0d"))
        stand.connection.saw(STATUS)
        assert stand.desk.operator is None

    at_desk(tmp_path, work)


# Vouchers


SEAL = SealClaims(
    slot=0,
    max_strokes=1,
    policy=0,
    epoch=1,
    window_s=60,
    document_digest=bytes(32),
    head_id=bytes(8),
)


def bound_token(stand: Stand) -> bytes:
    """For the nonce that the scripted device gives."""
    now = stand.clock.now // 1000
    token = Token(
        device_id="CB-TEST",
        issued_at=now,
        not_before=now,
        expires_at=now + 600,
        token_id=TOKEN,
        seal=SEAL,
        nonce=bytes(16),
        exi_s=300,
    )
    return tokens.issue(token, key=Key())


def voucher(stand: Stand, token_id: bytes = TOKEN) -> bytes:
    now = stand.clock.now // 1000
    seal = replace(SEAL, policy=int(Mode.VOUCHER) | 2, voucher_counter=7)
    token = Token(
        device_id="CB-TEST", issued_at=now, not_before=now, expires_at=now + 3600, token_id=token_id, seal=seal
    )
    return tokens.issue(token, key=Key())


def test_a_voucher_of_another_job_is_never_kept_for_this_one(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.desk.operator = {"operator_id": "p-kim", "name": "Kim"}
        other, late = bytes(16), asyncio.Event()

        def sent() -> dict[str, Any]:
            stand.carrying.down("token", voucher(stand, other))
            late.set()
            return {"token_id": TOKEN.hex()}

        stand.head_office.says |= {"jobs": [[JOB]], "voucher": [sent]}
        await stand.stamping.jobs()
        await late.wait()
        stand.carrying.down("token", voucher(stand, other))
        assert stand.notebook.vouchers("CB-TEST", now_ms=stand.clock.now) == []
        stand.carrying.down("token", voucher(stand))
        await stand.until_true(lambda: bool(stand.notebook.vouchers("CB-TEST", now_ms=stand.clock.now)))
        (held,) = stand.notebook.vouchers("CB-TEST", now_ms=stand.clock.now)
        assert (held.token_id, held.job["request_id"]) == (TOKEN, "r1")

    at_desk(tmp_path, work)


def test_a_voucher_is_fetched_while_online_and_stamped_with_when_offline(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.desk.operator = {"operator_id": "p-kim", "name": "Kim"}

        def sent() -> dict[str, Any]:
            stand.carrying.down("token", voucher(stand))  # quicker than the answer that names it
            return {"token_id": TOKEN.hex()}

        stand.head_office.says |= {"jobs": [[JOB]], "voucher": [sent]}
        await stand.stamping.jobs()
        await stand.until_true(lambda: bool(stand.notebook.vouchers("CB-TEST", now_ms=stand.clock.now)))
        await stand.stamping.jobs()
        assert [name for name, _more in stand.head_office.heard].count("voucher") == 1, "one is enough"
        stand.head_office.says.clear()
        (offered,) = await stand.stamping.jobs()
        assert (offered["offline"], offered["page_check"]) == (True, "none")
        stand.device.answers[messages.TokenRequest] = messages.Granted(token_id=TOKEN, strokes_left=1)
        await stand.stamping.start("r1")
        assert stand.desk.session.step is Step.PLACE
        assert stand.desk.session.plan is not None
        assert stand.desk.session.plan.unchecked
        assert stand.device.of(messages.ChallengeRequest) == []
        assert stand.notebook.vouchers("CB-TEST", now_ms=stand.clock.now) == [], "it is spent"

    at_desk(tmp_path, work)


def test_a_voucher_that_the_device_calls_spent_is_thrown_away(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.desk.operator = {"operator_id": "p-kim", "name": "Kim"}

        def sent() -> dict[str, Any]:
            stand.carrying.down("token", voucher(stand))  # quicker than the answer that names it
            return {"token_id": TOKEN.hex()}

        stand.head_office.says |= {"jobs": [[JOB]], "voucher": [sent]}
        await stand.stamping.jobs()
        await stand.until_true(lambda: bool(stand.notebook.vouchers("CB-TEST", now_ms=stand.clock.now)))
        stand.head_office.says.clear()
        stand.device.answers[messages.TokenRequest] = refusal("VOUCHER_SPENT")
        with pytest.raises(Exception, match="voucher spent"):
            await stand.stamping.start("r1")
        with pytest.raises(HeadOfficeUnreachable):
            await stand.stamping.jobs()

    at_desk(tmp_path, work)


def test_a_scanned_cover_sheet_starts_the_one_job_that_it_names(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.desk.operator = {"operator_id": "p-kim", "name": "Kim"}
        stand.notebook.keep_voucher(
            Voucher(
                device_id="CB-TEST",
                token_id=TOKEN,
                expires_ms=stand.clock.now + 60_000,
                token=voucher(stand),
                job=JOB | {"short": "SR-2026-0007"},
            )
        )
        stand.device.answers[messages.TokenRequest] = messages.Granted(token_id=TOKEN, strokes_left=1)
        with pytest.raises(OutOfOrder, match="SR-2026-0008 is not waiting for this device"):
            await stand.stamping.start_scanned("sr-2026-0008")
        await stand.stamping.start_scanned(" sr-2026-0007 ")
        assert stand.desk.session.step is Step.PLACE

    at_desk(tmp_path, work)


def test_of_two_taps_on_a_job_the_second_leaves_the_first_alone(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.desk.operator = {"operator_id": "p-kim", "name": "Kim"}
        stand.head_office.says |= {
            "jobs": [[JOB | {"mode": "single"}]],
            "token": [lambda: stand.carrying.down("token", bound_token(stand))],
        }
        stand.device.answers |= {
            messages.TokenRequest: messages.Granted(token_id=TOKEN, strokes_left=1),
            messages.StatusRequest: replace(STATUS, token_id=TOKEN, state=messages.State.GRANTED),
        }
        taps = (stand.stamping.start("r1"), stand.stamping.start("r1"))
        first, second = await asyncio.gather(*taps, return_exceptions=True)
        assert first is None
        assert isinstance(second, OutOfOrder)
        assert len(stand.device.of(messages.TokenRequest)) == 1
        assert stand.device.of(messages.RelockRequest) == []
        assert stand.desk.session.step is Step.PLACE

    at_desk(tmp_path, work)
