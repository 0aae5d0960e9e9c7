"""What can happen at a device, and what the gateway may have to do about it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from gateway.rules.state import Plan, Sticker


class Do(StrEnum):
    """What the gateway has to do next."""

    CAPTURE = "capture"
    RELOCK = "relock"
    SWEEP = "sweep"
    """Photograph the page that lies open."""
    END_SWEEP = "end_sweep"
    SPOIL = "spoil"
    LABEL = "label"
    """Photograph the sheet with its label."""
    PRINT = "print"
    """Print the next label."""
    PRINT_CANCELLED = "print_cancelled"
    """Print the label that cancels the spoiled sheet of a device without a coder."""
    CONTINUE = "continue"
    """Start the same request again: a spare is free."""
    DROP_CASE = "drop_case"
    SAMPLE = "sample"
    """Photograph the sample sheet of a service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The device took the token. `until_ms`: when it closes by itself."""

    plan: Plan
    token_id: str
    strokes: int
    sweep_pages: int = 0
    until_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrayChanged:
    present: bool
    still: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoTaken:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class PageJudged:
    """`case_id` is not empty when a second person is asked; `stage`: "", cover, fan."""

    answer: str
    reason: str
    page: int
    text: str = ""
    differences: tuple[dict[str, Any], ...] = ()
    case_id: str = ""
    stage: str = ""
    at_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseHeard:
    """`state`: waiting, anyway, no, over."""

    case_id: str
    state: str
    by: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseReminded:
    """`names`: who was reminded that somebody waits; nobody, if nobody else may answer."""

    case_id: str
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSwept:
    """Headquarters saw a leafed page. `answer`: match, doubtful, wrong."""

    page: int
    answer: str
    seen: int
    of: int
    missing: tuple[int, ...]
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepEnded:
    """The device's own count."""

    seen: int
    expected: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LatchFree:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class StrokeDone:
    """`url` and `short`: of its trace code, for labels."""

    stroke: int
    url: str = ""
    short: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StrokeSettled:
    """After a power cut. `outcome`: recovered, aborted, unknown."""

    stroke: int
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StrokeCancelled:
    cause: str
    returned: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ImprintJudged:
    token_id: str
    stroke: int
    grade: str
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedoChosen:
    """The keeper cancels the sheet and takes a spare (True), or leaves it to the person who reviews it (False).

    `by_label`: the device has no coder, so CANCELLED comes out of the label printer.
    """

    spoil: bool
    by_label: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelLabelPrinted:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetSpoiled:
    """Headquarters' answer about the cancelled sheet."""

    accepted: bool
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelsOwed:
    stickers: tuple[Sticker, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelPrinted:
    token_id: str
    stroke: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelEnded:
    """`confirmed`: its photo is taken; otherwise it stays in the list "stamped, label missing"."""

    token_id: str
    stroke: int
    confirmed: bool
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GrantClosed:
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraStrokes:
    """The stamp went down when nothing was approved."""

    strokes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AlarmExplained:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class ReasonGiven:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceBegun:
    kind: str
    slot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEnded:
    in_time: bool


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
    """`strokes_left` is None when the device holds no grant of ours."""

    strokes_left: int | None
    sweeping: bool = False


Fact: TypeAlias = (
    Started
    | TrayChanged
    | PhotoTaken
    | PageJudged
    | CaseHeard
    | CaseReminded
    | PageSwept
    | SweepEnded
    | LatchFree
    | StrokeDone
    | StrokeSettled
    | StrokeCancelled
    | ImprintJudged
    | RedoChosen
    | CancelLabelPrinted
    | SheetSpoiled
    | LabelsOwed
    | LabelPrinted
    | LabelEnded
    | GrantClosed
    | ExtraStrokes
    | AlarmExplained
    | ReasonGiven
    | ServiceBegun
    | ServiceEnded
    | WentWrong
    | Aborted
    | DeviceLost
    | DeviceBack
)
