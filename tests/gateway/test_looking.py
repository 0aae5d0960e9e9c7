"""The live picture of the tray: fetched only while a page is to be laid, and never in a stroke's way."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from firmware_protocol import messages
from firmware_protocol.messages import Feature, State
from gateway.errors import PhotoBroken
from gateway.looking import Looking
from gateway.rules import facts, look
from gateway.rules.session import Plan, Session, Step
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


A4 = (210.0, 297.0)


def laying(*papers: tuple[float, float], left: int | None = None, pages: tuple[int, ...] = ()) -> Session:
    """A job whose sheets are of these sizes, with `left` strokes to go (all)."""
    sheets = tuple((page, 1) for page in pages or range(1, len(papers) + 1))
    plan = Plan(request_id="r1", title="Notice", pages=sheets, papers=papers)
    total = len(sheets)
    return replace(LAYING, plan=plan, strokes_total=total, strokes_left=total if left is None else left)


@pytest.mark.parametrize("size", [A4, (148.0, 210.0), (215.9, 279.4), (90.0, 200.0)])
def test_the_outline_is_that_of_the_page_that_is_wanted_now(size: tuple[float, float]) -> None:
    seen = (80, 60, 900, 90, 880, 930, 60, 900)  # a camera that looks a little from the side
    corners = np.array([(0, 0), (210, 0), (210, 297), (0, 297)], np.float32)
    camera = cv2.getPerspectiveTransform(corners, np.array(seen, np.float32).reshape(4, 2))
    width, height = size
    sheet = np.array([[(0, 0), (width, 0), (width, height), (0, height)]], np.float32)
    wanted = cv2.perspectiveTransform(sheet, camera).ravel()
    found = look.outline(laying(A4, size, left=1), seen)
    assert np.abs(np.array(found) - wanted).max() <= 1
    assert look.outline(laying(size, A4, left=1), seen) == seen


def test_what_is_laid_elsewhere_or_has_no_known_size_gets_no_wrong_outline() -> None:
    assert look.outline(laying((148, 210)), ()) == ()
    assert look.outline(laying((0, 0)), PLACE) == PLACE, "nobody said: A4"
    assert look.outline(LAYING, PLACE) == PLACE
    assert look.outline(replace(laying(A4), stage="fan"), PLACE) == ()
    again = laying(A4, A4, pages=(1, 1))
    assert look.outline(again, PLACE) == PLACE
    assert look.outline(replace(again, strokes_left=1), PLACE) == (), "the next place on the same page"


def test_a_page_wider_than_high_lies_turned() -> None:
    said = [{"page": 1, "mm": [297.0, 210.0]}, {"page": 2}, {"page": 3, "mm": [5e6, 1.0]}, {"page": 4, "mm": None}]
    assert look.papers(said) == (A4, (0, 0), (0, 0), (0, 0))


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
