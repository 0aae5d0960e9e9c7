"""Random textures. Every function draws from the generator it is given and nothing else."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

TILE_PX: Final = 512
"""Edge of the tile that a large texture repeats: large enough that no eye finds it, and 30 times cheaper."""
NEUTRAL: Final = (128, 128, 128)
"""The mean of a texture that changes nothing when it is added."""


def grain(
    rng: np.random.Generator, *, height: int, width: int, sigma: float, mean: tuple[int, int, int] = NEUTRAL
) -> NDArray[np.uint8]:
    """Gaussian noise around a colour, shape (height, width, 3)."""
    drawn = rng.standard_normal((TILE_PX, TILE_PX, 3), dtype=np.float32) * sigma + np.array(mean, np.float32)
    tile = np.clip(np.rint(drawn), 0, 255).astype(np.uint8)
    down, right = max(0, height - TILE_PX), max(0, width - TILE_PX)
    return np.asarray(cv2.copyMakeBorder(tile, 0, down, 0, right, cv2.BORDER_WRAP)[:height, :width], np.uint8)


def add_grain(image: NDArray[np.uint8], texture: NDArray[np.uint8], *, exposure: float = 1.0) -> NDArray[np.uint8]:
    """`image` times `exposure` plus the texture, cut off at 0 and 255."""
    return np.asarray(cv2.addWeighted(image, exposure, texture, 1.0, -NEUTRAL[0]), dtype=np.uint8)


def clouds(rng: np.random.Generator, *, height: int, width: int, size_px: float) -> NDArray[np.float32]:
    """Smooth noise with spots of about `size_px`, mean 0, deviation near 1, shape (height, width)."""
    rows, columns = max(2, round(height / size_px)), max(2, round(width / size_px))
    coarse = rng.standard_normal((rows, columns), dtype=np.float32)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), dtype=np.float32)
