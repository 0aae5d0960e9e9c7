"""Why a photo cannot be compared: said before anything is compared, so that the keeper is told what to do."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from server.inspection.vision.align import Matrix, project
from server.inspection.vision.finding import Answer, Reason
from server.inspection.vision.glyphs import Boxes
from server.inspection.vision.ink import Density, density

Pixels = NDArray[np.uint8]

MIN_DPI: Final = 125.0
"""D6 asks for 140 dpi; a tenth less is left to perspective."""
MIN_SHARPNESS: Final = 0.105
"""Edge energy of the print relative to the rendered page: ordinary photos 0.16 to 0.32, a blur of 1.6 px 0.09."""
_LONG_SIDE_PX: Final = 900
_PAPER_SHARE: Final = 0.12
_BLANK_INK_SHARE: Final = 0.0012
_CLIPPED: Final = 252
_BLURRED_EDGE_PX: Final = 5.4
"""Sharp photos of print measured 3.8 to 4.1 pixels, a blur of 2.5 pixels 6.5."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The photo or the page cannot pass, and why."""

    answer: Answer
    reason: Reason


def unfound(photo: Pixels) -> Refusal:
    """What is to be said when the expected page was not found in the grey `photo` (H, W)."""
    scale = min(1.0, _LONG_SIDE_PX / max(photo.shape))
    small = np.asarray(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
    paper = _paper(small)
    if paper is None:
        return Refusal(answer=Answer.WRONG, reason="no_page")
    ink = density(small, 80.0)
    share = float((ink[paper] > 0.22).mean())
    if share < _BLANK_INK_SHARE:
        blurred = float(ink[paper].std()) > 0.03
        return Refusal(
            answer=Answer.DOUBTFUL if blurred else Answer.WRONG, reason="too_blurred" if blurred else "blank_page"
        )
    if _edge_width(photo) > _BLURRED_EDGE_PX:
        return Refusal(answer=Answer.DOUBTFUL, reason="too_blurred")
    return Refusal(answer=Answer.WRONG, reason="not_this_page")


def _paper(small: Pixels) -> NDArray[np.bool_] | None:
    """The largest bright region without its rim; None when nothing looks like paper on a tray."""
    smooth = cv2.medianBlur(small, 5)
    level, _ = cv2.threshold(smooth, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    bright = smooth > level
    if float(smooth.std()) < 12:
        bright = np.full(small.shape, float(smooth.mean()) > 110)
    closed = cv2.morphologyEx(bright.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((15, 15), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(closed)
    if count < 2:
        return None
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    region = labels == largest
    if region.mean() < _PAPER_SHARE or float(small[region].mean()) < 70:
        return None
    return np.asarray(cv2.erode(region.astype(np.uint8), np.ones((21, 21), np.uint8), borderValue=0) > 0)


def _edge_width(photo: Pixels) -> float:
    """Width in pixels of the steepest edges: their height over their slope."""
    smooth = cv2.GaussianBlur(photo, (0, 0), 1.0).astype(np.float32)
    slope = cv2.magnitude(
        cv2.Sobel(smooth, cv2.CV_32F, 1, 0, scale=0.125), cv2.Sobel(smooth, cv2.CV_32F, 0, 1, scale=0.125)
    )
    window = np.ones((9, 9), np.uint8)
    height = cv2.dilate(smooth, window) - cv2.erode(smooth, window)
    steep = slope > max(4.0, float(np.quantile(slope, 0.97)))
    return float(np.median(height[steep] / slope[steep])) if steep.any() else 99.0


def plausible(matrix: Matrix, shape: tuple[int, int]) -> bool:
    """Whether a homography shows the page as a convex, unmirrored quadrilateral of a page's proportions."""
    height, width = shape
    corners = project(matrix, np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float64))
    sides = np.roll(corners, -1, axis=0) - corners
    turns = sides[:, 0] * np.roll(sides[:, 1], -1) - sides[:, 1] * np.roll(sides[:, 0], -1)
    lengths = np.hypot(sides[:, 0], sides[:, 1]) / np.array([width, height, width, height])
    return bool(np.isfinite(corners).all() and (turns > 0).all() and lengths.min() > 0.7 * lengths.max())


def resolution(matrix: Matrix, shape: tuple[int, int], dpi: float) -> float:
    """The photo's dots per inch on the paper, at the finest of five places."""
    height, width = shape
    places = np.array([[0.5, 0.5], [0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]) * [width, height]
    right, down = (project(matrix, places + np.array(step)) for step in ((1.0, 0.0), (0.0, 1.0)))
    here = project(matrix, places)
    area = np.abs(np.cross(np.c_[right - here, np.zeros(5)], np.c_[down - here, np.zeros(5)])[:, 2])
    return float(dpi * np.sqrt(area.max()))


def coverage(places: Boxes, shape: tuple[int, int]) -> float:
    """Share of words, as photo quadrilaterals (m, 4, 2), that lie inside a photo of `shape`."""
    if len(places) == 0:
        return 1.0
    limit = np.array([shape[1] - 1, shape[0] - 1])
    return float(((places >= 0) & (places <= limit)).all(axis=(1, 2)).mean())


def sharpness(approved: Density, photo: Density, words: Boxes) -> float:
    """Edge energy of the photo's print over that of the approved page: upper quartile, some words may be gone."""
    some = words[:: max(1, len(words) // 80)].astype(int)
    ratios = []
    for x0, y0, x1, y1 in some:
        want = cv2.Laplacian(approved[y0:y1, x0:x1], cv2.CV_32F).std()
        if want > 0.05:
            ratios.append(float(cv2.Laplacian(cv2.blur(photo[y0:y1, x0:x1], (2, 2)), cv2.CV_32F).std() / want))
    return float(np.quantile(ratios, 0.75)) if ratios else 1.0


def burnt(flat: Pixels, dpi: float) -> NDArray[np.bool_] | None:
    """Where the rectified photo is burnt out, and 1.5 mm around; None when it is nowhere, or the whole paper is."""
    if np.median(flat[::8, ::8]) >= _CLIPPED - 5:
        return None
    white = cv2.morphologyEx((flat >= _CLIPPED).astype(np.uint8), cv2.MORPH_OPEN, np.ones((9, 9), np.uint8))
    if not white.any():
        return None
    reach = 2 * round(1.5 / 25.4 * dpi) + 1
    return np.asarray(cv2.dilate(white, np.ones((reach, reach), np.uint8)) > 0)
