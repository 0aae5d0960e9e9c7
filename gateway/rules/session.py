"""The keeper's session at one device, as rules: facts in, a new session and the things to do out. No I/O.

Within a job nothing is tapped: still page -> photo -> permit -> unlock -> press -> photo -> next.
1. A page that came to lie still since the last stroke is photographed once.
2. Only headquarters' match brings a permit; anything else stops with both choices open: lay another page, or stop.
3. Whatever goes wrong, the device is locked by itself; the session only says so and waits for a page.
4. Abort locks first and talks afterwards.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, TypeAlias


class Step(StrEnum):
    """What the one screen shows. Words for people are in session_page."""

    PICK = "pick"
    PLACE = "place"
    CHECKING = "checking"
    READY = "ready"
    STAMPED = "stamped"
    PROBLEM = "problem"
    DONE = "done"
    OFFLINE = "offline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    step: Step = Step.PICK
    request_id: str | None = None
    title: str = ""
    strokes_total: int = 0
    strokes_left: int = 0
    page: int = 0  # expected or seen page of the current stroke, 0 when not known
    code: str = ""  # of the problem
    text: str = ""  # of the problem, as headquarters or the device put it
    differences: tuple[dict[str, Any], ...] = ()
    page_used: bool = False  # the sheet on the tray was stamped or judged already

    @property
    def busy(self) -> bool:
        """A job is open."""
        return self.request_id is not None


# Facts


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    request_id: str
    title: str
    strokes: int
    page: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrayChanged:
    present: bool
    still: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoTaken:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class PageJudged:
    answer: str
    reason: str
    page: int
    text: str = ""
    differences: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LatchFree:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class StrokeDone:
    strokes_left: int


@dataclass(frozen=True, slots=True, kw_only=True)
class StrokeCancelled:
    strokes_left: int
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantClosed:
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WentWrong:
    code: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Aborted:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLost:
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceBack:
    """`strokes_left` is None when the device holds no grant."""

    strokes_left: int | None


Fact: TypeAlias = (
    Started
    | TrayChanged
    | PhotoTaken
    | PageJudged
    | LatchFree
    | StrokeDone
    | StrokeCancelled
    | GrantClosed
    | WentWrong
    | Aborted
    | DeviceLost
    | DeviceBack
)


class Do(StrEnum):
    """What the gateway has to do next."""

    CAPTURE = "capture"
    RELOCK = "relock"


Answer: TypeAlias = tuple[Session, tuple[Do, ...]]


def advance(session: Session, fact: Fact) -> Answer:  # noqa: PLR0911, PLR0912, C901 - the table of the rules
    """The session after `fact`, and what to do. What comes late for a job that is gone changes nothing."""
    if not session.busy and not isinstance(fact, Started | Aborted | DeviceLost | DeviceBack):
        return session, ()
    match fact:
        case Started():
            return _started(fact), ()
        case TrayChanged():
            return _tray(session, fact)
        case PhotoTaken():
            return replace(session, step=Step.CHECKING, page_used=True), ()
        case PageJudged():
            return _judged(session, fact), ()
        case LatchFree():
            return _latch_free(session), ()
        case StrokeDone(strokes_left=left):
            return replace(session, step=Step.STAMPED if left else Step.DONE, strokes_left=left, page_used=True), ()
        case StrokeCancelled(strokes_left=left, cause=cause):
            return _problem(replace(session, strokes_left=left), f"cancelled_{cause}", ""), ()
        case GrantClosed(cause=cause):
            return _closed(session, cause), ()
        case WentWrong(code=code, text=text):
            return _problem(session, code, text), ()
        case Aborted():
            return Session(), (Do.RELOCK,)
        case DeviceLost(text=text):
            return replace(session, step=Step.OFFLINE, code="device_unreachable", text=text), ()
        case DeviceBack(strokes_left=left):
            return _back(session, left), ()


def _started(fact: Started) -> Session:
    return Session(
        step=Step.PLACE,
        request_id=fact.request_id,
        title=fact.title,
        strokes_total=fact.strokes,
        strokes_left=fact.strokes,
        page=fact.page,
    )


def _tray(session: Session, fact: TrayChanged) -> Answer:
    waiting = session.step in (Step.PLACE, Step.STAMPED, Step.PROBLEM)
    if not session.busy or not waiting or session.strokes_left == 0:
        return session, ()
    if not (fact.present and fact.still):
        moved = replace(session, page_used=False)
        return (replace(moved, step=Step.PLACE) if session.step is Step.STAMPED and not fact.present else moved), ()
    if session.page_used:
        return session, ()
    return replace(session, step=Step.CHECKING, page_used=True), (Do.CAPTURE,)


def _latch_free(session: Session) -> Session:
    """The device says so itself, also where no permit is asked for (page check after, or none)."""
    if session.step not in (Step.PLACE, Step.CHECKING):
        return session
    return replace(session, step=Step.READY, code="", text="")


def _judged(session: Session, fact: PageJudged) -> Session:
    if fact.answer == "match":
        return replace(session, page=fact.page, code="", text="", differences=())
    stopped = _problem(session, fact.reason, fact.text)
    return replace(stopped, differences=fact.differences, page=fact.page)


def _problem(session: Session, code: str, text: str) -> Session:
    return replace(session, step=Step.PROBLEM, code=code, text=text, differences=())


def _closed(session: Session, cause: str) -> Session:
    if not session.busy or session.step is Step.DONE:
        return session
    if session.strokes_left == 0:
        return replace(session, step=Step.DONE)
    return replace(_problem(session, f"closed_{cause}", ""), request_id=None)


def _back(session: Session, left: int | None) -> Session:
    if not session.busy:
        return Session()
    if left is None:
        return _closed(session, "reboot")
    return replace(session, step=Step.PLACE, strokes_left=left, page_used=False, code="", text="")
