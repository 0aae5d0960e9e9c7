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
from server.inspection.results import ImprintCheck, PageCheck, PageNotPrepared
from server.inspection.vision.approved import ApprovedPage, PreparedPage, WordBox, prepare
from server.inspection.vision.codes import read_codes
from server.inspection.vision.crops import paired_crops
from server.inspection.vision.finding import Box, PageFinding
from server.inspection.vision.imprint import ImprintFinding
from server.inspection.vision.imprint import check_imprint as check_imprint_on
from server.inspection.vision.moved import PlacementFinding, same_placement
from server.inspection.vision.page import compare_page

PAGE_DPI: Final = 200
KEPT_PAGES: Final = 8
"""About 20 MB each with glyphs and grids."""

cv2.setNumThreads(1)  # a worker has one core; more threads only wait for each other

_prepared: OrderedDict[tuple[bytes, int], PreparedPage] = OrderedDict()


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


def check_page(document_digest: bytes, page: int, preview: bytes, known_marks: tuple[Box, ...]) -> PageCheck:
    """Compare a preview with a prepared page. Raises: PageNotPrepared."""
    approved = _page(document_digest, page)
    finding = compare_page(approved, preview, mode="preview", known_marks=known_marks)
    return PageCheck(finding=finding, crops=paired_crops(approved, preview, finding))


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
    )


def locate_page(document_digest: bytes, page: int, photo: bytes) -> PageFinding:
    """Where the approved page lies in a full photo. Raises: PageNotPrepared."""
    return compare_page(_page(document_digest, page), photo, mode="full")


def _plain(finding: ImprintFinding | PlacementFinding) -> dict[str, Any]:
    """Its fields, enums as text: whoever reads them needs not load the vision libraries."""
    return {name: str(value) if isinstance(value, Enum) else value for name, value in asdict(finding).items()}


def _page(document_digest: bytes, page: int) -> PreparedPage:
    try:
        _prepared.move_to_end((document_digest, page))
        return _prepared[document_digest, page]
    except KeyError:
        raise PageNotPrepared from None
