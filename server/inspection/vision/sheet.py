"""Where a sheet without known print lies in a photo: by its four edges on the dark tray.

For the sample imprint after a change of heads, which is pressed on any clean sheet: there is no approved page to find.
"""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from server.inspection.vision.decode import decode, red_channel

SIZES_MM: Final = ((210.0, 297.0), (215.9, 279.4))
"""A4 and US Letter, told apart by their proportions; A5 has those of A4 and would be taken for it."""
_LONG_SIDE_PX: Final = 1200
_LEAST_SHARE: Final = 0.2
"""A bright area smaller than this part of the photo is no sheet."""
_ASPECT_TOLERANCE: Final = 0.06


def sheet_homography(photo_jpeg: bytes, *, dpi: float) -> list[list[float]] | None:
    """From pixels of an upright sheet at `dpi` to pixels of the photo; None when no whole sheet of a known size lies
    there.
    """
    photo = decode(photo_jpeg)
    if photo is None:
        return None
    grey = red_channel(photo)
    shrink = min(1.0, _LONG_SIDE_PX / max(grey.shape))
    small = cv2.resize(grey, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA)
    corners = _corners(np.asarray(small, np.uint8))
    if corners is None:
        return None
    sides = [float(np.linalg.norm(corners[(at + 1) % 4] - corners[at])) for at in range(4)]
    size = _size((sides[0] + sides[2]) / 2, (sides[1] + sides[3]) / 2)
    if size is None:
        return None
    width, height = (length * dpi / 25.4 for length in size)
    upright = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(upright, (corners / shrink).astype(np.float32))
    return [[float(value) for value in row] for row in matrix]


def _corners(small: NDArray[np.uint8]) -> NDArray[np.float64] | None:
    """Top left first, clockwise, in pixels of the small picture."""
    smooth = cv2.GaussianBlur(small, (0, 0), 2.0)
    _level, mask = cv2.threshold(smooth, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    outlines, _tree = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(outlines, key=cv2.contourArea, default=None)
    if largest is None or cv2.contourArea(largest) < _LEAST_SHARE * small.size:
        return None
    hull = cv2.convexHull(largest)
    quad = cv2.approxPolyDP(hull, 0.03 * cv2.arcLength(hull, closed=True), closed=True)
    if len(quad) != 4:
        return None
    points = quad.reshape(4, 2).astype(np.float64)
    around = np.arctan2(*(points - points.mean(axis=0)).T[::-1])
    points = points[np.argsort(around)]  # clockwise, as y grows downwards
    return np.roll(points, -int(np.argmin(points.sum(axis=1))), axis=0)


def _size(width_px: float, height_px: float) -> tuple[float, float] | None:
    """The known size whose proportions these are, lying upright or on its side."""
    seen = width_px / height_px
    known = [size for width, height in SIZES_MM for size in ((width, height), (height, width))]
    best = min(known, key=lambda size: abs(size[0] / size[1] / seen - 1))
    return best if abs(best[0] / best[1] / seen - 1) < _ASPECT_TOLERANCE else None
