"""How well an imprint came out, for the keeper who may stamp again: clear, faint, cut off, missing, unclear.

A grade is about ink on paper. Whether the imprint comes from this head is `ImprintFinding.answer`.
"""

from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from server.inspection.vision.artwork import Artwork
from server.inspection.vision.ink import Density

SECTORS: Final = 12
_INKED: Final = 0.25
_EMPTY: Final = 0.45
"""A twelfth of the imprint with less of its ink than this part of what the others have is not there. With the
simulator's camera whole imprints varied by a tenth, those that met the paper with four fifths fell to 0.2 and 0.35."""
_FULL: Final = 0.7
"""As much ink in the sectors that are there: else the whole imprint is faint, not cut off."""
_FAINT_SHARE: Final = 0.5
"""Less ink than this part of the specimen's is worth another imprint, although it can still be compared."""
_CUT_SECTORS: Final = 2
_LEAST_PX: Final = 40


class Grade(StrEnum):
    CLEAR = "clear"
    FAINT = "faint"
    CUT_OFF = "cut_off"
    MISSING = "missing"
    UNCLEAR = "unclear"


def empty_sectors(
    art: Artwork,
    red: Density,
    black: Density,
    *,
    px_mm: float,
    centre_mm: tuple[float, float],
    turn: NDArray[np.float64],
) -> int:
    """Neighbouring twelfths of the specimen without ink on `red` (S, S), while the others have theirs; 0 to 12.

    Paper under `black` print (S, S) says nothing. `centre_mm` and `turn` (2, 2) say where the specimen lies on `red`.
    """
    centre = np.array(centre_mm) * px_mm - 0.5
    drawn = art.drawn(px_mm, side_px=red.shape[0], centre=centre, turn=turn)
    wanted = (drawn > 0.5) & (black <= 0)
    rows, columns = np.nonzero(wanted)
    around = np.arctan2(rows - centre[1], columns - centre[0])
    sector = np.floor((around + np.pi) / (2 * np.pi) * SECTORS).astype(int) % SECTORS
    inked = (red[rows, columns] > _INKED).astype(np.float64)
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


def grade(*, answer: str, reason: str, ink_share: float, empty: int) -> Grade:
    """From the fields of an imprint finding and `empty_sectors`."""
    if answer == "missing":
        return Grade.MISSING
    if answer == "extra":
        return Grade.UNCLEAR
    if empty >= _CUT_SECTORS:
        return Grade.CUT_OFF
    if ink_share < _FAINT_SHARE or reason == "faint":
        return Grade.FAINT
    return Grade.CLEAR if answer == "genuine" else Grade.UNCLEAR
