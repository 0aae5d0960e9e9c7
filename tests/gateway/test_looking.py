"""The live picture of the tray: fetched only while a page is to be laid, and never in a stroke's way."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from firmware_protocol import messages
from firmware_protocol.messages import Feature, State
from gateway.errors import PhotoBroken
from gateway.looking import Looking
from gateway.rules import facts, look
from gateway.rules.session import Session, Step
from tests.gateway.stand import HELLO, STATUS, Stand, at_desk, refusal

PLACE = (73, 52, 927, 52, 927, 918, 73, 918)
LOOKED = messages.Looked(digest=b"l" * 32, place=PLACE)
LAYING = Session(step=Step.PLACE, token_id="ab" * 16)
OPEN = replace(STATUS, state=State.GRANTED)


@pytest.mark.parametrize("step", list(Step))
@pytest.mark.parametrize("state", list(State))
def test_only_the_step_that_asks_for_a_page_shows_the_tray(step: Step, state: State) -> None:
    session, status = replace(LAYING, step=step), replace(STATUS, state=state)
    may = look.may_ask(session, status, features=int(Feature.LOOK), signed_in=True, busy=False)
    assert may == (step is Step.PLACE and state in (State.GRANTED, State.PAGE_SEEN))


@pytest.mark.parametrize("why", [{"features": 0}, {"signed_in": False}, {"busy": True}])
def test_no_look_without_the_feature_a_person_or_a_calm_desk(why: dict[str, Any]) -> None:
    facts: dict[str, Any] = {"features": int(Feature.LOOK), "signed_in": True, "busy": False}
    assert look.may_ask(LAYING, OPEN, **facts)
    assert not look.may_ask(LAYING, OPEN, **facts | why)
    assert not look.may_ask(LAYING, None, **facts)


@pytest.mark.parametrize("what", [{"alarm": 1}, {"service": "change_head"}, {"stopped": "Office lease"}])
def test_what_must_not_be_overlooked_has_no_picture_beside_it(what: dict[str, Any]) -> None:
    assert look.offered(LAYING, features=int(Feature.LOOK))
    assert not look.offered(replace(LAYING, **what), features=int(Feature.LOOK))


class Bulk:
    def __init__(self) -> None:
        self.asked: list[bytes] = []
        self.broken = False

    async def look(self, digest: bytes) -> bytes | None:
        self.asked.append(digest)
        if self.broken:
            raise PhotoBroken(digest)
        return b"picture %d" % len(self.asked)


def looking(home: Path, work: Callable[[Stand, Looking, Bulk], Coroutine[Any, Any, None]]) -> None:
    """At a desk with a job, where the device says that it can be looked through."""

    async def at_it(stand: Stand) -> None:
        stand.connection.hello = replace(HELLO, features=int(Feature.LOOK))
        stand.begin()
        stand.tray(present=False)
        stand.device.answers[messages.LookRequest] = LOOKED
        bulk: Any = Bulk()
        await work(stand, Looking(stand.desk, bulk), bulk)

    at_desk(home, at_it)


def test_all_who_look_share_one_picture(tmp_path: Path) -> None:
    async def work(stand: Stand, at: Looking, _bulk: Bulk) -> None:
        assert at.place == ()
        assert await asyncio.gather(at.look(), at.look(), at.look()) == [b"picture 1"] * 3
        assert at.place == PLACE
        assert len(stand.device.of(messages.LookRequest)) == 1

    looking(tmp_path, work)


def test_whoever_makes_the_device_photograph_comes_first(tmp_path: Path) -> None:
    async def work(stand: Stand, at: Looking, bulk: Bulk) -> None:
        async with stand.desk.turn:
            assert await at.look() is None
        assert stand.device.of(messages.LookRequest) == []
        ask = stand.device.ask

        async def overtaken(request: Any, reply: Any, *, slow: bool = False) -> Any:
            await stand.desk.turn.acquire()  # a page came to lie still meanwhile
            return await ask(request, reply, slow=slow)

        stand.device.ask = overtaken  # type: ignore[method-assign]
        assert await at.look() is None
        assert bulk.asked == [], "the bulk link stays free for the photo"
        stand.desk.turn.release()

    looking(tmp_path, work)


def test_it_stops_with_the_step(tmp_path: Path) -> None:
    async def work(stand: Stand, at: Looking, _bulk: Bulk) -> None:
        assert await at.look() is not None
        stand.desk.step(facts.PhotoTaken())
        assert (await at.look(), at.place) == (None, None)
        assert len(stand.device.of(messages.LookRequest)) == 1

    looking(tmp_path, work)


def test_a_device_that_refuses_costs_the_picture_only(tmp_path: Path) -> None:
    async def work(stand: Stand, at: Looking, _bulk: Bulk) -> None:
        stand.device.answers[messages.LookRequest] = refusal("BUSY")
        assert await at.look() is None
        assert (stand.desk.session.step, stand.desk.session.code) == (Step.PLACE, "")

    looking(tmp_path, work)


def test_a_picture_that_does_not_fit_its_digest_is_not_shown(tmp_path: Path) -> None:
    async def work(_stand: Stand, at: Looking, bulk: Bulk) -> None:
        bulk.broken = True
        assert await at.look() is None

    looking(tmp_path, work)


def test_an_older_device_is_never_asked(tmp_path: Path) -> None:
    async def work(stand: Stand, at: Looking, _bulk: Bulk) -> None:
        stand.connection.hello = HELLO
        assert (await at.look(), at.place) == (None, None)
        assert stand.device.of(messages.LookRequest) == []

    looking(tmp_path, work)
