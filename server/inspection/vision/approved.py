"""The approved side of a comparison, computed once for a page and kept by the caller."""

from dataclasses import dataclass
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from server.inspection.vision.align import Features, features
from server.inspection.vision.glyphs import Boxes, Glyphs, cut, exemplars, named
from server.inspection.vision.ink import Density, Pixels, above, around, density, extra, missing

Mode = Literal["preview", "full"]
GRID_DPI: Final[dict[Mode, int]] = {"preview": 150, "full": 200}
"""Working resolution: the preview comes at 140 dpi or more, the full photo at 200 or more (D6)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WordBox:
    """A word of the text layer; the box is in pixels of the rendered page, y down.

    Cut words where Han meets other script (U+2E80 and above against the rest): the digits of a mixed word are not
    watched one by one.
    """

    text: str
    x0: float
    y0: float
    x1: float
    y1: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ApprovedPage:
    """What was approved: `image` grey (H, W) rendered at `dpi`, `words` its text layer (empty for a scan)."""

    image: NDArray[np.uint8]
    dpi: int
    words: tuple[WordBox, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The page at a working resolution.

    `scale`: grid px per px of the approved image. `ink` (H, W); `near` and `solid` (H, W) 255 around ink and on strong
    ink; `words` (m, 4) tight boxes; `masks` (n, PATCH, PATCH); `bank`, the glyphs that others could have been
    changed into.
    """

    dpi: int
    scale: float
    ink: Density
    near: Pixels
    solid: Pixels
    words: Boxes
    text: tuple[str, ...]
    glyphs: Glyphs
    masks: NDArray[np.float32]
    bank: NDArray[np.int32]

    def extra_ink(self, photo: Density, inside: Pixels) -> NDArray[np.bool_]:
        return extra(self.near, photo, inside)

    def missing_ink(self, photo: Density, inside: Pixels) -> NDArray[np.bool_]:
        return missing(self.solid, photo, inside, self.dpi)


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedPage:
    """An approved page with its key points, and its grid per mode. Plain arrays: it can be pickled."""

    approved: ApprovedPage
    features: Features
    grids: dict[Mode, Grid]


def prepare(approved: ApprovedPage, *, modes: tuple[Mode, ...] = ("preview", "full")) -> PreparedPage:
    """Key points, glyphs and alternatives of a page, for the modes that will be asked for. About 0.1 s a mode."""
    image = np.ascontiguousarray(approved.image)
    return PreparedPage(
        approved=approved,
        features=features(image),
        grids={mode: _grid(approved, GRID_DPI[mode]) for mode in modes},
    )


def _grid(approved: ApprovedPage, dpi: int) -> Grid:
    scale = dpi / approved.dpi
    size = (round(approved.image.shape[1] * scale), round(approved.image.shape[0] * scale))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    image = approved.image if scale == 1.0 else cv2.resize(approved.image, size, interpolation=way)
    ink = density(np.asarray(image, np.uint8), dpi)
    boxes = np.array([(w.x0, w.y0, w.x1, w.y1) for w in approved.words], np.float64).reshape(-1, 4) * scale
    glyphs, words = cut(ink, [w.text for w in approved.words], boxes, dpi=dpi)
    if not approved.words and len(glyphs.boxes):
        glyphs = named(glyphs, ink)
    return Grid(
        dpi=dpi,
        scale=scale,
        ink=ink,
        near=around(ink, dpi),
        solid=above(ink, 0.5),
        words=words,
        text=tuple(_texts(glyphs, len(words))) if approved.words else ("",) * len(words),
        glyphs=glyphs,
        masks=glyphs.masks(),
        bank=exemplars(glyphs),
    )


def _texts(glyphs: Glyphs, count: int) -> list[str]:
    texts = [""] * count
    for word, letter in zip(glyphs.word, glyphs.letter, strict=True):
        texts[word] += str(letter)
    return texts
