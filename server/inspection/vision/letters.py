"""Every glyph of the approved page against the photo: does it correlate, and does another glyph fit better?"""

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
_BLOCK: Final = 128
"""Glyphs whose patches fit into the processor's cache together."""
_UNMOVED: Final = 4
"""Where (0, 0) stands in it."""
BLURS_PX: Final = (0.0, 0.6, 0.9, 1.3)
"""The approved print is softened like the photo is before the two are compared."""
_AROUND_PX: Final = 5
"""Further than the widest of them reaches."""
_SAME_GLYPH: Final = 0.93
"""Two glyphs of the approved page that correlate this well cannot be told apart on a photo (0 and O)."""
_DAMPING: Final = np.float32(0.05)
"""Added to the norm of a patch, so that nearly empty ones do not correlate by chance."""
Vector = NDArray[np.float32]


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
    count = min(9, len(good))
    near = good[np.argpartition(far.sum(axis=2), count - 1, axis=1)[:, :count]]
    usual = np.median(shifts[near], axis=1)
    narrow = (boxes[:, 2] - boxes[:, 0]) < 1.2 * (boxes[:, 3] - boxes[:, 1])
    limit = np.where(narrow, 0.5, 1.0)
    odd = (peaks <= 0.7) | (np.abs(shifts - usual).max(axis=1) > limit)
    return np.where(odd[:, None], usual, shifts)


def softness(approved: Density, photo: Density, boxes: Boxes) -> float:
    """The blur from `BLURS_PX` under which the approved words correlate best with the photo's (already in place)."""
    some = boxes[:: max(1, len(boxes) // 60)].astype(int)
    some = some[((some[:, 2:] - some[:, :2]) > 3).all(axis=1)]
    if len(some) == 0:
        return BLURS_PX[0]
    scores = np.array([_under_blurs(approved, photo, (x0, y0, x1, y1)) for x0, y0, x1, y1 in some])
    return BLURS_PX[int(np.argmax(np.median(scores, axis=0)))]


def _under_blurs(approved: Density, photo: Density, box: tuple[int, int, int, int]) -> list[float]:
    """One word's correlation under each of `BLURS_PX`; only the word and the paper around it are blurred."""
    x0, y0, x1, y1 = box
    left, top = max(0, x0 - _AROUND_PX), max(0, y0 - _AROUND_PX)
    word = approved[top : y1 + _AROUND_PX, left : x1 + _AROUND_PX]
    inner = (slice(y0 - top, y1 - top), slice(x0 - left, x1 - left))
    seen = photo[y0:y1, x0:x1]
    return [
        float(cv2.matchTemplate(seen, softened(word, blur)[inner], cv2.TM_CCOEFF_NORMED)[0, 0]) for blur in BLURS_PX
    ]


def softened(ink: Density, blur_px: float) -> Density:
    return ink if blur_px == 0.0 else np.asarray(cv2.GaussianBlur(ink, (0, 0), blur_px), np.float32)


class Comparison:
    """One photo's glyph patches beside the approved ones, at nine half-pixel shifts each.

    `faintness` (n,) is each patch's area over the energy of its approved ink: how much noise weighs in it.
    """

    def __init__(self, approved: Density, photo: Density, glyphs: Glyphs, masks: Vector, shifts: Boxes) -> None:
        middle = glyphs.middle()
        self.glyphs = glyphs
        self.masks = masks.reshape(len(masks), -1)
        self.areas = np.maximum(self.masks.sum(axis=1), 1.0)
        self.expected = sample(approved, middle, glyphs.scale, side=PATCH).reshape(len(masks), -1)
        self.pattern, self.norm = self._centred(self.expected)
        self.faintness = np.asarray(self.areas / np.maximum(self.norm - _DAMPING, 1e-3) ** 2, np.float32)
        self.seen = sample(photo, middle + shifts, glyphs.scale, side=PATCH + 2)
        self.sizes = np.empty((len(_HALVES), len(masks)), np.float32)
        self.tries = np.empty_like(self.sizes)
        for start in range(0, len(masks), _BLOCK):
            self._try(slice(start, start + _BLOCK))

    def _try(self, some: slice) -> None:
        """Norm of the centred photo patch, and its correlation with the approved one, at each half-pixel shift."""
        masks, areas, pattern = self.masks[some], self.areas[some], self.pattern[some]
        for at, (dx, dy) in enumerate(_HALVES):
            inside = _half(self.seen[some], dx, dy).reshape(len(masks), -1)
            inside *= masks
            spread = np.einsum("np,np->n", inside, inside) - inside.sum(axis=1) ** 2 / areas
            self.sizes[at, some] = np.sqrt(np.maximum(spread, 0.0)) + _DAMPING
            # `pattern` has no mean and nothing outside its mask, so the patch need not be centred for the product.
            self.tries[at, some] = np.einsum("np,np->n", inside, pattern)
        self.tries[:, some] /= self.sizes[:, some] * self.norm[some]

    def _centred(self, patches: Vector) -> tuple[Vector, Vector]:
        inside = patches * self.masks
        inside -= self.masks * (inside.sum(axis=1) / self.areas)[:, None]
        return inside, np.sqrt(np.einsum("np,np->n", inside, inside)) + _DAMPING

    def own(self) -> Vector:
        """Correlation (n,) of each glyph with the approved glyph at its place."""
        return np.asarray(self.tries.max(axis=0), np.float32)

    def energy(self) -> Vector:
        """Contrast energy (n,) of each patch on the photo over that of the approved glyph."""
        return np.asarray((self.sizes[_UNMOVED] / self.norm) ** 2, np.float32)

    def margin(self, which: NDArray[np.int32], bank: NDArray[np.int32], *, height_ratio: float) -> Vector:
        """For glyphs `which` (k,): best correlation with a different glyph of `bank` minus that with their own."""
        if len(which) == 0 or len(bank) == 0:
            return np.full(len(which), -1.0, np.float32)
        masks, areas = self.masks[which], self.areas[which]
        single = self.expected * self.masks
        others = single[bank]
        spread = masks @ (others * others).T - (masks @ others.T) ** 2 / areas[:, None]
        norm = np.sqrt(np.maximum(spread, 0)) + _DAMPING
        own, size = self.pattern[which], self.norm[which]
        alike = (own @ others.T) / (size[:, None] * norm)
        fits = np.full(norm.shape, -1.0, np.float32)
        seen = self.seen[which]
        for at, (dx, dy) in enumerate(_HALVES):
            now = _half(seen, dx, dy).reshape(len(which), -1) * masks
            now -= masks * (now.sum(axis=1) / areas)[:, None]
            fits = np.maximum(fits, (now @ others.T) / (self.sizes[at, which][:, None] * norm))
        fits[~self._could_be(which, bank, height_ratio) | (alike > _SAME_GLYPH)] = -1.0
        best = fits.max(axis=1)
        return np.asarray(np.where(best < 0, -1.0, best - self.tries[:, which].max(axis=0)), np.float32)

    def _could_be(self, which: NDArray[np.int32], bank: NDArray[np.int32], ratio: float) -> NDArray[np.bool_]:
        letter, boxes = self.glyphs.letter, self.glyphs.boxes
        tall = boxes[:, 3] - boxes[:, 1]
        share = tall[bank][None, :] / np.maximum(tall[which], 1)[:, None]
        return np.asarray(
            (letter[bank][None, :] != letter[which][:, None]) & (share < ratio) & (share > 1 / ratio), np.bool_
        )


def _half(patches: Vector, dx: int, dy: int) -> Vector:
    """The inner patch, moved by half a patch pixel per unit of `dx` and `dy`."""
    inner = patches[:, :, 1:-1]
    if dx:
        inner = (inner + patches[:, :, 1 + dx : PATCH + 1 + dx]) * np.float32(0.5)
    if dy == 0:
        return np.array(inner[:, 1:-1], np.float32)
    return np.asarray((inner[:, 1:-1] + inner[:, 1 + dy : PATCH + 1 + dy]) * np.float32(0.5), np.float32)
