"""Pages of a document as pictures and as words with places, both in the same pixels.

PDFium is not thread-safe: one call at a time in a process.
"""

import ctypes
import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

import numpy as np
import pypdfium2
import pypdfium2.raw as pdfium
from numpy.typing import NDArray

from server.eseals import unreadable

MAX_RENDERED_PIXELS: Final = 40_000_000
"""A0 at 140 dpi, A4 at 640 dpi; PDFium needs four bytes for each."""

POINTS_PER_INCH: Final = 72


class Word(NamedTuple):
    """A run of letters without a space, and the box of its ink: pixels from the top-left corner, x1 and y1 outside.

    Chinese, Japanese and Korean characters, which stand without spaces, are one word each.
    """

    text: str
    x0: float
    y0: float
    x1: float
    y1: float


def render_page(data: bytes, index: int, dpi: int) -> NDArray[np.uint8]:
    """The page in grey, shape (height, width), 0 is black. `index` counts from 0.

    Raises: BrokenDocument, NoSuchPage, PageTooLarge.
    """
    with _page(data, index) as page:
        _refuse_huge(page, index=index, dpi=dpi)
        bitmap = page.render(scale=dpi / POINTS_PER_INCH, grayscale=True)
        grey: NDArray[np.uint8] = np.array(bitmap.to_numpy()).reshape(bitmap.height, bitmap.width)
        return grey


def render_page_png(data: bytes, index: int, dpi: int) -> bytes:
    """The page in colour, as a PNG for screens. Raises: BrokenDocument, NoSuchPage, PageTooLarge."""
    with _page(data, index) as page:
        _refuse_huge(page, index=index, dpi=dpi)
        out = io.BytesIO()
        page.render(scale=dpi / POINTS_PER_INCH, rev_byteorder=True).to_pil().save(out, "PNG", dpi=(dpi, dpi))
        return out.getvalue()


def page_words(data: bytes, index: int, dpi: int) -> list[Word]:
    """The words of the page's text layer, in the pixels of `render_page` with the same `dpi`; [] for a scan.

    Raises: BrokenDocument, NoSuchPage, PageTooLarge.
    """
    with _page(data, index) as page:
        _refuse_huge(page, index=index, dpi=dpi)
        width, height = _pixels(page, dpi=dpi)
        text = page.get_textpage()
        words = [
            Word("".join(letters), *_on_screen(page, box, width=width, height=height)) for letters, box in _runs(text)
        ]
        text.close()
        return words


def page_word_rows(data: bytes, index: int, dpi: int) -> list[list[str | float]]:
    """`page_words` as plain rows [text, x0, y0, x1, y1], which can cross from a sandboxed worker."""
    return [list(word) for word in page_words(data, index, dpi)]


def page_lines(data: bytes, index: int) -> list[str]:
    """The lines of the page's text layer, in reading order of the file; [] for a scan.

    Raises: BrokenDocument, NoSuchPage.
    """
    with _page(data, index) as page:
        text = page.get_textpage()
        lines = [line.strip() for line in text.get_text_bounded().splitlines()]
        text.close()
        return [line for line in lines if line]


@contextmanager
def _page(data: bytes, index: int) -> Iterator[pypdfium2.PdfPage]:
    """Raises: BrokenDocument, NoSuchPage."""
    try:
        with pypdfium2.PdfDocument(data) as pdf:
            pdf.init_forms()  # else a visible seal, which is a form field, is not drawn
            if not 0 <= index < len(pdf):
                raise unreadable.NoSuchPage(page=index + 1, pages=len(pdf))
            page = pdf[index]
            yield page
            page.close()
    except pypdfium2.PdfiumError as error:
        raise unreadable.BrokenDocument from error


def _pixels(page: pypdfium2.PdfPage, *, dpi: int) -> tuple[int, int]:
    width, height = page.get_size()
    scale = dpi / POINTS_PER_INCH
    return int(np.ceil(width * scale)), int(np.ceil(height * scale))


def _refuse_huge(page: pypdfium2.PdfPage, *, index: int, dpi: int) -> None:
    width, height = _pixels(page, dpi=dpi)
    if width * height > MAX_RENDERED_PIXELS:
        in_mm = [round(pixels / dpi * 25.4) for pixels in (width, height)]
        limit = int((MAX_RENDERED_PIXELS**0.5) / dpi * 25.4)
        raise unreadable.PageTooLarge(page=index + 1, width_mm=in_mm[0], height_mm=in_mm[1], limit_mm=limit)


def _runs(text: pypdfium2.PdfTextPage) -> Iterator[tuple[list[str], list[float]]]:
    """Runs of letters with their box (left, bottom, right, top) in points; a space or a new line ends a run."""
    letters: list[str] = []
    box: list[float] = []
    edges = [ctypes.c_double() for _ in range(4)]
    left, right, bottom, top = edges
    for at in range(text.count_chars()):
        code = pdfium.FPDFText_GetUnicode(text, at)
        letter = chr(code) if not 0xD800 <= code <= 0xDFFF else "\ufffd"  # half a surrogate pair
        if letter.isspace() or letter in {"\x00", "\ufffe"}:
            if letters:
                yield letters, box
            letters, box = [], []
            continue
        if not pdfium.FPDFText_GetCharBox(text, at, *(ctypes.byref(edge) for edge in edges)):
            continue
        here = [left.value, bottom.value, right.value, top.value]
        other_line = bool(letters) and (here[3] < box[1] or here[1] > box[3])  # without a break in the text layer
        if letters and (other_line or _stands_alone(letter) or _stands_alone(letters[-1])):
            yield letters, box
            letters, box = [], []
        letters.append(letter)
        box = _union(box, here) if box else here
    if letters:
        yield letters, box


def _stands_alone(letter: str) -> bool:
    """Whether the character belongs to a script written without spaces (CJK, kana, hangul, full-width forms)."""
    code = ord(letter)
    return 0x2E80 <= code <= 0x9FFF or 0xAC00 <= code <= 0xD7AF or 0xF900 <= code <= 0xFAFF or 0xFF00 <= code <= 0x3FFFF


def _union(one: list[float], other: list[float]) -> list[float]:
    return [min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])]


def _on_screen(page: pypdfium2.PdfPage, box: list[float], *, width: int, height: int) -> list[float]:
    """A box in page points as pixels (x0, y0, x1, y1) of the rendered page, rotation and crop box respected."""
    corners = []
    for x, y in ((box[0], box[1]), (box[2], box[3])):
        # PDFium rounds to whole device units: ask on a grid 16 times finer.
        across, down = ctypes.c_int(), ctypes.c_int()
        pdfium.FPDF_PageToDevice(page, 0, 0, width * 16, height * 16, 0, x, y, ctypes.byref(across), ctypes.byref(down))
        corners.append((across.value / 16, down.value / 16))
    (ax, ay), (bx, by) = corners
    return [min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)]
