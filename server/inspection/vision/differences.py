"""From scores to differences, and from differences to an answer. All limits of the page check stand here."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from server.inspection.vision.approved import Grid
from server.inspection.vision.expected import expected_ncc
from server.inspection.vision.finding import Answer, Reason
from server.inspection.vision.glyphs import Boxes, is_letter
from server.inspection.vision.ink import Density, components, gathered
from server.inspection.vision.letters import Comparison

DIGIT_DOUBT: Final = -0.03
"""Digit margins of unchanged digits stayed under -0.07 at 8 pt, 145 dpi and level 1.6."""
DIGIT_WRONG: Final = 0.05
LETTER_DOUBT: Final = 0.07
LETTER_WRONG: Final = 0.22
"""Letters have nearer neighbours than digits (c e o): unchanged ones reached +0.05."""
DROP_DOUBT: Final = 0.11
DROP_WRONG: Final = 0.3
"""A letter's correlation below the median of the same letter on the page; unchanged ones stayed under 0.07."""
SUSPECT_DROP: Final = 0.05
"""From this drop on a letter is tried against all others."""
UNLIKE: Final = 0.5
"""A glyph that correlates worse than this is not the glyph that was approved, whatever it is."""
UNLIKE_SMALL: Final = 0.2
"""The same for points and commas of a few pixels."""
UNJUDGED: Final = 0.7
"""A glyph of which no more can be expected than this is too small or too faint to be told from another."""
DARKER: Final = 3.0
"""This many times the expected energy where a glyph cannot be judged: something that can be read was printed there."""
EXTRA_MM2: Final = 0.12
EXTRA_WRONG_MM2: Final = 1.0
MISSING_MM2: Final = 0.08
MISSING_WRONG_MM2: Final = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """A difference in grid pixels; `strong` means that it is no matter of doubt."""

    kind: Literal["text", "extra", "missing"]
    box: tuple[float, float, float, float]
    score: float
    text: str
    strong: bool


def of_text(grid: Grid, comparison: Comparison, photo: Density) -> tuple[list[Spot], list[int]]:
    """Words with a glyph that differs, or is gone; and the indices of words with letters that cannot be judged."""
    glyphs = grid.glyphs
    if len(glyphs.boxes) == 0:
        return [], []
    ncc = comparison.own()
    usual = expected_ncc(ncc, comparison.faintness, glyphs.letter)
    judged = usual >= UNJUDGED
    worded = np.char.isdigit(glyphs.letter) | is_letter(glyphs.letter)
    digit, letter = np.char.isdigit(glyphs.letter) & judged, is_letter(glyphs.letter) & judged
    small = (glyphs.boxes[:, 2:] - glyphs.boxes[:, :2]).max(axis=1) < 0.045 * grid.dpi
    unlike = judged & (ncc < np.where(small, UNLIKE_SMALL, UNLIKE))
    drop = usual - ncc
    margin = _margins(grid, comparison, digit, judged & ~digit & ((drop > SUSPECT_DROP) | unlike))
    named = letter | digit  # a digit too: the page may hold no other digit of its size to try in its place
    doubt = unlike | (margin > np.where(digit, DIGIT_DOUBT, LETTER_DOUBT)) | (named & (drop > DROP_DOUBT))
    strong = (margin > np.where(digit, DIGIT_WRONG, LETTER_WRONG)) | (unlike & ~small) | (named & (drop > DROP_WRONG))
    doubt |= ~judged & (comparison.energy() > DARKER / usual**2)
    gone = np.zeros(len(ncc), np.bool_)
    lost = glyphs.boxes[unlike]
    gone[unlike] = _mass(photo, lost) < 0.35 * _mass(grid.ink, lost)
    certainty = np.maximum(1 - ncc, margin)
    spots = []
    for word in np.unique(glyphs.word[doubt]):
        here = np.flatnonzero(doubt & (glyphs.word == word))
        spots.append(
            Spot(
                kind="missing" if gone[here].all() else "text",
                box=box_of(grid.words[word]),
                score=float(certainty[here].max()),
                text=grid.text[word],
                strong=bool(strong[here].any()),
            )
        )
    return spots, [int(word) for word in np.setdiff1d(glyphs.word[worded & ~judged], glyphs.word[doubt])]


def _margins(
    grid: Grid, comparison: Comparison, digit: NDArray[np.bool_], suspect: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Every digit against the other digits, and every suspect letter against all glyphs of the page."""
    margin = np.full(len(digit), -1.0, np.float32)
    digits, suspects = np.flatnonzero(digit).astype(np.int32), np.flatnonzero(suspect).astype(np.int32)
    margin[digits] = comparison.margin(digits, grid.bank[digit[grid.bank]], height_ratio=1.2)
    margin[suspects] = comparison.margin(suspects, grid.bank, height_ratio=1.8)
    return margin


def _mass(ink: Density, boxes: Boxes) -> NDArray[np.float64]:
    whole = boxes.astype(int)
    return np.array([float(ink[y0:y1, x0:x1].sum()) for x0, y0, x1, y1 in whole])


def box_of(row: NDArray[np.float64]) -> tuple[float, float, float, float]:
    return float(row[0]), float(row[1]), float(row[2]), float(row[3])


def of_ink(mask: NDArray[np.bool_], kind: Literal["extra", "missing"], *, dpi: float, known: list[Spot]) -> list[Spot]:
    """Connected places of too much or too little ink; a missing place inside a word already named is left out."""
    if not mask.any():
        return []
    mm2 = (dpi / 25.4) ** 2
    least, plenty = (EXTRA_MM2, EXTRA_WRONG_MM2) if kind == "extra" else (MISSING_MM2, MISSING_WRONG_MM2)
    real, _ = components(mask, least_px=least * mm2)
    if len(real) == 0:
        return []
    boxes, _ = components(gathered(mask, round(1.6 / 25.4 * dpi)), least_px=least * mm2)
    spots = []
    for x0, y0, x1, y1 in boxes:
        if any(s.box[0] - 2 <= x0 and s.box[1] - 2 <= y0 and x1 <= s.box[2] + 2 and y1 <= s.box[3] + 2 for s in known):
            continue
        area = float(np.count_nonzero(mask[y0:y1, x0:x1])) / mm2
        if area < least:
            continue
        box = (float(x0), float(y0), float(x1), float(y1))
        spots.append(Spot(kind=kind, box=box, score=min(1.0, area / plenty), text="", strong=area >= plenty))
    return spots


def judge(spots: list[Spot]) -> tuple[Answer, Reason]:
    """The answer, and the reason that its strongest kind of difference gives."""
    if not spots:
        return Answer.MATCH, "ok"
    worst = max(spots, key=lambda s: (s.strong, s.kind == "text", s.score))
    reasons: dict[str, Reason] = {"text": "text_differs", "extra": "extra_ink", "missing": "missing_ink"}
    strong = any(s.strong for s in spots) or len(spots) >= 4
    return Answer.WRONG if strong else Answer.DOUBTFUL, reasons[worst.kind]
