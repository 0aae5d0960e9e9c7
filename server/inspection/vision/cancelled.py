"""A sheet that was spoiled: does it carry the large CANCELLED that the coder prints across free paper?

Looked for is new black ink, away from the codes, in one line as large as the word. Which word it is, the device signs.
"""

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from server.inspection.vision.approved import PreparedPage
from server.inspection.vision.codes import Code
from server.inspection.vision.decode import Pixels
from server.inspection.vision.finding import PageFinding
from server.inspection.vision.ink import density

_DPI: Final = 80.0
_INK: Final = 0.3
_JOIN_MM: Final = 6.5
"""Lines of print below the word hide parts of it; print of 11 points stands about this far apart."""
_AROUND_CODE_MM: Final = 7.0
"""The code's quiet zone and the line of text below it."""
LEAST_MM: Final = (25.0, 3.0)
"""Length and height of the smallest line that counts; docs/protocol.md asks the coder for 40 by 6."""
_MOST_HEIGHT_MM: Final = 40.0


def is_marked(page: PreparedPage, photo: Pixels, finding: PageFinding, codes: Sequence[Code]) -> bool:
    """Whether the grey `photo` (H, W) of the approved `page` shows such a line. `finding` says where the page lies."""
    if finding.homography is None:
        return False
    scale = page.approved.dpi / _DPI
    approved = cv2.resize(page.approved.image, None, fx=1 / scale, fy=1 / scale, interpolation=cv2.INTER_AREA)
    to_photo = np.array(finding.homography, np.float64) @ np.diag([scale, scale, 1.0])
    size = (approved.shape[1], approved.shape[0])
    flags = cv2.INTER_AREA | cv2.WARP_INVERSE_MAP
    flat = cv2.warpPerspective(photo, to_photo, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
    was = density(np.asarray(approved, np.uint8), _DPI) > _INK / 2
    now = density(np.asarray(flat, np.uint8), _DPI) > _INK
    near = cv2.dilate(was.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    fresh = np.asarray(now & ~near, np.uint8)
    _leave_out(fresh, to_photo, codes)
    return _has_line(fresh)


def _leave_out(fresh: NDArray[np.uint8], to_photo: NDArray[np.float64], codes: Sequence[Code]) -> None:
    """The paper's edge, and every code with what belongs to it."""
    mm = _DPI / 25.4
    edge = round(4 * mm)
    fresh[:edge] = fresh[-edge:] = 0
    fresh[:, :edge] = fresh[:, -edge:] = 0
    back = np.linalg.inv(to_photo)
    for code in codes:
        if len(code.corners) < 3:
            continue
        corners = np.array([code.corners], np.float64)
        at = cv2.perspectiveTransform(corners, back)[0]
        (x0, y0), (x1, y1) = at.min(axis=0) - _AROUND_CODE_MM * mm, at.max(axis=0) + _AROUND_CODE_MM * mm
        fresh[max(0, round(y0)) : max(0, round(y1)), max(0, round(x0)) : max(0, round(x1))] = 0


def _has_line(fresh: NDArray[np.uint8]) -> bool:
    mm = _DPI / 25.4
    reach = max(1, round(_JOIN_MM * mm))
    clean = cv2.morphologyEx(fresh, cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    joined = cv2.morphologyEx(clean, cv2.MORPH_CLOSE, np.ones((reach, reach), np.uint8))
    rims, _ = cv2.findContours(joined, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    for rim in rims:
        _, sides, _ = cv2.minAreaRect(rim)
        long_mm, short_mm = max(sides) / mm, min(sides) / mm
        if long_mm >= LEAST_MM[0] and LEAST_MM[1] <= short_mm <= _MOST_HEIGHT_MM:
            return True
    return False
