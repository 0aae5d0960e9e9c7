"""From hostile bytes to pixels. The header is read first, so an image bomb is refused before it is unpacked."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

MAX_PIXELS: Final = 40_000_000
"""Largest picture that is unpacked: an A3 page at 300 dpi is 17 MP; three bytes a pixel keep this under 120 MB."""
MAX_BYTES: Final = 32_000_000
"""Largest file that is looked at; a photo of the tray is under 4 MB."""
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_JPEG: Final = b"\xff\xd8"
_SOF: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD9)})


def announced_size(data: bytes) -> tuple[int, int] | None:
    """(width, height) from a PNG IHDR (ISO/IEC 15948, 11.2.2) or a JPEG SOF (ITU T.81, B.2.2); None for all else."""
    if data.startswith(_PNG):
        if len(data) < 24 or data[12:16] != b"IHDR":
            return None
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    return _jpeg_size(data) if data.startswith(_JPEG) else None


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker in _ALONE:
            at += 2
        elif marker in _SOF:
            return int.from_bytes(data[at + 7 : at + 9], "big"), int.from_bytes(data[at + 5 : at + 7], "big")
        else:
            at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return None


def decode(data: bytes) -> Pixels | None:
    """Grey (H, W) or BGR (H, W, 3) pixels of a JPEG or PNG; None when it is something else, broken, or too large.

    The EXIF orientation is ignored: every finding speaks of the pixels as they were signed.
    """
    if len(data) > MAX_BYTES:
        return None
    size = announced_size(data)
    if size is None or min(size) < 1 or size[0] * size[1] > MAX_PIXELS:
        return None
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_ANYCOLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
    return None if image is None or image.dtype != np.uint8 else np.asarray(image, np.uint8)


def red_channel(image: Pixels) -> Pixels:
    """The plane in which red ink looks like paper; a grey photo is taken as it is."""
    return image if image.ndim == 2 else np.ascontiguousarray(image[..., 2])
