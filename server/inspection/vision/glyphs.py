"""The approved page cut into single glyphs, each with the cell it owns and its letter, if the text layer tells it."""

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from server.inspection.vision.ink import Density, components

PATCH: Final = 24
"""Side of the square patch that one glyph is compared in, in patch pixels."""
FAINTEST: Final = 0.04
"""Print lighter than this part of black is not told from paper, on the rendered page or on any photo."""
_OF_STRONGEST: Final = 0.28
"""A pixel belongs to a glyph from this part of the word's darkest pixel on: grey print is cut like black print."""
_CJK_FROM: Final = "\u2e80"
_PRIVATE_USE: Final = 0xE000
_SHAPES: Final = 600
_SAME_SHAPE: Final = 0.9
Boxes = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Glyphs:
    """`n` glyphs in grid pixels.

    `boxes` (n, 4) ink boxes x0, y0, x1, y1; `cells` (n, 2) the columns a glyph owns, up to half the gap to its
    neighbours; `word` (n,) index of its word; `letter` (n,) one character or ""; `scale` (n,) grid px per patch px.
    """

    boxes: Boxes
    cells: Boxes
    word: NDArray[np.int32]
    letter: NDArray[np.str_]
    scale: NDArray[np.float64]

    def masks(self) -> NDArray[np.float32]:
        """(n, PATCH, PATCH): 1 where the patch lies in the glyph's own cell and the paper around its ink."""
        steps = np.arange(PATCH) - (PATCH - 1) / 2
        middle = self.middle()
        xs = steps[None, :] * self.scale[:, None] + middle[:, :1]
        ys = steps[None, :] * self.scale[:, None] + middle[:, 1:]
        pad = 1.6 * self.scale[:, None]
        # A letter may have grown a tail (e -> g); digits share one height, and a table's rules stand close to them.
        tail = np.where(np.char.isdigit(self.letter), 1.6, 5.0)[:, None] * self.scale[:, None]
        left = np.maximum(self.cells[:, :1], self.boxes[:, 0:1] - pad)
        right = np.minimum(self.cells[:, 1:], self.boxes[:, 2:3] + pad)
        across = (xs >= left - 0.5) & (xs <= right + 0.5)
        down = (ys >= self.boxes[:, 1:2] - tail) & (ys <= self.boxes[:, 3:4] + tail)
        return np.asarray(down[:, :, None] & across[:, None, :], np.float32)

    def middle(self) -> Boxes:
        """(n, 2) centres of the ink boxes, in pixel centres."""
        return (self.boxes[:, :2] + self.boxes[:, 2:]) / 2 - 0.5


def cut(ink: Density, words: list[str], boxes: Boxes, *, dpi: float) -> tuple[Glyphs, Boxes]:
    """Glyphs and the word boxes they belong to, tight around the ink.

    `boxes` (m, 4) come from the text layer; a word without visible ink is dropped. Without any, connected parts of the
    ink that are letter-sized take the place of words, and no glyph has a letter.
    """
    if len(boxes) == 0:
        return _parts(ink, dpi)
    rows: list[tuple[float, ...]] = []
    letters: list[str] = []
    kept: list[tuple[float, float, float, float]] = []
    height, width = ink.shape
    for text, (x0, y0, x1, y1) in zip(words, boxes, strict=True):
        left, top = max(0, int(x0) - 1), max(0, int(y0) - 1)
        right, bottom = min(width, int(np.ceil(x1)) + 1), min(height, int(np.ceil(y1)) + 1)
        if right - left < 2 or bottom - top < 2:
            continue
        part = ink[top:bottom, left:right]
        strongest = float(part.max())
        if strongest < FAINTEST:
            continue
        dark = part > _OF_STRONGEST * strongest
        runs, names = _columns(dark, part.sum(axis=0), text)
        for i, (a, b) in enumerate(runs):
            lines = np.flatnonzero(dark[:, a:b].any(axis=1))
            if len(lines) == 0:
                continue
            low = left if i == 0 else left + (runs[i - 1][1] + a) / 2
            high = right if i + 1 == len(runs) else left + (b + runs[i + 1][0]) / 2
            rows.append((left + a, top + lines[0], left + b, top + lines[-1] + 1, low - 0.5, high - 0.5, len(kept)))
            letters.append(names[i])
        _distrust(rows, letters, len(kept))
        kept.append((left, top, right, bottom))
    return _glyphs(rows, letters), np.array(kept, np.float64).reshape(-1, 4)


def _distrust(rows: list[tuple[float, ...]], letters: list[str], word: int) -> None:
    """Take the letters from a word whose digits are not of one height: it was cut wrongly, or runs over two lines."""
    own = [i for i in range(max(0, len(rows) - 200), len(rows)) if rows[i][6] == word]
    tall = [rows[i][3] - rows[i][1] for i in own if letters[i].isdigit()]
    if tall and max(tall) > 1.3 * min(tall):
        for i in own:
            letters[i] = ""


def _glyphs(rows: list[tuple[float, ...]], letters: list[str]) -> Glyphs:
    table = np.array(rows, np.float64).reshape(-1, 7)
    longest = np.maximum(table[:, 2] - table[:, 0], table[:, 3] - table[:, 1])
    return Glyphs(
        boxes=table[:, :4],
        cells=table[:, 4:6],
        word=table[:, 6].astype(np.int32),
        letter=np.array(letters, dtype="<U1"),
        scale=np.maximum(1.0, (longest + 4) / PATCH),
    )


def _parts(ink: Density, dpi: float) -> tuple[Glyphs, Boxes]:
    mm = dpi / 25.4
    boxes, _ = components(ink > 0.35, least_px=0.08 * mm * mm)
    size = boxes[:, 2:] - boxes[:, :2]
    boxes = boxes[(size.max(axis=1) < 9 * mm) & (size.max(axis=1) > 0.5 * mm)].astype(np.float64)
    if len(boxes) == 0:
        return _glyphs([], []), np.zeros((0, 4))
    rows = [(*box, box[0] - 1.5, box[2] + 0.5, i) for i, box in enumerate(boxes)]
    return _glyphs(rows, [""] * len(rows)), boxes + np.array([-1.0, -1.0, 1.0, 1.0])


def _columns(
    dark: NDArray[np.bool_], weight: NDArray[np.float32], text: str
) -> tuple[list[tuple[int, int]], list[str]]:
    """Column runs of a word and the letter of each; the letters stay empty where the count cannot be made to agree."""
    edges = np.flatnonzero(np.diff(np.r_[0, dark.any(axis=0).astype(np.int8), 0]))
    runs = [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]
    wanted = len(text)
    wide = [c >= _CJK_FROM for c in text]
    if any(wide) and not all(wide):
        return runs, [""] * len(runs)  # which run is which letter would be a guess
    if any(wide):
        cuts = np.linspace(runs[0][0], runs[-1][1], wanted + 1).round().astype(int)
        return [(int(a), int(b)) for a, b in pairwise(cuts)], list(text)
    while len(runs) > wanted and len(runs) > 1:
        gap = min(range(len(runs) - 1), key=lambda i: runs[i + 1][0] - runs[i][1])
        runs[gap : gap + 2] = [(runs[gap][0], runs[gap + 1][1])]
    while len(runs) < wanted:
        widest = max(range(len(runs)), key=lambda i: runs[i][1] - runs[i][0])
        a, b = runs[widest]
        if b - a < 6:
            return runs, [""] * len(runs)
        third = (b - a) // 3
        at = a + third + int(np.argmin(weight[a + third : b - third]))
        runs[widest : widest + 1] = [(a, at), (at, b)]
    return runs, list(text)


def sample(image: Density, centres: Boxes, scale: NDArray[np.float64], *, side: int) -> NDArray[np.float32]:
    """Patches (n, side, side) of `image` around `centres` (n, 2), `scale` image pixels a step, in one remap."""
    steps = np.arange(side) - (side - 1) / 2
    offsets = steps[None, :] * scale[:, None]
    xs, ys = np.empty((2, len(centres), side, side), np.float32)
    xs[:] = (centres[:, :1] + offsets)[:, None, :]
    ys[:] = (centres[:, 1:] + offsets)[:, :, None]
    # cv2.remap takes at most 32767 rows.
    rows = 32_000 // side
    parts = [
        cv2.remap(
            image,
            xs[i : i + rows].reshape(-1, side),
            ys[i : i + rows].reshape(-1, side),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        for i in range(0, len(centres), rows)
    ]
    flat = np.concatenate(parts) if parts else np.zeros((0, side), np.float32)
    return np.asarray(flat, np.float32).reshape(len(centres), side, side)


def named(glyphs: Glyphs, ink: Density) -> Glyphs:
    """Glyphs of a page without text layer, each with a private-use character as letter: the same for the same shape."""
    patches = sample(ink, glyphs.middle(), glyphs.scale, side=PATCH).reshape(len(glyphs.boxes), -1)
    patches = patches * glyphs.masks().reshape(len(patches), -1)
    patches -= patches.mean(axis=1, keepdims=True)
    patches /= np.linalg.norm(patches, axis=1, keepdims=True) + 1e-6
    size = glyphs.boxes[:, 2:] - glyphs.boxes[:, :2]
    firsts: list[int] = []
    letters = []
    for i, patch in enumerate(patches):
        near = np.array(firsts, np.int64)
        like = (patches[near] @ patch) * (np.abs(size[near] - size[i]).max(axis=1) <= 2) if firsts else np.zeros(1)
        best = int(np.argmax(like))
        if like[best] < _SAME_SHAPE and len(firsts) < _SHAPES:
            firsts.append(i)
            best = len(firsts) - 1
        letters.append(chr(_PRIVATE_USE + best))
    return replace(glyphs, letter=np.array(letters, dtype="<U1"))


def is_letter(letter: NDArray[np.str_]) -> NDArray[np.bool_]:
    """Letters of the text layer, and the shapes of a scan; not digits, points and signs."""
    return np.asarray(np.char.isalpha(letter) | ((letter >= "\ue000") & (letter <= "\uf8ff")), np.bool_)


def exemplars(glyphs: Glyphs, *, each: int = 2) -> NDArray[np.int32]:
    """Indices of up to `each` glyphs of every letter and size: what a glyph could have been changed into."""
    seen: dict[tuple[str, int, int], int] = {}
    chosen = []
    for i, letter in enumerate(glyphs.letter):
        x0, y0, x1, y1 = glyphs.boxes[i]
        key = (str(letter), round(float(y1 - y0) / 2), round(float(x1 - x0) / 3))
        seen[key] = seen.get(key, 0) + 1
        if letter and seen[key] <= each:
            chosen.append(i)
    return np.array(chosen, np.int32)
