"""The light strip at the tray's lower edge: it shows bytes of the device's choice in every photo.

A photo that is sent again shows the strip of its own time. Cells use green and blue light only, so that the
strip can't be taken for red ink: each cell carries two bits, green is the high one. Layout: length byte, data, CRC-16.
"""

from binascii import crc_hqx
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from device_sim.scene.errors import StripUnreadable

CELLS_PER_ROW: Final = 72
ROWS: Final = 2
MAX_BYTES: Final = CELLS_PER_ROW * ROWS // 4 - 3
"""Data that fits beside the length byte and the check value."""
PITCH_PARTS: Final = 80
"""A cell is the frame's width divided by this."""
STRIP_MM: Final = 10.0
"""Height of the band below the tray that belongs to the strip."""
LIT: Final = 120
"""A channel brighter than this is on."""
HOUSING_BGR: Final = (26, 24, 24)
CRC_START: Final = 0xFFFF
"""Not 0: a strip that is dark or out of the picture must not read as an empty one."""


def draw_strip(frame: NDArray[np.uint8], data: bytes) -> None:
    """Light the strip in `frame` (BGR, in place). Raises: ValueError beyond MAX_BYTES."""
    if len(data) > MAX_BYTES:
        raise ValueError(f"the strip shows at most {MAX_BYTES} bytes, not {len(data)}")
    body = bytes([len(data)]) + data
    shown = (body + crc_hqx(body, CRC_START).to_bytes(2, "big")).ljust(MAX_BYTES + 3, b"\0")
    height, width = frame.shape[:2]
    pitch = width / PITCH_PARTS
    frame[round(height - 3.1 * pitch) :] = HOUSING_BGR
    for cell in range(CELLS_PER_ROW * ROWS):
        bits = shown[cell // 4] >> (6 - 2 * (cell % 4)) & 3
        x, y = _centre(cell, height=height, width=width)
        reach = pitch * 0.38
        colour = (235 if bits & 1 else 34, 225 if bits & 2 else 34, 30)
        first, last = (round(x - reach), round(y - reach)), (round(x + reach), round(y + reach))
        cv2.rectangle(frame, first, last, colour, cv2.FILLED)


def show_in_grey(grey: NDArray[np.uint8], frame: NDArray[np.uint8]) -> None:
    """Put the strip of `frame` (BGR) into its red channel `grey`, which is blind for it: four levels, in place."""
    height, width = grey.shape
    top = round(height - 3.1 * width / PITCH_PARTS)
    blue, green = frame[top:, :, 0].astype(np.uint16), frame[top:, :, 1].astype(np.uint16)
    grey[top:] = ((2 * green + blue) // 3).astype(np.uint8)


def read_strip(photo_jpeg: bytes) -> bytes:
    """The bytes that the light strip showed when a full photo was taken.

    Raises: StripUnreadable.
    """
    frame = cv2.imdecode(np.frombuffer(photo_jpeg, np.uint8), cv2.IMREAD_COLOR) if photo_jpeg else None
    if frame is None:
        raise StripUnreadable("this is no photo")
    height, width = frame.shape[:2]
    reach = max(1, round(width / PITCH_PARTS * 0.2))
    bits = ""
    for cell in range(CELLS_PER_ROW * ROWS):
        x, y = (round(at) for at in _centre(cell, height=height, width=width))
        blue, green, _ = frame[max(0, y - reach) : y + reach + 1, x - reach : x + reach + 1].mean(axis=(0, 1))
        bits += f"{int(green > LIT)}{int(blue > LIT)}"
    shown = int(bits, 2).to_bytes(MAX_BYTES + 3, "big")
    body = shown[: 1 + min(shown[0], MAX_BYTES)]
    if shown[0] > MAX_BYTES or crc_hqx(body, CRC_START).to_bytes(2, "big") != shown[len(body) : len(body) + 2]:
        raise StripUnreadable("the light strip's check value does not agree")
    return body[1:]


def _centre(cell: int, *, height: int, width: int) -> tuple[float, float]:
    pitch = width / PITCH_PARTS
    row, column = divmod(cell, CELLS_PER_ROW)
    return pitch * (column + 4.5), height - pitch * (2.1 - row * 1.1)
