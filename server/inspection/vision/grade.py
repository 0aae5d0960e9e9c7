"""How well an imprint came out, for the keeper who may stamp again: clear, faint, cut off, missing, unclear.

A grade is about ink on paper: how dark the inked parts are beside a fresh imprint, and how much of the specimen is
there. Whether the imprint comes from this head is `ImprintFinding.answer`. Every number here was chosen from
`tests/inspection/grades.py`, which presses the demo's seals in every tone.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from server.inspection.vision.artwork import Artwork
from server.inspection.vision.ink import Density

SECTORS: Final = 12
_EMPTY: Final = 0.45
"""A twelfth of the imprint with less of its ink than this part of what the others have is not there. With the
simulator's camera whole imprints varied by a tenth, those that met the paper with four fifths fell to 0.2 and 0.35."""
_FULL: Final = 0.7
"""As much ink in the sectors that are there: else the whole imprint is faint, not cut off."""
FAINT_TONE: Final = 0.6
"""Paler than this part of a fresh imprint is worth another one. It can still be compared down to 0.4, so the keeper
stamps again before a person has to look."""
_FRESH: Final = 0.56
"""Redness of the darker quarter of a fresh imprint's solid parts."""
_THERE: Final = 0.45
"""Ink that is less than this part of the imprint's own tone, over about a millimetre, is not there."""
_WHOLE: Final = 0.94
"""Share of the specimen that is there: whole imprints had it all, those that met the paper with nine tenths 0.92."""
_SOLID: Final = 0.8
_LOCAL_MM: Final = 0.6
_CUT_SECTORS: Final = 2
_LEAST_PX: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Inking:
    """`tone`: darkness of what is there, 1 is a fresh imprint; `coverage`: part of the specimen that is there, 0 to 1;
    `empty`: neighbouring twelfths without ink while the others have theirs.
    """

    tone: float = 0.0
    coverage: float = 0.0
    empty: int = 0


class Grade(StrEnum):
    CLEAR = "clear"
    FAINT = "faint"
    CUT_OFF = "cut_off"
    MISSING = "missing"
    UNCLEAR = "unclear"


def inking(
    art: Artwork,
    red: Density,
    black: Density,
    *,
    px_mm: float,
    centre_mm: tuple[float, float],
    turn: NDArray[np.float64],
) -> Inking:
    """The ink on `red` (S, S) where the specimen has some; paper under `black` print (S, S) says nothing.

    `centre_mm` and `turn` (2, 2) say where the specimen lies on `red`.
    """
    centre = np.array(centre_mm) * px_mm - 0.5
    drawn = art.drawn(px_mm, side_px=red.shape[0], centre=centre, turn=turn)
    solid = (drawn > _SOLID) & (black <= 0)
    if np.count_nonzero(solid) < _LEAST_PX:
        return Inking()
    tone = float(np.quantile(red[solid], 0.75))
    weight = solid.astype(np.float32)
    sigma = _LOCAL_MM * px_mm
    ink, paper = (cv2.GaussianBlur(view, (0, 0), sigma) for view in (red * weight, weight))
    local = ink[solid] / np.maximum(paper[solid], np.float32(1e-6))
    coverage = float(np.mean(local > _THERE * tone)) if tone > 0 else 0.0
    empty = _empty_sectors((drawn > 0.5) & (black <= 0), red, centre, tone)
    return Inking(tone=tone / _FRESH, coverage=coverage, empty=empty)


def _empty_sectors(wanted: NDArray[np.bool_], red: Density, centre: NDArray[np.float64], tone: float) -> int:
    """Neighbouring twelfths of the specimen without ink, while the others have theirs; 0 to 12."""
    rows, columns = np.nonzero(wanted)
    around = np.arctan2(rows - centre[1], columns - centre[0])
    sector = np.floor((around + np.pi) / (2 * np.pi) * SECTORS).astype(int) % SECTORS
    inked = (red[rows, columns] > _THERE * tone).astype(np.float64)
    counts = np.bincount(sector, minlength=SECTORS)
    shares = np.where(
        counts >= _LEAST_PX, np.bincount(sector, weights=inked, minlength=SECTORS) / np.maximum(1, counts), np.nan
    )
    usual = float(np.nanquantile(shares, 0.75)) if not np.isnan(shares).all() else 0.0
    return _longest_run(shares < _EMPTY * usual) if usual >= _FULL else 0


def _longest_run(ring: NDArray[np.bool_]) -> int:
    best = run = 0
    for empty in np.r_[ring, ring]:
        run = run + 1 if empty else 0
        best = max(best, run)
    return min(best, len(ring))


def grade(*, answer: str, seen: Inking) -> Grade:
    """From the answer of an imprint finding and the ink that was `seen`."""
    if answer == "missing":
        return Grade.MISSING
    if answer == "extra":
        return Grade.UNCLEAR
    if seen.tone < FAINT_TONE:
        return Grade.FAINT
    if seen.empty >= _CUT_SECTORS or (answer != "different" and seen.coverage < _WHOLE):
        return Grade.CUT_OFF
    return Grade.CLEAR if answer == "genuine" else Grade.UNCLEAR
