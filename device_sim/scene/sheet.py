from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from device_sim.scene.errors import PageImageInvalid
from device_sim.scene.geometry import Box, Pose
from device_sim.scene.grain import add_grain, grain
from device_sim.scene.settings import SHEET_PX_PER_MM
from device_sim.scene.volume import Curl

PAPER_BGR: Final = (240, 247, 249)
"""Uncoated office paper in good light, a trace warmer than white."""
TONER_BGR: Final = (38, 35, 34)
"""A laser printer's black on it."""
DARK_BELOW: Final = 0.80
"""A pixel under this part of the paper's brightness carries ink."""
GREEN: Final = 1
"""The channel that both black and red ink darken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imprint:
    """One mark of a head: its centre on the sheet in mm, and the circle around it."""

    centre_mm: tuple[float, float]
    radius_mm: float


@dataclass(slots=True, kw_only=True)
class Sheet:
    """One sheet of paper; `image` is BGR at SHEET_DPI and takes every ink that falls on it."""

    image: NDArray[np.uint8]
    size_mm: tuple[float, float]
    pose: Pose
    curl: Curl | None = None
    is_fan: bool = False
    imprints: list[Imprint] = field(default_factory=list)

    def to_px(self, point_mm: tuple[float, float]) -> tuple[float, float]:
        return point_mm[0] * SHEET_PX_PER_MM, point_mm[1] * SHEET_PX_PER_MM

    def corners_on_tray(self) -> list[tuple[float, float]]:
        width, height = self.size_mm
        return [self.pose.to_tray(corner) for corner in ((0, 0), (width, 0), (width, height), (0, height))]

    def region(
        self, pattern: NDArray[np.float32], *, at_tray_mm: tuple[float, float], turn_deg: float = 0.0
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]] | None:
        """The part of `image` (a view) under a pattern that hits the tray at a point, and the pattern turned to fit.

        The pattern, at SHEET_DPI, stands upright on the tray, so it lies turned on a crooked sheet. None: beside it.
        """
        height, width = pattern.shape
        half = int(np.ceil(np.hypot(height, width) / 2)) + 2
        centre = self.to_px(self.pose.to_sheet(at_tray_mm))
        left, top = round(centre[0]) - half, round(centre[1]) - half
        matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), self.pose.rotation_deg - turn_deg, 1.0)
        matrix[:, 2] += (centre[0] - left - (width - 1) / 2, centre[1] - top - (height - 1) / 2)
        turned = cv2.warpAffine(pattern, matrix, (2 * half, 2 * half), flags=cv2.INTER_LINEAR)
        rows, columns = self.image.shape[:2]
        x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + 2 * half, columns), min(top + 2 * half, rows)
        if x0 >= x1 or y0 >= y1:
            return None
        return self.image[y0:y1, x0:x1], np.asarray(turned[y0 - top : y1 - top, x0 - left : x1 - left], np.float32)

    def ink_share(self, box: Box) -> float:
        """Part of the paper under a box of the tray that already carries ink, 0..1."""
        shape = (max(1, round(box.height * SHEET_PX_PER_MM)), max(1, round(box.width * SHEET_PX_PER_MM)))
        found = self.region(np.ones(shape, np.float32), at_tray_mm=box.centre)
        if found is None:
            return 0.0
        paper, covered = found
        inked = paper[:, :, GREEN] < DARK_BELOW * PAPER_BGR[GREEN]
        return float((inked & (covered > 0.5)).sum() / shape[0] / shape[1])


def print_sheet(
    page: NDArray[np.uint8] | None, *, size_mm: tuple[float, float], pose: Pose, rng: np.random.Generator
) -> Sheet:
    """Paper of `size_mm` with `page` (RGB or grey, any resolution) printed on it; None leaves it blank.

    Raises: PageImageInvalid.
    """
    width, height = (round(side * SHEET_PX_PER_MM) for side in size_mm)
    blank = np.full((height, width, 3), 255, np.uint8)
    printed = blank if page is None else _fitted(page, width=width, height=height)
    table = np.stack(
        [np.linspace(toner, paper, 256) for toner, paper in zip(TONER_BGR, PAPER_BGR, strict=True)], axis=1
    )
    toned = cv2.LUT(printed, np.rint(table).astype(np.uint8).reshape(1, 256, 3))
    fibres = grain(rng, height=height, width=width, sigma=1.6)
    return Sheet(image=add_grain(np.asarray(toned, np.uint8), fibres), size_mm=size_mm, pose=pose)


def _fitted(page: NDArray[np.uint8], *, width: int, height: int) -> NDArray[np.uint8]:
    """BGR of the wanted size."""
    if page.dtype != np.uint8 or page.ndim not in {2, 3} or 0 in page.shape or (page.ndim == 3 and page.shape[2] != 3):
        raise PageImageInvalid(shape=page.shape, dtype=str(page.dtype))
    coloured = cv2.cvtColor(page, cv2.COLOR_GRAY2BGR if page.ndim == 2 else cv2.COLOR_RGB2BGR)
    if coloured.shape[:2] == (height, width):
        return np.asarray(coloured, np.uint8)
    shrinks = coloured.shape[0] > height
    resized = cv2.resize(coloured, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    return np.asarray(resized, np.uint8)
