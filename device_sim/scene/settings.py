"""Measures of the tray, the camera over it, and the paper."""

from dataclasses import dataclass
from typing import Final

MM_PER_INCH: Final = 25.4
SHEET_DPI: Final = 300
"""Resolution at which a sheet is kept, in dots per inch: that of an office printer and of the coder."""
SHEET_PX_PER_MM: Final = SHEET_DPI / MM_PER_INCH


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSettings:
    """Lengths in mm, colours in 0..255. Tray coordinates start at the tray's top left corner, y down."""

    dpi: int = 220
    """Scale of the full photo at the plane of the page, pixels per inch."""
    preview_dpi: int = 150
    """Scale of the grey preview; docs/protocol.md asks for at least 140."""
    preview_limit_bytes: int = 200_000
    tray_mm: tuple[float, float] = (246.0, 333.0)
    page_origin_mm: tuple[float, float] = (18.0, 18.0)
    """Where the top left corner of a sheet lies when it touches both stops."""
    stamp_at_mm: tuple[float, float] = (168.0, 253.0)
    """Centre of the stamp: (150, 235) on an A4 page that lies normally."""
    max_rotation_deg: float = 3.0
    max_shift_mm: float = 1.5
    perspective: float = 0.01
    """How far the corners of the tray are pulled, as a part of the frame's width."""
    light_gradient: float = 0.12
    noise_sigma: float = 2.5
    jpeg_quality: int = 88

    @property
    def px_per_mm(self) -> float:
        return self.dpi / MM_PER_INCH
