"""What a person or the coder puts on a sheet beside the trace code: a printed label, the word CANCELLED."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from device_sim.scene.coder import code_pattern, text_line
from device_sim.scene.settings import SHEET_PX_PER_MM

LABEL_MM: Final = (40.0, 36.0)
LABEL_BGR: Final = (250, 250, 250)
"""Coated label paper: whiter than the sheet below it."""
LABEL_EDGE: Final = 0.22
"""How much darker the label's cut edge looks."""
MARK_MM: Final = (34.0, 7.6)
"""Of the word on a label, beside the code's quiet zone."""
CANCELLED_MM: Final = (44.0, 11.0)
"""Ends before the trace code, which stands 23.5 mm from the centre of a seal of 40 mm."""


def label_pattern(url: str, *, short_code: str, line: str, cancelled: bool = False) -> NDArray[np.float32]:
    """Ink of a label, 0..1, at SHEET_DPI, of LABEL_MM. `cancelled`: that word from top to bottom beside the code.

    Raises: CodeTooLong.
    """
    width, height = (round(side * SHEET_PX_PER_MM) for side in LABEL_MM)
    code = code_pattern(url, short_code=short_code)
    rows = np.vstack([code, text_line(line, width=code.shape[1])])[:height]
    ink = np.zeros((height, width), np.float32)
    left = 0 if cancelled else (width - rows.shape[1]) // 2
    ink[: rows.shape[0], left : left + rows.shape[1]] = rows
    if cancelled:
        mark = np.rot90(_barred("CANCELLED", MARK_MM), -1)
        from_right = round(0.5 * SHEET_PX_PER_MM)
        top = (height - mark.shape[0]) // 2
        ink[top : top + mark.shape[0], width - from_right - mark.shape[1] : width - from_right] = mark
    edge = np.ones_like(ink, bool)
    edge[2:-2, 2:-2] = False
    ink[edge] = LABEL_EDGE
    return ink


def cancelled_pattern() -> NDArray[np.float32]:
    """The word between two bars, 0..1, at SHEET_DPI, of CANCELLED_MM."""
    return _barred("CANCELLED", CANCELLED_MM)


def _barred(text: str, size_mm: tuple[float, float]) -> NDArray[np.float32]:
    width, height = (round(side * SHEET_PX_PER_MM) for side in size_mm)
    ink = np.zeros((height, width), np.float32)
    bar = round(1.2 * SHEET_PX_PER_MM)
    ink[:bar] = ink[-bar:] = 1.0
    word = text_line(text, width=width, height=height - 2 * bar - 8)
    ink[bar + 4 : bar + 4 + word.shape[0]] = word
    return ink
