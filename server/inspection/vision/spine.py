"""The bend of a page that a spine or a staple holds: found from what the photo shows, and undone before comparing.

Such a page is a cylinder that stands up towards the spine. Seen in the plane of its flat part, a column of print is
shifted, squeezed across and drawn out along the spine, all smoothly: over the page's width by a line with knots every
10 mm, along the spine by a parabola. The key points of the whole page give it roughly, blocks of print then to a
fraction of a pixel. A word that was exchanged cannot bend it: it has no room for anything that small.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from server.inspection.vision.align import Matrix, Pairs, Pixels, Warp, project, subpixel_peak
from server.inspection.vision.ink import Density, density

_KNOT_MM: Final = 10.0
_REACH_MM: Final = 9.0
"""Key points further from the plane are chance; a spine 15 mm high shifts the corners of an A4 page by 6 mm."""
_NEIGHBOURS: Final = 8
_ACCORD_MM: Final = 2.0
"""A key point that moves so differently from the median of its neighbours is a false match. One alone, where print is
sparse, would bend the page around itself: 2 of 122 true pages were lost to it."""
_BLOCK_MM: Final = (14.0, 7.0)
"""Width and height of a block of print: two lines of it, little wider than a few words."""
_SEARCH_MM: Final = (2.0, 1.0, 1.0)
"""Of each round with blocks; less than half the distance of two lines of print. The third round carries the fit into
columns of few words, such as clause numbers by the spine."""
_AGREES: Final = 0.5
_STIFF: Final = 0.02
"""How far the fit resists a change of slope at a knot: enough to carry it over columns without print."""
_ROUNDS: Final = 6
"""Of weighing outliers down."""
_ALONG: Final = 3
"""Terms along the spine: constant, straight, parabola."""


def unbent(flat: Warp, pairs: Pairs, approved: Density, photo: Pixels, *, dpi: float) -> Warp:
    """`flat`, a plane without bend, with the bend of a bound page.

    `pairs`: key points in pixels of the grid and of the photo. `approved`: the grid's ink (H, W) at `dpi`.
    """
    terms = _Terms(dpi)
    here, there = pairs
    back = np.asarray(np.linalg.inv(flat.matrix), np.float64)
    shifts = project(back, np.asarray(there, np.float64)) - here
    near = np.hypot(shifts[:, 0], shifts[:, 1]) < _REACH_MM / 25.4 * dpi
    if np.count_nonzero(near) < 12:
        return flat
    at, moved = np.asarray(here, np.float64)[near], shifts[near]
    true = _in_accord(at, moved, _ACCORD_MM / 25.4 * dpi)
    warp = _fitted(flat, terms, at[true], moved[true])
    for search_mm in _SEARCH_MM:
        at, moved = _blocks(warp, approved, photo, dpi=dpi, search=round(search_mm / 25.4 * dpi))
        if len(at) < 12:
            break
        seen_at = at + moved
        warp = _fitted(flat, terms, at, moved + warp.terms(seen_at, warp.shape) @ warp.bend)
    return warp


def _in_accord(at: Matrix, shifts: Matrix, tolerance: float) -> NDArray[np.bool_]:
    """Which points (n, 2) shift as those around them do, within `tolerance` pixels."""
    apart = np.hypot(*(at[:, None, :] - at[None, :, :]).transpose(2, 0, 1))
    around = np.argsort(apart, axis=1)[:, 1 : _NEIGHBOURS + 1]
    usual = np.median(shifts[around], axis=1)
    return np.asarray(np.hypot(*(shifts - usual).T) < tolerance)


class _Terms:
    """Hat functions over the width, each times the powers along the spine."""

    def __init__(self, dpi: float) -> None:
        self._step = _KNOT_MM / 25.4 * dpi

    def __call__(self, points: Matrix, shape: tuple[int, int]) -> Matrix:
        """(n, knots * 3)."""
        at = np.arange(self.knots(shape)) * self._step
        x = np.clip(points[:, 0], 0.0, at[-1])
        hats = np.maximum(0.0, 1.0 - np.abs(x[:, None] - at[None, :]) / self._step)
        y = points[:, 1] / shape[0] * 2 - 1
        along = np.stack([y**power for power in range(_ALONG)], axis=1)
        return np.asarray((hats[:, :, None] * along[:, None, :]).reshape(len(points), -1), np.float64)

    def knots(self, shape: tuple[int, int]) -> int:
        return int(np.ceil(shape[1] / self._step)) + 1


def _fitted(flat: Warp, terms: _Terms, at: Matrix, shifts: Matrix) -> Warp:
    """Least squares with Tukey weights; second differences between knots cost, so that gaps are bridged straight."""
    basis = terms(at, flat.shape)
    knots = terms.knots(flat.shape)
    bending = np.diff(np.eye(knots), n=2, axis=0)
    stiff = np.kron(bending.T @ bending, np.eye(_ALONG)) * _STIFF * len(at) / knots + 1e-4 * np.eye(knots * _ALONG)
    keep = np.ones(len(at))
    bend = np.zeros((basis.shape[1], 2))
    for _ in range(_ROUNDS):
        left = basis.T @ (basis * keep[:, None]) + stiff
        bend = np.asarray(np.linalg.solve(left, basis.T @ (shifts * keep[:, None])), np.float64)
        error = np.hypot(*(shifts - basis @ bend).T)
        width = max(1.0, 4.0 * float(np.median(error)))
        keep = np.maximum(0.0, 1.0 - (error / width) ** 2) ** 2 + 1e-6
    return Warp(matrix=flat.matrix, shape=flat.shape, bend=bend, terms=terms)


def _blocks(warp: Warp, approved: Density, photo: Pixels, *, dpi: float, search: int) -> tuple[Matrix, Matrix]:
    """Centres (n, 2) of blocks of print and how far each lies off its place, in grid pixels."""
    map_x, map_y = warp.maps()
    seen = density(np.asarray(cv2.remap(photo, map_x, map_y, cv2.INTER_LINEAR), np.uint8), dpi)
    half_x, half_y = (round(side / 25.4 * dpi / 2) for side in _BLOCK_MM)
    height, width = approved.shape
    found: list[tuple[float, float, float, float]] = []
    for y in range(half_y + search, height - half_y - search, 2 * half_y):
        for x in range(half_x + search, width - half_x - search, half_x):
            block = approved[y - half_y : y + half_y, x - half_x : x + half_x]
            if float(block.mean()) < 0.02:
                continue
            top, left = y - half_y - search, x - half_x - search
            around = seen[top : y + half_y + search, left : x + half_x + search]
            dx, dy, peak = subpixel_peak(cv2.matchTemplate(around, block, cv2.TM_CCOEFF_NORMED))
            if peak > _AGREES:
                found.append((x - 0.5, y - 0.5, dx - search, dy - search))
    table: Matrix = np.array(found, np.float64).reshape(-1, 4)
    return table[:, :2], table[:, 2:]
