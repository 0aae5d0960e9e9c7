"""The inline coder: a thermal-inkjet head beside the stamp that prints the trace code."""

from typing import Final

import numpy as np
import segno
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from segno.encoder import DataOverflowError

from device_sim.scene.errors import CodeTooLong
from device_sim.scene.geometry import Box, all_inside
from device_sim.scene.settings import SHEET_PX_PER_MM
from device_sim.scene.sheet import Sheet

DOTS_PER_MODULE: Final = 5
"""Nozzle dots per QR module at 300 dpi: 0.42 mm; design.md section 8."""
QUIET_MODULES: Final = 4
"""White margin that ISO/IEC 18004 asks for on each side."""
LARGEST_VERSION: Final = 9
TEXT_DOTS: Final = 40
"""Height of the line with the short code, dots: 3.4 mm."""
CLEAR_MM: Final = 3.5
"""Free paper between an imprint and the code."""
CLEAN_SHARE: Final = 0.004
"""A place with less ink than this is white paper."""


def code_pattern(payload: str, *, short_code: str) -> NDArray[np.float32]:
    """Dots of the QR symbol with its quiet zone and the short code below, 0..1, at SHEET_DPI.

    Raises: CodeTooLong.
    """
    try:
        symbol = segno.make_qr(payload, error="m", boost_error=False)
    except DataOverflowError as error:
        raise CodeTooLong(length=len(payload)) from error
    if int(symbol.version) > LARGEST_VERSION:
        raise CodeTooLong(length=len(payload))
    modules = np.array([list(row) for row in symbol.matrix_iter(border=QUIET_MODULES)], np.uint8)
    dots = np.kron(modules, np.ones((DOTS_PER_MODULE, DOTS_PER_MODULE), np.uint8)).astype(np.float32)
    return np.vstack([dots, text_line(short_code, width=dots.shape[1])])


def text_line(text: str, *, width: int, height: int = TEXT_DOTS) -> NDArray[np.float32]:
    """One centred line, as large as its width allows, shape (height, width)."""
    line = Image.new("L", (width, height), 0)
    draw = ImageDraw.Draw(line)
    tall = height * 0.85
    needed = draw.textlength(text, font=ImageFont.load_default(tall)) or 1.0
    size = tall * min(1.0, width * 0.92 / needed)
    draw.text((width / 2, 0), text, fill=255, font=ImageFont.load_default(size), anchor="mt")
    return np.asarray(line, np.float32) / 255.0


def choose_place(
    sheet: Sheet, pattern: NDArray[np.float32], *, beside: tuple[float, float], radius_mm: float
) -> Box | None:
    """Where on the tray the coder prints: left of the stamp if the paper is white there, else the whitest place around.

    Never over an imprint, never over the sheet's edge. None when no place is left.
    """
    height, width = (side / SHEET_PX_PER_MM for side in pattern.shape)
    least: tuple[float, Box | None] = (2.0, None)
    for box in _places(beside, radius_mm, width, height):
        if not _is_free(sheet, box):
            continue
        share = sheet.ink_share(box)
        if share < CLEAN_SHARE:
            return box
        if share < least[0]:
            least = share, box
    return least[1]


def _places(beside: tuple[float, float], radius_mm: float, width: float, height: float) -> list[Box]:
    """Left, right, below and above the stamp, each straight first and then shifted along its side."""
    reach = radius_mm + CLEAR_MM
    x, y = beside
    places = []
    for along in (0.0, -0.6, 0.6, -1.2, 1.2):
        top, left = y - height / 2 + along * height, x - width / 2 + along * width
        places += [
            Box(left=x - reach - width, top=top, width=width, height=height),
            Box(left=x + reach, top=top, width=width, height=height),
            Box(left=left, top=y + reach, width=width, height=height),
            Box(left=left, top=y - reach - height, width=width, height=height),
        ]
    return places


def _is_free(sheet: Sheet, box: Box) -> bool:
    corners = [sheet.pose.to_sheet(corner) for corner in box.corners()]
    return all_inside(corners, size_mm=sheet.size_mm, margin_mm=1.5) and all(
        box.distance_to(sheet.pose.to_tray(imprint.centre_mm)) >= imprint.radius_mm + CLEAR_MM - 1e-6
        for imprint in sheet.imprints
    )
