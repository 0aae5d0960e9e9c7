"""From a PDF to the picture of a printed page."""

import numpy as np
import pypdfium2 as pdfium
from numpy.typing import NDArray

from device_sim.scene.errors import PageUnreadable
from device_sim.scene.settings import MM_PER_INCH

POINTS_PER_INCH = 72


def render_pdf_page(pdf: bytes, page_index: int, *, dpi: int = 200) -> NDArray[np.uint8]:
    """One page as RGB, shape (height, width, 3). pdfium is not thread-safe: one call at a time.

    Raises: PageUnreadable.
    """
    try:
        with pdfium.PdfDocument(pdf) as document:
            bitmap = document[page_index].render(scale=dpi / POINTS_PER_INCH, rev_byteorder=True)
            return np.ascontiguousarray(bitmap.to_numpy()[:, :, :3])
    except (pdfium.PdfiumError, IndexError) as error:
        raise PageUnreadable(page_index=page_index, reason=str(error)) from error


def pdf_page_size_mm(pdf: bytes, page_index: int) -> tuple[float, float]:
    """Width and height of a page in mm.

    Raises: PageUnreadable.
    """
    try:
        with pdfium.PdfDocument(pdf) as document:
            width, height = document[page_index].get_size()
    except (pdfium.PdfiumError, IndexError) as error:
        raise PageUnreadable(page_index=page_index, reason=str(error)) from error
    return width * MM_PER_INCH / POINTS_PER_INCH, height * MM_PER_INCH / POINTS_PER_INCH
