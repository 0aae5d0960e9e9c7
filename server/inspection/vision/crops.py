"""The two pictures of a difference, side by side on a screen: as approved, as photographed."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from server.inspection.vision.approved import ApprovedPage, PreparedPage
from server.inspection.vision.decode import decode
from server.inspection.vision.finding import Box, PageFinding

ZOOM: Final = 3.0
_AROUND_MM: Final = 4.0
_LARGEST_MM: Final = 70.0
_QUALITY: Final = 82


def paired_crops(
    approved: ApprovedPage | PreparedPage, photo_jpeg: bytes, finding: PageFinding, *, limit: int = 6
) -> tuple[tuple[bytes, bytes], ...]:
    """JPEG pairs (approved, photo) of the strongest differences, three times enlarged and cut alike.

    The photo's part is laid straight with the finding's homography. Empty when the page was not found.
    """
    page = approved.approved if isinstance(approved, PreparedPage) else approved
    photo = decode(photo_jpeg) if finding.homography is not None and finding.differences else None
    if photo is None:
        return ()
    matrix = np.array(finding.homography, np.float64)
    return tuple(_pair(page, photo, matrix, d.box) for d in finding.differences[:limit])


def _pair(page: ApprovedPage, photo: NDArray[np.uint8], matrix: NDArray[np.float64], box: Box) -> tuple[bytes, bytes]:
    mm = page.dpi / 25.4
    height, width = page.image.shape
    x0, y0 = max(0.0, box[0] - _AROUND_MM * mm), max(0.0, box[1] - _AROUND_MM * mm)
    x1 = min(float(width), box[2] + _AROUND_MM * mm, x0 + _LARGEST_MM * mm)
    y1 = min(float(height), box[3] + _AROUND_MM * mm, y0 + _LARGEST_MM * mm)
    size = (max(1, round((x1 - x0) * ZOOM)), max(1, round((y1 - y0) * ZOOM)))
    place = np.array([[1 / ZOOM, 0, x0], [0, 1 / ZOOM, y0], [0, 0, 1.0]])
    way = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return (
        _jpeg(cv2.warpPerspective(page.image, place, size, flags=way, borderMode=cv2.BORDER_REPLICATE)),
        _jpeg(cv2.warpPerspective(photo, matrix @ place, size, flags=way, borderMode=cv2.BORDER_REPLICATE)),
    )


def _jpeg(image: NDArray[np.uint8] | cv2.typing.MatLike) -> bytes:
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return bytes(data)
