"""The light strip of the tray: what the device showed when a photo was taken, so that an old photo shows an old one.

The code is that of docs/protocol.md, "The light strip": 144 cells of two bits in two rows along the lower edge; length
byte, data, CRC-16. In a colour photo green light is the high bit and blue light the low one. A grey preview shows red
light, which the strip has not, so there the camera puts two thirds of green and one third of blue: four levels.
"""

from binascii import crc_hqx
from typing import Final

import numpy as np

from server.inspection.vision.decode import Pixels, decode

CELLS_PER_ROW: Final = 72
ROWS: Final = 2
PITCH_PARTS: Final = 80
"""A cell is the photo's width divided by this."""
MAX_BYTES: Final = CELLS_PER_ROW * ROWS // 4 - 3
LIT: Final = 120
"""A channel brighter than this is on; lit cells are near 230, dark ones near 34."""
LEVELS: Final = (67, 131, 195)
"""Between the four levels of a preview: 34, 101, 161 and 228."""
CRC_START: Final = 0xFFFF


def read_strip(photo: bytes | Pixels) -> bytes | None:
    """The data of the strip on a JPEG or PNG, or on pixels (H, W) or (H, W, 3) BGR; None when it cannot be read."""
    pixels = decode(photo) if isinstance(photo, bytes) else photo
    if pixels is None or pixels.shape[1] < PITCH_PARTS * 4 or pixels.shape[0] < pixels.shape[1] // 16:
        return None
    bits = 0
    for cell in range(CELLS_PER_ROW * ROWS):
        bits = bits << 2 | _cell(pixels, cell)
    shown = bits.to_bytes(MAX_BYTES + 3, "big")
    if shown[0] > MAX_BYTES:
        return None
    body = shown[: 1 + shown[0]]
    right = crc_hqx(body, CRC_START).to_bytes(2, "big") == shown[len(body) : len(body) + 2]
    return body[1:] if right else None


def _cell(pixels: Pixels, cell: int) -> int:
    """The two bits of one cell."""
    height, width = pixels.shape[:2]
    pitch = width / PITCH_PARTS
    row, column = divmod(cell, CELLS_PER_ROW)
    x, y = round(pitch * (column + 4.5)), round(height - pitch * (2.1 - row * 1.1))
    reach = max(1, round(pitch * 0.2))
    patch = pixels[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
    if patch.size == 0:
        return 0
    if patch.ndim == 2:
        return int(np.searchsorted(LEVELS, float(patch.mean())))
    blue, green = (float(patch[..., channel].mean()) for channel in (0, 1))
    return 2 * (green > LIT) + (blue > LIT)
