"""How well an unchanged glyph can correlate on this very photo: small and grey print correlates worse than black print.

Sensor noise and JPEG add the same energy to every pixel, so their share of a glyph's patch grows as its ink gets less;
blur and alignment add a share of the ink itself. Unexplained over explained energy is therefore a straight line over
the patch's area per ink energy. The line is fitted to all glyphs of the page, so the photo measures itself, and a few
changed glyphs do not move it.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]

_LEAST_NCC: Final = 0.05
_ROUNDS: Final = 8
_NEAR_FIT: Final = 0.01
_ENOUGH_LIKES: Final = 6
_LEAST_MODEL_ERROR: Final = 0.01
"""Even large black print has this much energy that blur and alignment leave over."""


def expected_ncc(ncc: Vector, faintness: Vector, letter: NDArray[np.str_]) -> Vector:
    """The correlation (n,) that each glyph would have if nothing was changed.

    `ncc` (n,) was measured, `faintness` (n,) is area over ink energy, `letter` (n,) names the glyphs; a letter that is
    on the page `_ENOUGH_LIKES` times has its own level, as some shapes suffer more from blur than others.
    """
    if len(ncc) == 0:
        return ncc
    unexplained = 1.0 / np.maximum(ncc, _LEAST_NCC).astype(np.float64) ** 2 - 1.0
    level, slope = _line(faintness.astype(np.float64), unexplained)
    usual = level + slope * faintness
    share = unexplained / usual
    for name in np.unique(letter[letter != ""]):
        same = letter == name
        if np.count_nonzero(same) >= _ENOUGH_LIKES:
            usual[same] *= np.median(share[same])
    return np.asarray(1.0 / np.sqrt(1.0 + usual), np.float32)


def _line(x: NDArray[np.float64], y: NDArray[np.float64]) -> tuple[float, float]:
    """Level and slope of least absolute relative deviation, neither below what a photo can have."""
    basis = np.c_[np.ones(len(x)), x]
    ridge = np.diag([1e-6, 1e-3])
    weight = np.ones(len(x))
    level, slope = float(np.median(y)), 0.0
    for _ in range(_ROUNDS):
        weighted = basis * weight[:, None]
        level, slope = (float(v) for v in np.linalg.solve(weighted.T @ basis + ridge, weighted.T @ y))
        level, slope = max(level, _LEAST_MODEL_ERROR), max(slope, 0.0)
        fitted = level + slope * x
        weight = 1.0 / (np.maximum(np.abs(y - fitted), _NEAR_FIT) * fitted)
    return level, slope
