"""Paper that is not one flat sheet: the curl of a bound volume, a staple, several sheets fanned out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from device_sim.scene.settings import SHEET_PX_PER_MM

CAMERA_HEIGHT_MM: Final = 450.0
"""Of the lens over the tray: paper that rises is seen larger and further out."""
CURL_REACH_MM: Final = 75.0
"""How far from the spine the page leaves the plane."""
MAX_CURL_MM: Final = 15.0
"""A volume of some 300 pages; thicker ones do not go under the stamp."""
COARSE: Final = 8
"""The map of a curl is computed for every so many pixels; it is smooth."""
STAPLE_MM: Final = 12.0
STAPLE_BGR: Final = (150, 148, 146)


@dataclass(frozen=True, slots=True, kw_only=True)
class Curl:
    """A page bound at its left edge: at the spine it stands `height_mm` over the tray, from `reach_mm` on it is flat.

    Lengths in mm; a point of the paper is (s, y): s along the paper from the spine, y down.
    """

    height_mm: float
    reach_mm: float = CURL_REACH_MM

    def rise(self, s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Height of the paper over the tray."""
        near = np.clip(1.0 - s / self.reach_mm, 0.0, 1.0)
        return np.asarray(self.height_mm * near**2, np.float64)

    def seen_at(self, *, width_mm: float, axis_x: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """For steps of s over the page's width: s, and where on the flat page's x it is seen from above.

        `axis_x`: x of the point straight below the lens.
        """
        s = np.linspace(0.0, width_mm, 512)
        slope = -2.0 * self.height_mm / self.reach_mm * np.clip(1.0 - s / self.reach_mm, 0.0, 1.0)
        steps = np.sqrt(1.0 - np.clip(slope[1:], -0.95, 0.0) ** 2) * np.diff(s)
        x = width_mm - np.concatenate([np.cumsum(steps[::-1])[::-1], [0.0]])
        return s, x + (x - axis_x) * self._outward(self.rise(s))

    def unbend(self, points: NDArray[np.float64], *, width_mm: float, axis: tuple[float, float]) -> NDArray[np.float64]:
        """Which point of the paper is seen where the flat page would show `points`; shape (n, 2) both."""
        s_table, x_table = self.seen_at(width_mm=width_mm, axis_x=axis[0])
        x, y = points[:, 0], points[:, 1]
        s = np.interp(x, x_table, s_table)
        s = np.where(x < x_table[0], x - x_table[0], np.where(x > x_table[-1], width_mm + x - x_table[-1], s))
        outward = self._outward(self.rise(s))
        return np.stack([s, (y + axis[1] * outward) / (1.0 + outward)], axis=1)

    def shade(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A copy of the page's picture with the spine's shadow and the darker slope."""
        columns = min(image.shape[1], round(self.reach_mm * SHEET_PX_PER_MM))
        s = np.arange(columns) / SHEET_PX_PER_MM
        deep = min(1.0, self.height_mm / 6.0)
        light = 1.0 - deep * (0.45 * np.exp(-s / 5.0) + 0.10 * np.clip(1.0 - s / self.reach_mm, 0.0, 1.0))
        row = np.repeat(np.rint(255 * light).astype(np.uint8)[None, :, None], 3, axis=2)
        shaded = image.copy()
        near = shaded[:, :columns]
        near[:] = cv2.multiply(near, np.repeat(row, image.shape[0], axis=0), scale=1 / 255)
        return shaded

    @staticmethod
    def _outward(rise: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(rise / (CAMERA_HEIGHT_MM - rise), np.float64)


def draw_bent(
    frame: NDArray[np.uint8],
    image: NDArray[np.uint8],
    *,
    curl: Curl,
    to_frame: NDArray[np.float64],
    axis: tuple[float, float],
) -> None:
    """Draw a curled page into `frame`, in place; around it the frame stays.

    `to_frame`: flat page mm to frame pixels, shape (3, 3). `axis`: the page's point below the lens, mm.
    """
    height, width = frame.shape[:2]
    rows, columns = -(-height // COARSE), -(-width // COARSE)
    x, y = np.meshgrid((np.arange(columns) + 0.5) * COARSE - 0.5, (np.arange(rows) + 0.5) * COARSE - 0.5)
    pixels = np.stack([x.ravel(), y.ravel()], axis=1)[None]
    flat = np.asarray(cv2.perspectiveTransform(pixels, np.linalg.inv(to_frame)), np.float64)[0]
    paper = curl.unbend(flat, width_mm=image.shape[1] / SHEET_PX_PER_MM, axis=axis) * SHEET_PX_PER_MM
    coarse = paper.reshape(rows, columns, 2).astype(np.float32)
    full = cv2.resize(coarse, (columns * COARSE, rows * COARSE), interpolation=cv2.INTER_LINEAR)[:height, :width]
    across, down = (np.ascontiguousarray(full[:, :, which]) for which in (0, 1))
    cv2.remap(curl.shade(image), across, down, cv2.INTER_LINEAR, dst=frame, borderMode=cv2.BORDER_TRANSPARENT)


def drive_staple(image: NDArray[np.uint8]) -> None:
    """A wire through the top left corner, in place, with its glint and its shadow."""
    scale = SHEET_PX_PER_MM
    centre, half = np.array([9.0, 9.0]) * scale, np.array([1.0, -1.0]) * STAPLE_MM / 2 / np.sqrt(2) * scale
    for shift, colour, thick in ((0.35, (196, 200, 202), 0.7), (0.0, STAPLE_BGR, 0.6), (-0.12, (222, 222, 222), 0.15)):
        first, last = (np.rint(centre + sign * half + shift * scale).astype(int).tolist() for sign in (-1, 1))
        cv2.line(image, first, last, colour, max(1, round(thick * scale)), cv2.LINE_AA)


def fan_out(images: Sequence[NDArray[np.uint8]], *, step_mm: float) -> NDArray[np.uint8]:
    """Sheets of one size over each other, the first on top, each next one `step_mm` further to the right."""
    height, width = images[0].shape[:2]
    step = round(step_mm * SHEET_PX_PER_MM)
    fanned = np.zeros((height, width + step * (len(images) - 1), 3), np.uint8)
    shadow = round(1.2 * SHEET_PX_PER_MM)
    fall = (255 - 70 * np.exp(-np.arange(shadow) / (0.3 * SHEET_PX_PER_MM))).astype(np.uint8)
    dark = np.repeat(np.repeat(fall[None, :, None], 3, axis=2), height, axis=0)
    for number in range(len(images) - 1, -1, -1):
        left = number * step
        fanned[:, left : left + width] = images[number]
        below = fanned[:, left + width : left + width + shadow]
        if below.size:
            below[:] = cv2.multiply(below, np.ascontiguousarray(dark[:, : below.shape[1]]), scale=1 / 255)
    return fanned
