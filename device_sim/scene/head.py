from dataclasses import dataclass
from io import BytesIO
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from device_sim.scene.errors import ArtworkInvalid

INK_FROM = 24
"""Coverage (0..255) from which a pixel belongs to the engraving and not to the picture's margin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadArtwork:
    """The engraved face of a head. `mask` is (height, width) uint8: 255 where it carries ink."""

    mask: NDArray[np.uint8]
    diameter_mm: float

    @classmethod
    def from_png(cls, png: bytes, diameter_mm: float) -> Self:
        """From registered artwork: its transparency, or if it has none, how far it is from white.

        Empty margins are cut off, so that the engraving's longer side measures `diameter_mm`.

        Raises: ArtworkInvalid.
        """
        try:
            with Image.open(BytesIO(png)) as opened:
                picture = np.asarray(opened.convert("RGBA"))
        except (UnidentifiedImageError, Image.DecompressionBombError, OSError, ValueError) as error:
            raise ArtworkInvalid(f"the artwork cannot be read: {error}") from error
        alpha = picture[:, :, 3]
        darkness = 255 - picture[:, :, :3].min(axis=2)
        coverage = (alpha if alpha.min() < INK_FROM else darkness).astype(np.uint8)
        rows, columns = (
            np.flatnonzero((coverage >= INK_FROM).any(axis=1)),
            np.flatnonzero((coverage >= INK_FROM).any(axis=0)),
        )
        if not rows.size or diameter_mm <= 0:
            raise ArtworkInvalid("the artwork shows no ink")
        inked = coverage[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return cls(mask=np.ascontiguousarray(inked), diameter_mm=diameter_mm)

    def at_scale(self, px_per_mm: float) -> NDArray[np.float32]:
        """The engraving drawn at `px_per_mm`, 0..1, shape (height, width)."""
        factor = self.diameter_mm * px_per_mm / max(self.mask.shape)
        size = (max(1, round(self.mask.shape[1] * factor)), max(1, round(self.mask.shape[0] * factor)))
        scaled = cv2.resize(self.mask, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)
        return np.asarray(scaled, dtype=np.float32) / 255.0
