"""The visible seal: the registered artwork, and beside it the trace code on an opaque white box.

All of it is one palette picture with transparency, so no font and no script can go wrong in a reader. The artwork lets
the text under it show through; the code never does.
"""

import io
from dataclasses import dataclass
from typing import Final

import segno
from PIL import Image, ImageChops, ImageDraw, ImageFont

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
    whole = Image.new("RGBA", (round((right - left) * _MM), round((bottom - top) * _MM)), (255, 255, 255, 0))
    whole.paste(ink, (round((seal[0] - left) * _MM), round((seal[1] - top) * _MM)))
    whole.paste(code, (round((box[0] - left) * _MM), round((box[1] - top) * _MM)))
    return SealPicture(
        image=_palette(whole),
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
    """The QR code (level M) with its quiet zone and the short code under it, black on opaque white."""
    code = segno.make_qr(trace_url, error="m", boost_error=False)
    out = io.BytesIO()
    code.save(out, kind="png", scale=MODULE_PX, border=QUIET_MODULES)
    drawn = Image.open(out).convert("RGBA")
    font = ImageFont.load_default(TEXT_PX)
    wide = round(font.getlength(short_code)) + 2 * MODULE_PX
    box = Image.new("RGBA", (max(drawn.width, wide), drawn.height + TEXT_PX + MODULE_PX), "white")
    box.paste(drawn, ((box.width - drawn.width) // 2, 0))
    below = drawn.height - (QUIET_MODULES - 1) * MODULE_PX // 2
    ImageDraw.Draw(box).text((box.width / 2, below), short_code, font=font, fill="black", anchor="mt")
    return box


def _ink(artwork_png: bytes, size: int) -> Image.Image:
    """The artwork as ink on nothing: a white ground becomes transparent. Raises: BadArtwork."""
    try:
        with Image.open(io.BytesIO(artwork_png), formats=("PNG",)) as file:
            if file.width * file.height > MAX_ARTWORK_PIXELS:
                raise BadArtwork
            art = file.convert("RGBA")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BadArtwork from error
    if art.getchannel("A").getextrema()[0] == 255:  # no transparency: paper white is not ink
        red, green, blue, _ = art.split()
        darkest = ImageChops.darker(ImageChops.darker(red, green), blue)
        art.putalpha(ImageChops.invert(darkest))
        ink = Image.merge("RGB", [_without_white(channel, darkest) for channel in (red, green, blue)])
        art = Image.merge("RGBA", [*ink.split(), art.getchannel("A")])
    return art.resize((size, size), Image.Resampling.LANCZOS)


def _without_white(channel: Image.Image, darkest: Image.Image) -> Image.Image:
    """The channel once the white shining through is taken away: what is left is the brightness of the pure ink."""
    return ImageChops.subtract(channel, darkest)


def _palette(whole: Image.Image) -> Image.Image:
    """A PA picture of few colours: a quarter of the bytes of RGBA in the sealed file."""
    alpha = whole.getchannel("A").point(lambda value: round(value / _ALPHA_STEP) * _ALPHA_STEP)
    colours = whole.convert("RGB").quantize(_INK_COLOURS, dither=Image.Dither.NONE)
    picture = colours.convert("PA")
    picture.putalpha(alpha)
    return picture
