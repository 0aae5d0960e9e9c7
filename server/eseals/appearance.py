"""The visible seal: the registered artwork, and beside it the trace code on an opaque white box.

All of it is one palette picture with transparency, so no font and no script can go wrong in a reader. The artwork lets
the text under it show through; the code never does.
"""

import io
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import segno
from PIL import Image, ImageDraw, ImageFont

from server.eseals.refusals import BadArtwork, PlaceOutsidePage

DPI: Final = 300
MODULE_PX: Final = 5
"""0.42 mm a module at 300 dpi; phones read from 3 px a module of a photo."""
QUIET_MODULES: Final = 4
"""ISO/IEC 18004 section 9.1."""
TEXT_PX: Final = 30
"""Height of the short code's letters, 2.5 mm."""
GAP_MM: Final = 3.0
MARGIN_MM: Final = 2.0
"""Nearest the visible seal comes to the edge of the page."""
MIN_DIAMETER_MM: Final = 10.0
MAX_DIAMETER_MM: Final = 100.0
MAX_ARTWORK_PIXELS: Final = 16_000_000

OPAQUE: Final = 255
_WHITE: Final = 0
_BLACK: Final = 1
_FIRST_INK: Final = 2
"""Where in the palette the colours of the artwork begin."""
_INK_COLOURS: Final = 24
_ALPHA_STEP: Final = 17
"""Sixteen steps of transparency: enough for soft edges, and it packs well."""
_MM: Final = DPI / 25.4


@dataclass(frozen=True, slots=True, kw_only=True)
class SealPlace:
    """Where the seal goes: page from 0, centre of the seal in mm from the top-left corner of the page as seen."""

    page: int
    x_mm: float
    y_mm: float
    diameter_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SealPicture:
    """The picture (mode PA) and the rectangle it fills, in mm from the top-left corner of the page as seen."""

    image: Image.Image
    left_mm: float
    top_mm: float
    width_mm: float
    height_mm: float


def draw_seal(
    artwork_png: bytes, *, place: SealPlace, page_mm: tuple[float, float], trace_url: str, short_code: str
) -> SealPicture:
    """The visible seal at `place` on a page of `page_mm` (width, height); the code goes right, left or below, as fits.

    Raises: PlaceOutsidePage when seal or code would leave the page, BadArtwork.
    """
    if not MIN_DIAMETER_MM <= place.diameter_mm <= MAX_DIAMETER_MM:
        raise PlaceOutsidePage(diameter_mm=place.diameter_mm)
    ink = _ink(artwork_png, round(place.diameter_mm * _MM))
    code = _code_box(trace_url, short_code)
    seal = (place.x_mm - place.diameter_mm / 2, place.y_mm - place.diameter_mm / 2, place.diameter_mm)
    box = _place_code(seal, code=(code.width / _MM, code.height / _MM), page=page_mm)
    left, top = min(seal[0], box[0]), min(seal[1], box[1])
    right = max(seal[0] + seal[2], box[0] + code.width / _MM)
    bottom = max(seal[1] + seal[2], box[1] + code.height / _MM)
    size = round((right - left) * _MM), round((bottom - top) * _MM)
    colours, alpha = Image.new("P", size, _WHITE), Image.new("L", size, 0)
    colours.putpalette(ink.palette)
    ink_at = round((seal[0] - left) * _MM), round((seal[1] - top) * _MM)
    colours.paste(ink.colours, ink_at)
    alpha.paste(ink.alpha, ink_at)
    code_at = round((box[0] - left) * _MM), round((box[1] - top) * _MM)
    colours.paste(code, code_at)
    alpha.paste(255, (*code_at, code_at[0] + code.width, code_at[1] + code.height))
    whole = colours.convert("PA")
    whole.putalpha(alpha)
    return SealPicture(
        image=whole,
        left_mm=left,
        top_mm=top,
        width_mm=whole.width / _MM,
        height_mm=whole.height / _MM,
    )


def _place_code(
    seal: tuple[float, float, float], *, code: tuple[float, float], page: tuple[float, float]
) -> tuple[float, float]:
    """Top-left corner of the code box in mm. Raises: PlaceOutsidePage."""
    left, top, size = seal
    middle = (left + (size - code[0]) / 2, top + (size - code[1]) / 2)
    inside = (
        min(max(middle[0], MARGIN_MM), page[0] - MARGIN_MM - code[0]),
        min(max(middle[1], MARGIN_MM), page[1] - MARGIN_MM - code[1]),
    )
    candidates = [
        (left + size + GAP_MM, inside[1]),
        (left - GAP_MM - code[0], inside[1]),
        (inside[0], top + size + GAP_MM),
        (inside[0], top - GAP_MM - code[1]),
    ]
    if _fits(left, top, size, size, page):
        for x, y in candidates:
            if _fits(x, y, *code, page):
                return x, y
    raise PlaceOutsidePage(diameter_mm=size)


def _fits(x: float, y: float, width: float, height: float, page: tuple[float, float]) -> bool:
    across = x >= MARGIN_MM and x + width <= page[0] - MARGIN_MM
    return across and y >= MARGIN_MM and y + height <= page[1] - MARGIN_MM


def _code_box(trace_url: str, short_code: str) -> Image.Image:
    """The QR code (level M) with its quiet zone and the short code under it; mode L, values _WHITE and _BLACK."""
    code = segno.make_qr(trace_url, error="m", boost_error=False)
    modules = np.array(list(code.matrix_iter(scale=MODULE_PX, border=QUIET_MODULES)), dtype=np.uint8)
    drawn = Image.fromarray(modules * _BLACK)
    font = ImageFont.load_default(TEXT_PX)
    wide = round(font.getlength(short_code)) + 2 * MODULE_PX
    box = Image.new("L", (max(drawn.width, wide), drawn.height + TEXT_PX + MODULE_PX), _WHITE)
    box.paste(drawn, ((box.width - drawn.width) // 2, 0))
    draw = ImageDraw.Draw(box)
    draw.fontmode = "1"  # two colours only
    draw.text((box.width / 2, drawn.height), short_code, font=font, fill=_BLACK, anchor="mt")
    return box


@dataclass(frozen=True, slots=True)
class _Ink:
    """The artwork as ink on nothing. `colours` (mode L) index `palette`; `alpha` is the strength of the ink."""

    colours: Image.Image
    alpha: Image.Image
    palette: list[int]


@lru_cache(maxsize=32)
def _ink(artwork_png: bytes, size: int) -> _Ink:
    """The artwork `size` pixels wide and high; a white ground becomes transparent. Raises: BadArtwork.

    Few colours in a palette take a quarter of the bytes of RGBA in the sealed file. The same few seals are set again
    and again, so the result is kept.
    """
    try:
        with Image.open(io.BytesIO(artwork_png), formats=("PNG",)) as file:
            if file.width * file.height > MAX_ARTWORK_PIXELS:
                raise BadArtwork
            art = file.convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadArtwork from error
    if art.getchannel("A").getextrema()[0] == OPAQUE:  # no transparency: paper white is not ink
        art = _without_paper(art)
    art = art.resize((size, size), Image.Resampling.LANCZOS)
    few = art.convert("RGB").quantize(_INK_COLOURS, dither=Image.Dither.NONE)
    own = (few.getpalette() or [])[: _INK_COLOURS * 3]
    shifted = Image.fromarray(np.asarray(few) + np.uint8(_FIRST_INK))
    step = [round(value / _ALPHA_STEP) * _ALPHA_STEP for value in range(256)]
    return _Ink(shifted, art.getchannel("A").point(step), [255, 255, 255, 0, 0, 0, *own])


def _without_paper(art: Image.Image) -> Image.Image:
    """Opaque artwork with its white taken away, so that laid on white it looks as before."""
    colours = np.asarray(art.convert("RGB"), dtype=np.float32)
    paper = colours.min(axis=2, keepdims=True)
    strength = 255 - paper
    pure = (colours - paper) * 255 / np.maximum(strength, 1)
    return Image.fromarray(np.concatenate([pure, strength], axis=2).round().astype(np.uint8), "RGBA")
