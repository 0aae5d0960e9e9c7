"""What happens at a desk while an answer is on its way: pages are swapped, reports come late, jobs are stopped."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firmware_protocol import messages
from firmware_protocol.messages import State
from gateway.errors import HeadOfficeRefused, HeadOfficeUnreachable
from gateway.rules import facts
from gateway.rules.session import Plan, Session, Step
from gateway.uplink.head_office import PageAnswer
from tests.gateway.stand import Stand, at_desk
from tests.gateway.test_desk import MATCH, SPOILED, press, ready_for_a_page

ONE = Plan(request_id="r1", title="Office lease", pages=((2, 1),), spares_left=1)
JOB = {"request_id": "r1", "title": "Office lease", "pages": [{"page": 2}]}


def test_a_spare_waits_for_the_report_of_the_press_before_it(tmp_path: Path) -> None:
    """Headquarters gives no new permission before it heard that the last one is closed, or while it is out of reach."""

    async def work(stand: Stand) -> None:
        stand.begin(ONE)
        stand.device.answers[messages.SpoilRequest] = SPOILED
        told: list[Step] = []

        def not_yet() -> None:
            told.append(stand.desk.session.step)
            raise HeadOfficeRefused(status=409, code="still_open", detail="A device may still make 1 imprint.")

        used_up = HeadOfficeRefused(status=409, code="strokes_used_up", detail="Every imprint is used up.")
        stand.head_office.says |= {
            "imprint": [{"state": "look_here", "grade": "faint", "reason": "faint", "text": ""}],
            "spoiled": [{"accepted": True, "reason": "", "text": "", "strokes_left": 1}],
            "jobs": [[JOB]],
            "token": [not_yet, HeadOfficeUnreachable("token"), not_yet, used_up],
        }
        press(stand)
        stand.tray(present=True)
        await stand.until(Step.REDO)
        stand.imprints.choose(spoil=True)
        await stand.until(Step.PROBLEM)
        assert told == [Step.CONTINUE] * 2
        assert stand.desk.session.code == "strokes_used_up", "what does not pass by itself is said at once"

    at_desk(tmp_path, work)


def test_a_spare_that_waits_ends_with_its_job(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.begin(ONE)
        stand.device.answers[messages.SpoilRequest] = SPOILED
        stand.head_office.says |= {
            "imprint": [{"state": "look_here", "grade": "faint", "reason": "faint", "text": ""}],
            "spoiled": [{"accepted": True, "reason": "", "text": "", "strokes_left": 1}],
        }
        press(stand)
        stand.tray(present=True)
        await stand.until(Step.REDO)
        stand.imprints.choose(spoil=True)
        await stand.until(Step.CONTINUE)
        await stand.stamping.abort()
        tried = [name for name, _more in stand.head_office.heard].count("jobs")
        for _ in range(20):
            await asyncio.sleep(0)
        assert [name for name, _more in stand.head_office.heard].count("jobs") <= tried + 1
        assert stand.desk.session.step is Step.PICK

    at_desk(tmp_path, work)


def test_a_page_that_was_swapped_while_headquarters_looked_is_checked_by_itself(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.begin()
        ready_for_a_page(stand)
        agrees = stand.head_office.says["permit"][0]

        def wrong_page() -> PageAnswer:
            stand.lay()  # the keeper saw it, and was faster
            return replace(MATCH, answer="wrong", reason="wrong_page", permit_sent=False)

        stand.head_office.says["permit"] = [wrong_page, agrees]
        stand.lay()
        await stand.until(Step.READY)
        assert len(stand.device.of(messages.CaptureRequest)) == 2

    at_desk(tmp_path, work)


def test_a_status_that_was_overtaken_by_a_notice_counts_no_longer(tmp_path: Path) -> None:
    """The notice is heard at once, the answer to the question before it a moment later."""

    async def work(stand: Stand) -> None:
        stand.begin()
        stand.tray(present=True, state=State.UNLOCKED, uptime_ms=1_000)
        await stand.until(Step.READY)
        overtaken, ask = stand.connection.status, stand.connection.ask

        async def answered_late(*question: Any, **more: Any) -> Any:
            await ask(*question, **more)
            stand.desk.step(facts.StrokeCancelled(cause="page_moved", returned=True))
            stand.tray(present=False, uptime_ms=1_001)
            return overtaken

        stand.connection.ask = answered_late  # type: ignore[method-assign]
        await stand.connection.look()
        assert stand.connection.status is not None
        assert not stand.connection.status.page_present
        assert stand.desk.session.step is Step.PROBLEM

    at_desk(tmp_path, work)


def test_a_token_that_did_not_come_is_asked_for_again_with_its_own_challenge(tmp_path: Path) -> None:
    """Headquarters has given it: for another challenge it would say "still open" until that one's time is over."""

    async def work(stand: Stand) -> None:
        stand.desk.operator = {"operator_id": "p1", "name": "Kim"}
        stand.desk.session = Session()
        no = HeadOfficeRefused(status=409, code="not_ready", detail="It was taken back.")
        stand.head_office.says |= {
            "jobs": [[JOB, JOB | {"request_id": "r2"}]],
            "token": [HeadOfficeUnreachable("token"), HeadOfficeUnreachable("token"), no],
        }
        for challenges in (1, 1, 1, 2):
            with pytest.raises((HeadOfficeUnreachable, HeadOfficeRefused)):
                await stand.stamping.start("r1")
            assert len(stand.device.of(messages.ChallengeRequest)) == challenges
        stand.head_office.says["token"] = [HeadOfficeUnreachable("token")]
        for request in ("r1", "r2"):
            with pytest.raises(HeadOfficeUnreachable):
                await stand.stamping.start(request)
        assert len(stand.device.of(messages.ChallengeRequest)) == 4, "a challenge is for one request"

    at_desk(tmp_path, work)
