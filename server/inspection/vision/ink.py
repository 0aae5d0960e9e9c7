"""Ink as a density from 0 (paper) to 1 (black), whatever the light, and where it is too much or too little."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Density = NDArray[np.float32]

_REDUCE: Final = 4
_PAPER_REACH_MM: Final = 5.0
"""Anything dark and thinner than this is ink, anything wider is shade; wider than the strokes of any heading."""
_DEEPEST_SHADE: Final = 0.35
"""Paper in shade keeps at least this part of the brightness that paper in full light has."""
EDGE_MM: Final = 4.0
"""Beside the paper's edge its shadow is dark; no printer prints there."""


def density(grey: Pixels, dpi: float) -> Density:
    """Ink density (H, W): the grey value over the paper's own brightness nearby.

    The paper level is a morphological closing, so a hard shadow edge stays an edge of the paper and is not ink.
    """
    height, width = grey.shape
    small = cv2.resize(grey, (max(1, width // _REDUCE), max(1, height // _REDUCE)), interpolation=cv2.INTER_AREA)
    reach = max(3, round(_PAPER_REACH_MM / 25.4 * dpi / _REDUCE) | 1)
    paper = cv2.morphologyEx(small, cv2.MORPH_CLOSE, np.ones((reach, reach), np.uint8))
    # No shade is this much darker than the rest of the paper: a black area wider than the reach is still ink.
    brightest = float(np.quantile(paper[::4, ::4], 0.95)) if paper.size else 0.0
    paper = np.maximum(paper, np.uint8(round(_DEEPEST_SHADE * brightest)))
    paper = cv2.resize(cv2.blur(paper, (3, 3)), (width, height), interpolation=cv2.INTER_LINEAR)
    ink = np.asarray(cv2.divide(grey, np.maximum(paper, np.uint8(8)), scale=1.0, dtype=cv2.CV_32F), np.float32)
    np.subtract(np.float32(1.0), ink, out=ink)
    return np.asarray(np.maximum(ink, np.float32(0.0), out=ink), np.float32)


def above(ink: Density, level: float) -> Pixels:
    """255 where there is more ink than `level`, else 0."""
    return np.asarray((ink > level).view(np.uint8) * np.uint8(255), np.uint8)


def components(mask: NDArray[np.bool_], *, least_px: float) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Boxes (n, 4) as x0, y0, x1, y1 and areas (n,) of the connected parts of `mask` with `least_px` pixels or more."""
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    rows = stats[1:count]
    rows = rows[rows[:, cv2.CC_STAT_AREA] >= least_px]
    boxes = np.stack([rows[:, 0], rows[:, 1], rows[:, 0] + rows[:, 2], rows[:, 1] + rows[:, 3]], axis=1)
    return boxes.astype(np.int32), rows[:, cv2.CC_STAT_AREA].astype(np.int32)


def gathered(mask: NDArray[np.bool_], reach_px: int) -> NDArray[np.bool_]:
    """`mask` with parts nearer than `reach_px` joined, so that a line of print is one part."""
    kernel = np.ones((max(1, reach_px // 2), max(1, reach_px)), np.uint8)
    return np.asarray(cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_CLOSE, kernel) > 0)


def around(approved: Density, dpi: float) -> Pixels:
    """255 within 0.55 mm of approved ink: there the glyph comparison speaks, not the search for added ink."""
    reach = 2 * round(0.55 / 25.4 * dpi) + 1
    return np.asarray(cv2.dilate(above(approved, 0.12), np.ones((reach, reach), np.uint8)), np.uint8)


def extra(near: Pixels, photo: Density, inside: Pixels) -> NDArray[np.bool_]:
    """Pixels with ink on the photo and none on the approved page `near` by."""
    dark = cv2.bitwise_and(above(photo, 0.3), inside)
    return np.asarray(cv2.bitwise_and(dark, cv2.bitwise_not(near)) > 0)


def missing(solid: Pixels, photo: Density, inside: Pixels, dpi: float) -> NDArray[np.bool_]:
    """Pixels with `solid` ink on the approved page (255) and hardly any within 0.35 mm on the photo."""
    reach = 2 * round(0.35 / 25.4 * dpi) + 1
    seen = cv2.dilate(above(photo, 0.13), np.ones((reach, reach), np.uint8))
    return np.asarray(cv2.bitwise_and(cv2.bitwise_and(solid, inside), cv2.bitwise_not(seen)) > 0)
