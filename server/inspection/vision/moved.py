"""Is the page still where it was, and still the same? Two photos by one fixed camera.

The second photo may carry a new imprint and a code: what is new is not asked about here, only what should have stayed.
"""

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, TypedDict

import cv2
import numpy as np
from numpy.typing import NDArray

from server.inspection.vision.align import Matrix, features, plane, project
from server.inspection.vision.decode import decode, red_channel
from server.inspection.vision.gate import plausible
from server.inspection.vision.ink import components, density

Pixels = NDArray[np.uint8]

MIN_INLIERS: Final = 50
MOVED_SHARE: Final = 0.005
"""A shift above this share of the photo's long side counts as moved: 1.7 mm for an A4 page that fills the photo."""
MOVED_DEG: Final = 0.5
_SWAPPED_PX: Final = 30
"""Pixels of strong ink at about 100 dpi that are gone: two or three letters."""
_LONG_SIDE_PX: Final = 1333


class Placement(StrEnum):
    """SAME page at the same place; MOVED; SWAPPED for another (or altered) page; UNCLEAR when a photo is unusable."""

    SAME = "same"
    MOVED = "moved"
    SWAPPED = "swapped"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacementFinding:
    """`shift_px` is the largest shift of the page's corners in photo pixels, `gone_px` the ink that vanished."""

    answer: Placement
    reason: Literal["ok", "moved", "not_this_page", "missing_ink", "undecodable"]
    shift_px: float
    rotation_deg: float
    inliers: int
    gone_px: int
    ms: float


class _Seen(TypedDict):
    shift_px: float
    rotation_deg: float
    inliers: int
    gone_px: int


def same_placement(before_jpeg: bytes, after_jpeg: bytes) -> PlacementFinding:
    """Compare two photos (JPEG or PNG) of the tray. Never raises on bad bytes."""
    start = time.perf_counter()
    before, after = _reduced(before_jpeg), _reduced(after_jpeg)
    if before is None or after is None:
        return _finding(Placement.UNCLEAR, "undecodable", start)
    (earlier, scale), (later, later_scale) = before, after
    matrix, inliers = plane(features(earlier), features(later), tolerance_px=2.0)
    if matrix is None or inliers < MIN_INLIERS or not plausible(matrix, (earlier.shape[0], earlier.shape[1])):
        return _finding(Placement.SWAPPED, "not_this_page", start, inliers=inliers)
    shift, turn = _motion(matrix, earlier.shape)
    gone = _gone(earlier, later, matrix)
    shift_px = shift / later_scale if scale == later_scale else float("inf")
    seen = _Seen(shift_px=shift_px, rotation_deg=turn, inliers=inliers, gone_px=gone)
    if gone > _SWAPPED_PX:
        return _finding(Placement.SWAPPED, "missing_ink", start, **seen)
    if shift > MOVED_SHARE * max(earlier.shape) or abs(turn) > MOVED_DEG or scale != later_scale:
        return _finding(Placement.MOVED, "moved", start, **seen)
    return _finding(Placement.SAME, "ok", start, **seen)


def _reduced(data: bytes) -> tuple[Pixels, float] | None:
    image = decode(data)
    if image is None:
        return None
    red = red_channel(image)
    scale = min(1.0, _LONG_SIDE_PX / max(red.shape))
    small = red if scale == 1.0 else cv2.resize(red, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8), scale


def _motion(matrix: Matrix, shape: tuple[int, ...]) -> tuple[float, float]:
    """Largest shift of the corners of the middle nine tenths, and the turn in degrees."""
    height, width = shape[0], shape[1]
    corners = np.array([[0.1, 0.1], [0.9, 0.1], [0.9, 0.9], [0.1, 0.9]]) * [width, height]
    moved = project(matrix, corners)
    edge, turned = corners[1] - corners[0], moved[1] - moved[0]
    turn = float(np.degrees(np.arctan2(turned[1], turned[0]) - np.arctan2(edge[1], edge[0])))
    return float(np.hypot(*(moved - corners).T).max()), turn


def _gone(earlier: Pixels, later: Pixels, matrix: Matrix) -> int:
    """Pixels of strong ink of the first photo with none near by on the second; dark tray and shade do not count."""
    size = (earlier.shape[1], earlier.shape[0])
    back = cv2.warpPerspective(later, matrix, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderValue=0)
    was, now = density(earlier, 100.0), density(np.asarray(back, np.uint8), 100.0)
    near = cv2.dilate(now, np.ones((5, 5), np.uint8))
    paper = cv2.erode(cv2.threshold(earlier, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)[1], np.ones((3, 3), np.uint8))
    inside = cv2.erode(
        cv2.morphologyEx(paper, cv2.MORPH_CLOSE, np.ones((25, 25), np.uint8)), np.ones((25, 25), np.uint8)
    )
    _, areas = components((was > 0.4) & (near < 0.15) & (inside > 0), least_px=3)
    return int(areas.sum())


def _finding(
    answer: Placement,
    reason: Literal["ok", "moved", "not_this_page", "missing_ink", "undecodable"],
    start: float,
    *,
    shift_px: float = 0.0,
    rotation_deg: float = 0.0,
    inliers: int = 0,
    gone_px: int = 0,
) -> PlacementFinding:
    return PlacementFinding(
        answer=answer,
        reason=reason,
        shift_px=shift_px,
        rotation_deg=rotation_deg,
        inliers=inliers,
        gone_px=gone_px,
        ms=(time.perf_counter() - start) * 1e3,
    )
