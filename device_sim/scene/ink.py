"""How stamp ink and coder ink come to lie on paper."""

from math import cos, pi, sin
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from device_sim.scene.grain import clouds

SEAL_RED: Final = (199, 22, 36)
"""Cinnabar paste in full tone, RGB."""
CODER_BLACK: Final = (30, 29, 33)
"""Solvent ink of the inline coder in full tone, RGB."""


def seal_ink(
    engraving: NDArray[np.float32], *, rng: np.random.Generator, ink: float, px_per_mm: float
) -> NDArray[np.float32]:
    """What a press leaves of an engraving (0..1): same shape, 0 for bare paper, 1 for full tone.

    Ink gain widens the lines, paste lies in clouds, the head presses harder on one side, and where it
    presses least the paper's tooth shows through. `ink` 1 is a fresh pad; 0 is a dry one.
    """
    height, width = engraving.shape
    fine, spots, broad = (clouds(rng, height=height, width=width, size_px=mm * px_per_mm) for mm in (0.16, 0.9, 6.0))
    pressure = _pressure(height, width, rng)
    spread = cv2.GaussianBlur(engraving, (0, 0), 0.085 * px_per_mm)
    gain = 0.10 * pressure + 0.035 * spots
    coverage = np.clip((spread - 0.5 + gain) / 0.42 + 0.5, 0.0, 1.0)
    tone = 0.72 + 0.24 * pressure + 0.065 * fine + 0.075 * spots + 0.04 * broad
    tooth = fine + 0.5 * spots > 0.9 + 1.9 * pressure * min(ink, 1.0)
    tone = np.where(tooth, tone * 0.3, tone)
    inked = coverage * np.clip(tone, 0.0, 1.0) * min(max(ink, 0.0), 1.0)
    return np.asarray(np.clip(inked, 0.0, 1.0), np.float32)


def _pressure(height: int, width: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """1 on the side that is pressed hardest, down to 0.55..0.95 on the other."""
    direction, depth = rng.uniform(0.0, 2 * pi), rng.uniform(0.05, 0.45)
    y, x = np.mgrid[-1.0 : 1.0 : complex(0, height), -1.0 : 1.0 : complex(0, width)]
    slope = (x * cos(direction) + y * sin(direction) + 1.0) / 2.0
    return np.asarray(1.0 - depth * np.clip(slope, 0.0, 1.0), np.float32)


def coder_ink(dots: NDArray[np.float32], *, rng: np.random.Generator) -> NDArray[np.float32]:
    """What the coder's nozzles leave of a dot pattern (0..1): a little bleed and uneven drops."""
    height, width = dots.shape
    bled = cv2.GaussianBlur(dots, (0, 0), 0.7)
    drops = clouds(rng, height=height, width=width, size_px=2.0)
    return np.asarray(np.clip(bled * (0.95 + 0.04 * drops), 0.0, 1.0), np.float32)


def lay_ink(paper_bgr: NDArray[np.uint8], ink: NDArray[np.float32], *, rgb: tuple[int, int, int]) -> None:
    """Multiply `paper_bgr` (height, width, 3), in place, with ink of the colour `rgb`: print below stays dark."""
    absorbed = 1.0 - np.array(rgb[::-1], dtype=np.float32) / 255.0
    paper_bgr[:] = np.rint(paper_bgr * (1.0 - ink[:, :, None] * absorbed)).astype(np.uint8)
