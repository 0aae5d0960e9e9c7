"""The registered artwork of a head as ink, in millimetres."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from server.inspection.vision.ink import Density

_FULL_TONE: Final = 0.6
"""How much darker cinnabar red is in green and blue light than in red light, against paper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Artwork:
    """`ink` (S, S), 0 to 1, square around the outer edge; the square's side is `diameter_mm`."""

    ink: Density
    diameter_mm: float

    def drawn(self, px_mm: float, *, side_px: int, centre: NDArray[np.float64], turn: NDArray[np.float64]) -> Density:
        """The artwork on a square of `side_px`: `turn` (2, 2) is rotation times scale, `centre` (2,) in pixels."""
        size = self.ink.shape[0]
        step = px_mm * self.diameter_mm / size
        matrix = np.zeros((2, 3))
        matrix[:, :2] = turn * step
        middle = (size - 1) / 2
        matrix[:, 2] = centre - matrix[:, :2] @ np.array([middle, middle])
        soft = cv2.GaussianBlur(self.ink, (0, 0), max(0.3, 0.5 / step))
        return np.asarray(cv2.warpAffine(soft, matrix, (side_px, side_px), flags=cv2.INTER_LINEAR), np.float32)

    def inked_mm2(self, px_mm: float, level: float) -> float:
        """Paper that counts as inked when a fresh imprint is seen at `px_mm` and cut at `level`: thin lines widen."""
        side = round((self.diameter_mm + 2) * px_mm)
        middle = np.array([(side - 1) / 2, (side - 1) / 2])
        seen = self.drawn(px_mm, side_px=side, centre=middle, turn=np.eye(2))
        return max(1.0, float(np.count_nonzero(seen * _FULL_TONE > level)) / px_mm**2)

    def averaged(self, px_mm: float) -> Density:
        """The artwork averaged over all turns: what is left of a round imprint whose turn is unknown."""
        side = max(9, round(self.diameter_mm * px_mm)) | 1
        small = cv2.resize(self.ink, (side, side), interpolation=cv2.INTER_AREA)
        ys, xs = np.mgrid[0:side, 0:side] - (side - 1) / 2
        ring = np.hypot(xs, ys).round().astype(np.int64)
        profile = np.bincount(ring.ravel(), weights=small.ravel()) / np.bincount(ring.ravel())
        back = np.where(ring <= side // 2, profile[ring], 0.0).astype(np.float32)
        return np.asarray(cv2.GaussianBlur(back, (0, 0), 1.0), np.float32)


def artwork(specimen: NDArray[np.uint8], diameter_mm: float) -> Artwork:
    """Ink of a grey (H, W), BGR (H, W, 3) or BGRA (H, W, 4) drawing, cut to its outer edge.

    Green is the plane in which both red and black ink are dark.
    """
    plane = specimen if specimen.ndim == 2 else specimen[..., 1]
    ink = 1.0 - plane.astype(np.float32) / 255
    if specimen.ndim == 3 and specimen.shape[2] == 4:
        ink *= specimen[..., 3].astype(np.float32) / 255
    rows, columns = np.flatnonzero((ink > 0.4).any(axis=1)), np.flatnonzero((ink > 0.4).any(axis=0))
    if len(rows) == 0:
        return Artwork(ink=np.zeros((64, 64), np.float32), diameter_mm=diameter_mm)
    part = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    side = max(part.shape)
    down, across = side - part.shape[0], side - part.shape[1]
    square: Density = np.pad(part, ((down // 2, down - down // 2), (across // 2, across - across // 2)))
    best = round(diameter_mm * 12)
    if side > best:
        square = np.asarray(cv2.resize(square, (best, best), interpolation=cv2.INTER_AREA), np.float32)
    return Artwork(ink=square, diameter_mm=diameter_mm)
