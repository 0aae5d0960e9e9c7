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
CANCELLED_MM: Final = (44.0, 11.0)
"""Ends before the trace code, which stands 23.5 mm from the centre of a seal of 40 mm."""


def label_pattern(url: str, *, short_code: str, line: str) -> NDArray[np.float32]:
    """Ink of a label, 0..1, at SHEET_DPI, of LABEL_MM. Raises: CodeTooLong."""
    width, height = (round(side * SHEET_PX_PER_MM) for side in LABEL_MM)
    code = code_pattern(url, short_code=short_code)
    rows = np.vstack([code, text_line(line, width=code.shape[1])])[:height]
    ink = np.zeros((height, width), np.float32)
    left = (width - rows.shape[1]) // 2
    ink[: rows.shape[0], left : left + rows.shape[1]] = rows
    edge = np.ones_like(ink, bool)
    edge[2:-2, 2:-2] = False
    ink[edge] = LABEL_EDGE
    return ink


def cancelled_pattern() -> NDArray[np.float32]:
    """The word between two bars, 0..1, at SHEET_DPI, of CANCELLED_MM."""
    width, height = (round(side * SHEET_PX_PER_MM) for side in CANCELLED_MM)
    ink = np.zeros((height, width), np.float32)
    bar = round(1.2 * SHEET_PX_PER_MM)
    ink[:bar] = ink[-bar:] = 1.0
    word = text_line("CANCELLED", width=width, height=height - 2 * bar - 8)
    ink[bar + 4 : bar + 4 + word.shape[0]] = word
    return ink
