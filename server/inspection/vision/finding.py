"""What inspection saw. A finding is a value: it is never an error, and it decides nothing."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels."""
Reason = Literal[
    "ok",
    "blank_page",
    "not_this_page",
    "too_blurred",
    "cut_off",
    "glare",
    "low_resolution",
    "text_differs",
    "extra_ink",
    "missing_ink",
    "no_page",
    "undecodable",
    "no_strip",
    "old_photo",
    "fan",
    "fan_without_cover",
]


class Answer(StrEnum):
    """The three answers of the page check (D8)."""

    MATCH = "match"
    DOUBTFUL = "doubtful"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One place where photo and approved page disagree.

    `kind` is text, extra or missing; `box` is in pixels of the approved image, `box_photo` in pixels of the photo, both
    upright rectangles; `score` grows with the certainty, from 0 to about 1; `text` is the approved word, or empty.
    """

    kind: Literal["text", "extra", "missing"]
    box: Box
    box_photo: Box
    score: float
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFinding:
    """The photo against one approved page.

    `coverage` is the share of approved words that lie inside the photo; `dpi` the photo's resolution on the paper;
    `orientation_deg` the turn of the page in the photo, clockwise, -180 to 180; `homography` maps approved pixels to
    photo pixels, None when the page was not found; `unjudged` boxes in approved pixels around words too small or too
    faint to be compared on this photo, at most 40; `ms` the time it took.
    """

    answer: Answer
    reason: Reason
    inliers: int
    coverage: float
    dpi: float
    orientation_deg: float
    differences: tuple[Difference, ...]
    unjudged: tuple[Box, ...]
    homography: list[list[float]] | None
    ms: float
