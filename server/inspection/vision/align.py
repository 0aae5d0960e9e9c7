"""Where the approved page lies in the photo: ORB and MAGSAC for the plane, a smooth field for the paper's bend."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from server.inspection.vision.ink import Density, density

Pixels = NDArray[np.uint8]
Matrix = NDArray[np.float64]
Terms = Callable[[Matrix, tuple[int, int]], Matrix]
"""From points (n, 2) of a grid of (height, width) to what a shift is made up of there (n, k)."""
Pairs = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Points (n, 2) of one picture, and the same points of another."""

ORB_LONG_SIDE_PX: Final = 1333
"""A photo of an A4 page with some tray around it is then near 100 dpi, where ORB told 100 pages of 100 apart."""
ORB_FEATURES: Final = 2000
_SURE: Final = 60
"""So many agreeing key points end the search."""
_FIELD_DPI: Final = 75.0
_BLOCK_PX: Final = 56
_SEARCH_PX: Final = 6
_STEP: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """ORB key points: `points` (n, 2) in pixels of the whole picture, `marks` (n, 32) bytes."""

    points: NDArray[np.float32]
    marks: Pixels


def features(grey: Pixels, *, long_side_px: int = ORB_LONG_SIDE_PX) -> Features:
    """ORB key points of a picture reduced to `long_side_px`."""
    scale = min(1.0, long_side_px / max(grey.shape))
    small = grey if scale == 1.0 else cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    orb = cv2.ORB.create(ORB_FEATURES, scaleFactor=1.2, nlevels=6, fastThreshold=12)
    points, marks = orb.detectAndCompute(small, None)
    if marks is None or not points:
        return Features(points=np.zeros((0, 2), np.float32), marks=np.zeros((0, 32), np.uint8))
    at = (np.array([p.pt for p in points], np.float32) + 0.5) / scale - 0.5
    return Features(points=at.astype(np.float32), marks=np.asarray(marks, np.uint8))


def matched(source: Features, target: Features) -> Pairs:
    """Points of both that look alike, and like no other; none when there are too few to fit a plane to."""
    none = np.zeros((0, 2), np.float32)
    if min(len(source.points), len(target.points)) < 12:
        return none, none
    pairs = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(source.marks, target.marks, k=2)
    good = [p[0] for p in pairs if len(p) == 2 and p[0].distance < 64 and p[0].distance < 0.88 * p[1].distance]
    if len(good) < 8:
        return none, none
    return source.points[[m.queryIdx for m in good]], target.points[[m.trainIdx for m in good]]


def plane(source: Features, target: Features, *, tolerance_px: float) -> tuple[Matrix | None, int]:
    """Homography from `source` pixels to `target` pixels, and how many key points agree with it."""
    return plane_of(matched(source, target), tolerance_px=tolerance_px)


def plane_of(pairs: Pairs, *, tolerance_px: float) -> tuple[Matrix | None, int]:
    """`plane`, from points that were matched."""
    src, dst = pairs
    if len(src) == 0:
        return None, 0
    best: Matrix | None = None
    most = 0
    for seed, rounds in ((1, 4_000), (2, 20_000), (3, 20_000)):
        cv2.setRNGSeed(seed)
        found, mask = cv2.findHomography(src, dst, cv2.USAC_MAGSAC, tolerance_px, maxIters=rounds, confidence=0.9999)
        agreeing = 0 if found is None or mask is None else int(np.count_nonzero(mask))
        if agreeing > most and np.isfinite(found).all():
            best, most = np.asarray(found, np.float64), agreeing
        # Clauses that repeat each other can lead one draw astray; 30 wrong pages stayed under 40 in all three.
        if most >= _SURE:
            break
    return best, most


def project(matrix: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """`points` (n, 2) through a homography."""
    homogeneous = np.c_[points, np.ones(len(points))] @ matrix.T
    return np.asarray(homogeneous[:, :2] / homogeneous[:, 2:], np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Warp:
    """From grid pixels (the approved page at a working resolution) to photo pixels.

    `matrix` is the plane; `bend` (k, 2) holds the coefficients of a shift in grid pixels, applied before it, over the
    k `terms` of a point: for an ordinary sheet those of a cubic.
    """

    matrix: Matrix
    shape: tuple[int, int]
    bend: Matrix
    terms: Terms

    def photo_points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        return project(self.matrix, points + self.terms(points, self.shape) @ self.bend)

    def maps(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Sampling maps (H, W): computed at every 16th pixel and interpolated, the field is smooth."""
        height, width = self.shape
        rows, columns = -(-height // _STEP) + 2, -(-width // _STEP) + 2
        ys, xs = np.mgrid[0:rows, 0:columns]
        nodes = np.stack([xs.ravel(), ys.ravel()], axis=1) * float(_STEP) - _STEP / 2 - 0.5
        at = self.photo_points(nodes).astype(np.float32).reshape(rows, columns, 2)
        full = cv2.resize(at, (columns * _STEP, rows * _STEP), interpolation=cv2.INTER_LINEAR)
        full = full[_STEP : _STEP + height, _STEP : _STEP + width]
        return np.ascontiguousarray(full[..., 0]), np.ascontiguousarray(full[..., 1])


def cubic(points: NDArray[np.float64], shape: tuple[int, int]) -> Matrix:
    x = points[:, 0] / shape[1] * 2 - 1
    y = points[:, 1] / shape[0] * 2 - 1
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y, x**3, x * x * y, x * y * y, y**3], axis=1)


def bent(matrix: Matrix, approved: Density, photo: Pixels, *, dpi: float) -> Warp:
    """The plane `matrix` (grid px -> photo px) with the bend that block correlation at 75 dpi finds.

    `approved` is the ink of the grid (H, W) at `dpi`. Blocks that do not correlate are left out of the fit.
    """
    shape = (approved.shape[0], approved.shape[1])
    factor = dpi / _FIELD_DPI
    size = (round(shape[1] / factor), round(shape[0] / factor))
    grow = np.array([[factor, 0, (factor - 1) / 2], [0, factor, (factor - 1) / 2], [0, 0, 1.0]])
    ink = cv2.resize(approved, size, interpolation=cv2.INTER_AREA)
    back = cv2.warpPerspective(photo, matrix @ grow, size, flags=cv2.INTER_AREA | cv2.WARP_INVERSE_MAP)
    seen = density(np.asarray(back, np.uint8), _FIELD_DPI)
    centres, shifts, weights = _block_shifts(np.asarray(ink, np.float32), seen)
    bend = np.zeros((10, 2))
    if len(centres) >= 6:
        basis = cubic((centres + 0.5) * factor - 0.5, shape)
        bend = _robust_fit(basis, shifts * factor, weights)
    return Warp(matrix=matrix, shape=shape, bend=bend, terms=cubic)


def _block_shifts(ink: Density, seen: Density) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    height, width = ink.shape
    found: list[tuple[float, float, float, float, float]] = []
    half = _BLOCK_PX // 2
    for y in range(half + _SEARCH_PX, height - half - _SEARCH_PX, _BLOCK_PX):
        for x in range(half + _SEARCH_PX, width - half - _SEARCH_PX, _BLOCK_PX):
            block = ink[y - half : y + half, x - half : x + half]
            if block.mean() < 0.01:
                continue
            around = seen[y - half - _SEARCH_PX : y + half + _SEARCH_PX, x - half - _SEARCH_PX : x + half + _SEARCH_PX]
            dx, dy, peak = subpixel_peak(cv2.matchTemplate(around, block, cv2.TM_CCOEFF_NORMED))
            if peak > 0.45:
                found.append((x - 0.5, y - 0.5, dx - _SEARCH_PX, dy - _SEARCH_PX, peak))
    table = np.array(found, np.float64).reshape(-1, 5)
    return table[:, :2], table[:, 2:4], table[:, 4]


def subpixel_peak(scores: cv2.typing.MatLike) -> tuple[float, float, float]:
    """(x, y, height) of the highest point, each axis refined with a parabola."""
    _, peak, _, (x, y) = cv2.minMaxLoc(scores)
    return x + _vertex(scores[y, :], x), y + _vertex(scores[:, x], y), float(peak)


def _vertex(line: cv2.typing.MatLike, at: int) -> float:
    if not 0 < at < len(line) - 1:
        return 0.0
    left, top, right = float(line[at - 1]), float(line[at]), float(line[at + 1])
    curve = left - 2 * top + right
    return 0.0 if curve > -1e-9 else float(np.clip(0.5 * (left - right) / curve, -0.5, 0.5))


def _robust_fit(basis: Matrix, shifts: Matrix, weights: Matrix) -> Matrix:
    """Least squares with Huber weights; the ridge keeps corners without print flat."""
    ridge = np.diag([1e-3, 0.05, 0.05, *([0.3] * 7)])
    keep = weights.copy()
    bend = np.zeros((basis.shape[1], 2))
    for _ in range(4):
        left = basis.T @ (basis * keep[:, None]) + ridge
        bend = np.asarray(np.linalg.solve(left, basis.T @ (shifts * keep[:, None])), np.float64)
        error = np.hypot(*(shifts - basis @ bend).T)
        keep = np.asarray(weights / np.maximum(1.0, error / max(0.3, float(np.median(error)) * 1.5)), np.float64)
    return bend
