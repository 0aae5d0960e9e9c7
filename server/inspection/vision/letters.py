"""Every glyph of the approved page against the photo: does it correlate, and does another glyph fit better?"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from server.inspection.vision.align import subpixel_peak
from server.inspection.vision.glyphs import PATCH, Boxes, Glyphs, sample
from server.inspection.vision.ink import Density

_REACH_PX: Final = 3
"""What the field leaves over is under 2 grid pixels."""
_HALVES: Final = tuple((dx, dy) for dy in (-1, 0, 1) for dx in (-1, 0, 1))
BLURS_PX: Final = (0.0, 0.6, 0.9, 1.3)
"""The approved print is softened like the photo is before the two are compared."""
_SAME_GLYPH: Final = 0.93
"""Two glyphs of the approved page that correlate this well cannot be told apart on a photo (0 and O)."""
Vector = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """Per glyph: `ncc` (n,), `margin` (n,) another glyph's best correlation minus its own (-1 where none was tried)."""

    ncc: Vector
    margin: Vector
    soft_px: float


def word_shifts(approved: Density, photo: Density, boxes: Boxes) -> tuple[Boxes, Vector]:
    """(m, 2) shift of each word in grid pixels, to a fraction of a pixel, and its correlation (m,).

    A word that correlates badly, or moves unlike the words around it, takes their median.
    """
    height, width = approved.shape
    shifts, peaks = np.zeros((len(boxes), 2)), np.zeros(len(boxes), np.float32)
    for i, (x0, y0, x1, y1) in enumerate(boxes.astype(int)):
        left, top, right, bottom = x0 - 1, y0 - 1, x1 + 1, y1 + 1
        if left < _REACH_PX or top < _REACH_PX or right > width - _REACH_PX or bottom > height - _REACH_PX:
            continue
        around = photo[top - _REACH_PX : bottom + _REACH_PX, left - _REACH_PX : right + _REACH_PX]
        scores = cv2.matchTemplate(around, approved[top:bottom, left:right], cv2.TM_CCOEFF_NORMED)
        dx, dy, peak = subpixel_peak(scores)
        shifts[i], peaks[i] = (dx - _REACH_PX, dy - _REACH_PX), peak
    return _settled(shifts, peaks, boxes), peaks


def _settled(shifts: Boxes, peaks: Vector, boxes: Boxes) -> Boxes:
    good = np.flatnonzero(peaks > 0.7)
    if len(good) < 5:
        return np.where(peaks[:, None] > 0.7, shifts, 0.0)
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    far = np.abs(middle[:, None, :] - middle[None, good, :]) * np.array([1.0, 2.0])
    near = good[np.argsort(far.sum(axis=2), axis=1)[:, :9]]
    usual = np.median(shifts[near], axis=1)
    narrow = (boxes[:, 2] - boxes[:, 0]) < 1.2 * (boxes[:, 3] - boxes[:, 1])
    limit = np.where(narrow, 0.5, 1.0)
    odd = (peaks <= 0.7) | (np.abs(shifts - usual).max(axis=1) > limit)
    return np.where(odd[:, None], usual, shifts)


def softness(approved: Density, photo: Density, boxes: Boxes) -> float:
    """The blur from `BLURS_PX` under which the approved words correlate best with the photo's (already in place)."""
    some = boxes[:: max(1, len(boxes) // 60)].astype(int)
    best = []
    for blur in BLURS_PX:
        soft = softened(approved, blur)
        scores = [
            float(cv2.matchTemplate(photo[y0:y1, x0:x1], soft[y0:y1, x0:x1], cv2.TM_CCOEFF_NORMED)[0, 0])
            for x0, y0, x1, y1 in some
            if x1 - x0 > 3 and y1 - y0 > 3
        ]
        best.append(float(np.median(scores)) if scores else 0.0)
    return BLURS_PX[int(np.argmax(best))]


def softened(ink: Density, blur_px: float) -> Density:
    return ink if blur_px == 0.0 else np.asarray(cv2.GaussianBlur(ink, (0, 0), blur_px), np.float32)


class Comparison:
    """One photo's glyph patches beside the approved ones, at nine half-pixel shifts each."""

    def __init__(self, approved: Density, photo: Density, glyphs: Glyphs, masks: Vector, shifts: Boxes) -> None:
        middle = glyphs.middle()
        self.glyphs = glyphs
        self.masks = masks.reshape(len(masks), -1)
        self.areas = np.maximum(self.masks.sum(axis=1), 1.0)
        self.expected = sample(approved, middle, glyphs.scale, side=PATCH).reshape(len(masks), -1)
        seen = sample(photo, middle + shifts, glyphs.scale, side=PATCH + 2)
        self.seen = [self._centred(_half(seen, dx, dy).reshape(len(masks), -1)) for dx, dy in _HALVES]

    def _centred(self, patches: Vector) -> tuple[Vector, Vector]:
        inside = patches * self.masks
        inside -= self.masks * (inside.sum(axis=1) / self.areas)[:, None]
        return inside, np.sqrt(np.einsum("np,np->n", inside, inside)) + np.float32(0.05)

    def own(self) -> Vector:
        """Correlation (n,) of each glyph with the approved glyph at its place."""
        pattern, norm = self._centred(self.expected)
        tries = [np.einsum("np,np->n", seen, pattern) / (size * norm) for seen, size in self.seen]
        return np.asarray(np.max(tries, axis=0), np.float32)

    def margin(self, which: NDArray[np.int32], bank: NDArray[np.int32], *, height_ratio: float) -> Vector:
        """For glyphs `which` (k,): best correlation with a different glyph of `bank` minus that with their own."""
        if len(which) == 0 or len(bank) == 0:
            return np.full(len(which), -1.0, np.float32)
        masks, areas = self.masks[which], self.areas[which]
        single = self.expected * self.masks
        others = single[bank]
        spread = masks @ (others * others).T - (masks @ others.T) ** 2 / areas[:, None]
        norm = np.sqrt(np.maximum(spread, 0)) + np.float32(0.05)
        own, size = self._centred(single)
        own, size = own[which], size[which]
        alike = (own @ others.T) / (size[:, None] * norm)
        fits = np.full(norm.shape, -1.0, np.float32)
        expected = np.full(len(which), -1.0, np.float32)
        for seen, length in self.seen:
            now, weight = seen[which], length[which]
            fits = np.maximum(fits, (now @ others.T) / (weight[:, None] * norm))
            expected = np.maximum(expected, np.einsum("np,np->n", now, own) / (weight * size))
        fits[~self._could_be(which, bank, height_ratio) | (alike > _SAME_GLYPH)] = -1.0
        best = fits.max(axis=1)
        return np.asarray(np.where(best < 0, -1.0, best - expected), np.float32)

    def _could_be(self, which: NDArray[np.int32], bank: NDArray[np.int32], ratio: float) -> NDArray[np.bool_]:
        letter, boxes = self.glyphs.letter, self.glyphs.boxes
        tall = boxes[:, 3] - boxes[:, 1]
        share = tall[bank][None, :] / np.maximum(tall[which], 1)[:, None]
        return np.asarray(
            (letter[bank][None, :] != letter[which][:, None]) & (share < ratio) & (share > 1 / ratio), np.bool_
        )


def _half(patches: Vector, dx: int, dy: int) -> Vector:
    """The inner patch, moved by half a patch pixel per unit of `dx` and `dy`."""
    across = patches[:, :, 1:-1] if dx == 0 else (patches[:, :, 1:-1] + patches[:, :, 1 + dx : PATCH + 1 + dx]) / 2
    down = across[:, 1:-1] if dy == 0 else (across[:, 1:-1] + across[:, 1 + dy : PATCH + 1 + dy]) / 2
    return np.asarray(down, np.float32)
