"""Which page of a document lies on the tray? For leafing through, where pages may come in any order.

The sheet's outline lays the photo straight, then small pictures are correlated. Key points do not do it here: clauses
that repeat from page to page agree in dozens of them. What is found is only a guess; `compare_page` decides.
"""

from collections.abc import Mapping
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from server.inspection.vision.decode import Pixels

THUMB_DPI: Final = 40
_REACH_PX: Final = 5
"""How far the sheet's outline may be off, in thumbnail pixels (3 mm)."""
_LONG_SIDE_PX: Final = 700
_PAPER_SHARE: Final = 0.12
_LEAST: Final = 0.12
"""A page that correlates less is not tried. In a contract whose pages repeat their words the right page measured 0.50
to 0.59 and the others up to 0.45."""

Thumb = NDArray[np.float32]


def thumb(page: Pixels, dpi: float) -> Thumb:
    """A grey page (H, W) at `dpi` as a small soft picture, mean 0."""
    scale = THUMB_DPI / dpi
    small = cv2.resize(page, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA).astype(np.float32)
    return _flat(np.asarray(small, np.float32))


def ranked(photo: Pixels, thumbs: Mapping[int, Thumb]) -> list[int]:
    """Pages whose picture resembles the sheet on the grey `photo` (H, W), best first; upside down counts too."""
    corners = _outline(photo)
    if corners is None:
        return []
    scores: dict[int, float] = {}
    straight: dict[tuple[int, ...], tuple[Thumb, ...]] = {}
    for page, picture in thumbs.items():
        size = picture.shape[:2]
        if size not in straight:
            upright = _straight(photo, corners, size)
            straight[size] = (upright, np.ascontiguousarray(upright[::-1, ::-1]))
        scores[page] = max(_likeness(sheet, picture) for sheet in straight[size])
    likely = [page for page, score in scores.items() if score > _LEAST]
    return sorted(likely, key=lambda page: -scores[page])


def _flat(small: Thumb) -> Thumb:
    return np.asarray(small - cv2.blur(small, (25, 25)), np.float32)


def _outline(photo: Pixels) -> NDArray[np.float32] | None:
    """The sheet's corners (4, 2) from the top left clockwise; None when nothing looks like paper."""
    scale = min(1.0, _LONG_SIDE_PX / max(photo.shape))
    small = cv2.medianBlur(cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), 5)
    _, bright = cv2.threshold(small, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    closed = cv2.morphologyEx(bright, cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    rims, _ = cv2.findContours(closed, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not rims:
        return None
    hull = cv2.convexHull(max(rims, key=cv2.contourArea))
    if cv2.contourArea(hull) < _PAPER_SHARE * small.shape[0] * small.shape[1]:
        return None
    four = cv2.approxPolyDP(hull, 0.03 * cv2.arcLength(hull, closed=True), closed=True).reshape(-1, 2)
    if len(four) != 4:
        four = cv2.boxPoints(cv2.minAreaRect(hull))
    middle = four.mean(axis=0)
    turns = np.arctan2(four[:, 1] - middle[1], four[:, 0] - middle[0])
    around = four[np.argsort(turns)]  # clockwise on a screen, beginning at the left above
    return np.asarray(around / scale, np.float32)


def _straight(photo: Pixels, corners: NDArray[np.float32], size: tuple[int, ...]) -> Thumb:
    """The sheet laid straight at thumbnail size, with a rim of `_REACH_PX`."""
    height, width = size[0], size[1]
    rim = _REACH_PX
    target = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32) + rim
    matrix = cv2.getPerspectiveTransform(corners, target)
    double = np.diag([2.0, 2.0, 1.0])  # twice as large, then halved: pixels are averaged, not picked
    shape = (2 * (width + 2 * rim), 2 * (height + 2 * rim))
    large = cv2.warpPerspective(photo, double @ matrix, shape, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    half = cv2.resize(large, (shape[0] // 2, shape[1] // 2), interpolation=cv2.INTER_AREA).astype(np.float32)
    return _flat(np.asarray(half, np.float32))


def _likeness(sheet: Thumb, picture: Thumb) -> float:
    inner = 4  # the sheet's rim is dark or bright, never print
    cut = np.ascontiguousarray(picture[inner:-inner, inner:-inner])
    view = np.ascontiguousarray(sheet[inner:-inner, inner:-inner])
    if float(cut.std()) < 1e-3:
        return 0.0
    return float(cv2.matchTemplate(view, cut, cv2.TM_CCOEFF_NORMED).max())
