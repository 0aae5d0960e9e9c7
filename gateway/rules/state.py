"""Where a keeper's session stands: one frozen value, shown on one screen."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final


class Step(StrEnum):
    """What the one screen shows. Words for people are in session_page."""

    PICK = "pick"
    PLACE = "place"
    CHECKING = "checking"
    ASKED = "asked"
    """A second person looks at a doubtful page."""
    SWEEP = "sweep"
    READY = "ready"
    STAMPED = "stamped"
    REDO = "redo"
    """An imprint is faint, cut off or missing: cancel the sheet, or keep it."""
    SPOIL = "spoil"
    """The spoiled sheet is to lie on the tray, so that it is cancelled."""
    CONTINUE = "continue"
    """The next part of the job is fetched: a spare."""
    LABEL = "label"
    PROBLEM = "problem"
    DONE = "done"
    OFFLINE = "offline"


CALM: Final = frozenset({Step.PLACE, Step.STAMPED, Step.PROBLEM, Step.LABEL, Step.DONE})
"""Steps at which the keeper may be asked something else without leaving a page half stamped."""
BAD_GRADES: Final = frozenset({"faint", "cut_off", "missing"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Imprint:
    """One stroke of this job, and what its photo shows.

    `grade`: "" not looked at yet, clear, faint, cut_off, missing, unclear; `cancelled`: the sheet carries CANCELLED;
    `url` and `short`: of its trace code.
    """

    token_id: str  # hex
    stroke: int
    page: int
    copy: int = 1
    grade: str = ""
    text: str = ""
    cancelled: bool = False
    url: str = ""
    short: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sticker:
    """One label of a device without a coder: for one sheet, with the code of the last imprint on it.

    `state`: print, stick, stuck, unconfirmed.
    """

    token_id: str  # hex
    stroke: int
    copy: int
    page: int = 0
    imprints: int = 1  # on the sheet: the label stands for all of them
    url: str = ""  # of the trace code
    short: str = ""
    state: str = "print"
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a job asks for, as headquarters or a voucher says. `pages`: (page, copy) of stroke 1, 2, ...; `papers`: the
    width and height in mm of the same strokes' sheets, (0, 0) where nobody said.
    """

    request_id: str
    title: str
    pages: tuple[tuple[int, int], ...] = ()
    papers: tuple[tuple[float, float], ...] = ()
    mode: str = "single"
    page_check: str = "before"
    pages_total: int = 0
    sweep: bool = False
    bound: bool = False
    spares_left: int = 0
    short: str = ""
    """The number under which headquarters files it, SR-2026-0007."""

    def sheet(self, stroke: int) -> tuple[int, int]:
        """(page, copy) that this stroke is for; a copy of its own when nobody said."""
        return self.pages[stroke - 1] if 0 < stroke <= len(self.pages) else (0, stroke)

    @property
    def unchecked(self) -> bool:
        """Nobody compares the page before the press."""
        return self.page_check != "before"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    step: Step = Step.PICK
    plan: Plan | None = None
    token_id: str = ""  # hex; "" when the device holds no grant of ours
    strokes_total: int = 0
    strokes_left: int = 0
    until_ms: int = 0  # when the device closes the grant by itself, 0 when not known
    page: int = 0  # expected or seen page of the current stroke, 0 when not known
    stage: str = ""  # straddle: cover, then fan
    code: str = ""  # of the problem
    text: str = ""  # of the problem, as headquarters or the device put it
    differences: tuple[dict[str, Any], ...] = ()
    page_used: bool = False  # the sheet on the tray was stamped, judged or leafed already
    sheet: int = 0  # the stroke whose sheet still lies as it was stamped, 0 when it moved
    case_id: str = ""
    asked: str = ""  # who was asked about the doubtful page
    asked_ms: int = 0
    reminded: tuple[str, ...] | None = None  # who was told that we wait for an answer; None: the keeper did not ask
    seen: int = 0  # pages leafed through
    of: int = 0
    missing: tuple[int, ...] = ()
    imprints: tuple[Imprint, ...] = ()
    redo: tuple[Imprint, ...] = ()  # wait for the keeper's decision, the first one now
    marker: str = ""  # CANCELLED on the spoiled sheet: "" the device prints it, else a label: print, stick
    owed: int = 0  # spares to stamp after this grant
    stickers: tuple[Sticker, ...] = ()
    photographed: str = ""  # the last imprint: "" none yet, yes, no, unconfirmed
    alarm: int = 0  # strokes that nobody approved and nobody explained yet
    stopped: str = ""  # title of the job that was stopped, until its reason is asked
    service: str = ""  # change_head or refill_ink while two persons' order is carried out
    slot: int = 0

    @property
    def busy(self) -> bool:
        """A job is open."""
        return self.plan is not None and not (self.step is Step.PROBLEM and not self.token_id)

    @property
    def request_id(self) -> str | None:
        return self.plan.request_id if self.plan else None

    def on_sheet_of(self, imprint: Imprint) -> tuple[Imprint, ...]:
        """The imprints of this job that still stand on the same sheet, this one among them."""
        here = (imprint.page, imprint.copy)
        return tuple(one for one in self.imprints if (one.page, one.copy) == here and not one.cancelled)

    @property
    def spares_suffice(self) -> bool:
        """Whether the first bad imprint's sheet may be cancelled: each imprint on it has to be made again."""
        left = self.plan.spares_left if self.plan is not None else 0
        return bool(self.redo) and left >= max(1, len(self.on_sheet_of(self.redo[0])))

    @property
    def title(self) -> str:
        return self.plan.title if self.plan else ""

    @property
    def continuous(self) -> bool:
        return self.plan is not None and self.plan.mode == "continuous"


def problem(session: Session, code: str, text: str) -> Session:
    return replace(session, step=Step.PROBLEM, code=code, text=text, differences=(), case_id="")


def next_page(session: Session) -> int:
    """The page that the stroke after the last one done is for, 0 when not known."""
    pages = session.plan.pages if session.plan else ()
    at = session.strokes_total - session.strokes_left
    return pages[at][0] if 0 <= at < len(pages) else 0


def blank(session: Session) -> Session:
    """No job any more; what is not about a job stays."""
    return Session(alarm=session.alarm, service=session.service, slot=session.slot)
