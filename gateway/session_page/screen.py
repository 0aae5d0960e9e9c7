"""The parts a keeper's screen is made of. One step per screen, one primary action, never two green ones."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.rules.session import Step
from gateway.session_page.translation import N_

STEPPER: Final = (N_("Pick"), N_("Lay"), N_("Check"), N_("Press"), N_("Done"))
POSITION: Final = {
    Step.PICK: 0,
    Step.PLACE: 1,
    Step.SWEEP: 1,
    Step.CHECKING: 2,
    Step.ASKED: 2,
    Step.PROBLEM: 2,
    Step.READY: 3,
    Step.STAMPED: 3,
    Step.REDO: 3,
    Step.SPOIL: 3,
    Step.CONTINUE: 3,
    Step.LABEL: 3,
    Step.DONE: 4,
    Step.OFFLINE: 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One form: POST to `path` below the device's page, with one value if it is a choice."""

    path: str
    text: str
    name: str = ""
    value: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Something a keeper writes: choices first, words below them."""

    path: str
    label: str
    choices: tuple[tuple[str, str], ...] = ()  # (value, words)
    submit: str
    required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A photo kept by the gateway under `name`. `caption` says what it shows, in words."""

    name: str
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a label looks like, in dots. `path`: code and bars (SVG); `lines`: x, y of their middle, and words."""

    width: int
    height: int
    path: str
    lines: tuple[tuple[int, int, str], ...]
    beside: tuple[int, int, str] | None  # the word that runs from top to bottom
    words: str  # what it shows, for who does not see it


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One place that differs, in words; `approved` and `photo` name its two pictures, "" while there are none."""

    words: str
    approved: str = ""
    photo: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One part of the device strip. `tone`: good, wait, bad, plain."""

    text: str
    tone: str = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """`tone` colours the screen; `cue` names the sound; `big` is the number a keeper counts by.

    `waited_s`: how long somebody is asked already, None when nobody is. `live`: a picture of the tray as it lies now is
    shown, with this outline (Looking.place); None: none is. `say`: what a voice says when the screen comes up.
    """

    step: str
    tone: str
    title: str
    text: str
    big: str = ""
    lines: tuple[str, ...] = ()
    position: int = 0
    sign_in: bool = False
    add_passkey: bool = False
    jobs: tuple[Mapping[str, Any], ...] = ()
    pictures: tuple[Picture, ...] = ()
    differences: tuple[Difference, ...] = ()
    question: Question | None = None
    waited_s: int | None = None
    live: tuple[int, ...] | None = None
    label: Preview | None = None
    primary: Action | None = None
    extra: tuple[Action, ...] = ()
    abort: bool = False
    cue: str = ""
    say: str = ""
