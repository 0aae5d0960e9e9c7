"""What runs in a sandboxed worker: hostile photos meet the pure functions of `vision` here, and nowhere else.

A worker keeps the last approved pages prepared, so that a stroke's check costs the photo alone.
"""

from collections import OrderedDict
from dataclasses import asdict
from enum import Enum
from typing import Any, Final

import cv2
import numpy as np

from server.eseals.pages import page_words, render_page
from server.inspection.results import ImprintCheck, PageCheck, PageNotPrepared, SpoiledCheck
from server.inspection.vision.approved import ApprovedPage, PreparedPage, WordBox, prepare
from server.inspection.vision.cancelled import is_marked
from server.inspection.vision.codes import read_codes
from server.inspection.vision.crops import paired_crops
from server.inspection.vision.decode import decode, red_channel
from server.inspection.vision.finding import Box
from server.inspection.vision.imprint import ImprintFinding
from server.inspection.vision.imprint import check_imprint as check_imprint_on
from server.inspection.vision.leaf import Thumb, ranked, thumb
from server.inspection.vision.moved import PlacementFinding, same_placement
from server.inspection.vision.page import compare_page
from server.inspection.vision.strip import read_strip

PAGE_DPI: Final = 200
KEPT_PAGES: Final = 8
"""About 20 MB each with glyphs and grids."""
INDEX_DPI: Final = 80
KEPT_INDEXES: Final = 4
"""Documents whose pages are known small: 0.6 MB a page."""

cv2.setNumThreads(1)  # a worker has one core; more threads only wait for each other

_prepared: OrderedDict[tuple[bytes, int], PreparedPage] = OrderedDict()
_thumbs: OrderedDict[bytes, dict[int, Thumb]] = OrderedDict()


def prepare_page(pdf: bytes, document_digest: bytes, page: int) -> bool:
    """Render the approved page (from 1) and keep it. Raises: UnreadableDocument."""
    image = render_page(pdf, page - 1, PAGE_DPI)
    words = tuple(
        WordBox(text=word.text, x0=word.x0, y0=word.y0, x1=word.x1, y1=word.y1)
        for word in page_words(pdf, page - 1, PAGE_DPI)
    )
    _prepared[document_digest, page] = prepare(ApprovedPage(image=image, dpi=PAGE_DPI, words=words))
    while len(_prepared) > KEPT_PAGES:
        _prepared.popitem(last=False)
    return True


def check_page(
    document_digest: bytes,
    page: int,
    preview: bytes,
    known_marks: tuple[Box, ...],
    bound: bool = False,  # noqa: FBT001, FBT002 - plain arguments cross the pipe
) -> PageCheck:
    """Compare a preview with a prepared page. Raises: PageNotPrepared."""
    approved = _page(document_digest, page)
    finding = compare_page(approved, preview, mode="preview", known_marks=known_marks, bound=bound)
    return PageCheck(finding=finding, crops=paired_crops(approved, preview, finding), strip=read_strip(preview))


def index_pages(pdf: bytes, document_digest: bytes, pages: int) -> bool:
    """Keep a small picture of every page, for leafing through. Raises: UnreadableDocument."""
    _thumbs[document_digest] = {
        page: thumb(render_page(pdf, page - 1, INDEX_DPI), INDEX_DPI) for page in range(1, pages + 1)
    }
    while len(_thumbs) > KEPT_INDEXES:
        _thumbs.popitem(last=False)
    return True


def which_pages(document_digest: bytes, preview: bytes) -> list[int]:
    """Pages that a preview may show, likeliest first; empty when none resembles it. Raises: PageNotPrepared."""
    if document_digest not in _thumbs:
        raise PageNotPrepared
    photo = decode(preview)
    return [] if photo is None else ranked(red_channel(photo), _thumbs[document_digest])


def check_spoiled(document_digest: bytes, page: int, preview: bytes) -> SpoiledCheck:
    """A sheet that should carry CANCELLED and a stroke's code. Raises: PageNotPrepared."""
    approved = _page(document_digest, page)
    codes = read_codes(preview)
    photo = decode(preview)
    finding = compare_page(approved, preview, mode="preview")
    return SpoiledCheck(
        marked=photo is not None and is_marked(approved, red_channel(photo), finding, codes),
        codes=tuple(code.payload for code in codes),
        strip=read_strip(preview),
    )


def codes_on(photo: bytes) -> tuple[bytes, ...]:
    """Whatever codes a photo shows."""
    return tuple(code.payload for code in read_codes(photo))


def check_imprint(
    specimen_png: bytes, diameter_mm: float, before: bytes, after: bytes, homography: list[list[float]] | None
) -> ImprintCheck:
    """The full photos before and after a stroke against the specimen. `homography` is that of the page check."""
    specimen = cv2.imdecode(np.frombuffer(specimen_png, np.uint8), cv2.IMREAD_UNCHANGED)  # transparent is white
    if specimen is None:
        raise ValueError("the stored specimen is no picture")
    finding = check_imprint_on(
        specimen=np.asarray(specimen, np.uint8),
        specimen_diameter_mm=diameter_mm,
        before_jpeg=before,
        after_jpeg=after,
        px_per_mm=PAGE_DPI / 25.4,
        page_homography=homography,
        page_dpi=PAGE_DPI,
    )
    return ImprintCheck(
        imprint=_plain(finding),
        placement=_plain(same_placement(before, after)),
        codes=tuple(code.payload for code in read_codes(after)),
        strips=(read_strip(before), read_strip(after)),
    )


def locate_page(document_digest: bytes, page: int, photo: bytes) -> PageCheck:
    """A full photo against a prepared page: where it lies, and what differs. Raises: PageNotPrepared."""
    approved = _page(document_digest, page)
    finding = compare_page(approved, photo, mode="full")
    return PageCheck(finding=finding, crops=paired_crops(approved, photo, finding), strip=read_strip(photo))


def _plain(finding: ImprintFinding | PlacementFinding) -> dict[str, Any]:
    """Its fields, enums as text: whoever reads them needs not load the vision libraries."""
    return {name: str(value) if isinstance(value, Enum) else value for name, value in asdict(finding).items()}


def _page(document_digest: bytes, page: int) -> PreparedPage:
    try:
        _prepared.move_to_end((document_digest, page))
        return _prepared[document_digest, page]
    except KeyError:
        raise PageNotPrepared from None
