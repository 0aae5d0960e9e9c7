"""The document of a story: one of the bundled contracts, or any PDF."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pypdfium2

from dashboard.demo.waiting import StoryFailed

ASSETS: Final = Path(__file__).parent / "assets"
A4_MM: Final = (210.0, 297.0)
PLACE_ON_A4_MM: Final = (150.0, 235.0)
"""Where the simulated device stamps a page laid normally."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contract:
    """A document, the place for its seal, and whose seal it is. `page` counts from 1; places in mm from top left."""

    pdf: bytes
    title: str
    language: str
    company: str
    counterparty: str
    amount: str
    page: int
    x_mm: float
    y_mm: float
    seal_png: bytes
    seal_mm: float


def bundled(language: str) -> Contract:
    """The contract written for this project in English, Spanish or Chinese."""
    documents: list[dict[str, Any]] = json.loads((ASSETS / "documents.json").read_text())["documents"]
    facts = next((entry for entry in documents if entry["language"] == language), documents[0])
    return Contract(
        pdf=(ASSETS / facts["file"]).read_bytes(),
        title=facts["title"],
        language=facts["language"],
        company=facts["company"],
        counterparty=facts["counterparty"],
        amount=facts["amount"],
        page=facts["seal_page"],
        x_mm=facts["seal_place_mm"]["x"],
        y_mm=facts["seal_place_mm"]["y"],
        seal_png=(ASSETS / facts["seal_file"]).read_bytes(),
        seal_mm=facts["seal_diameter_mm"],
    )


def own(path: Path, *, language: str) -> Contract:
    """Any PDF, stamped on its last page. Raises: StoryFailed, when the file cannot be read."""
    like = bundled(language)
    try:
        pdf = path.read_bytes()
    except OSError as error:
        raise StoryFailed("document", f"{path} cannot be read: {error.strerror}") from error
    page, width_mm, height_mm = _last_page(pdf)
    return Contract(
        pdf=pdf,
        title=path.stem[:200] or "Document",
        language=language,
        company=like.company,
        counterparty="",
        amount="",
        page=page,
        x_mm=round(PLACE_ON_A4_MM[0] * width_mm / A4_MM[0], 1),
        y_mm=round(PLACE_ON_A4_MM[1] * height_mm / A4_MM[1], 1),
        seal_png=like.seal_png,
        seal_mm=like.seal_mm,
    )


def _last_page(pdf: bytes) -> tuple[int, float, float]:
    """(number, width in mm, height in mm); A4 for what the server will refuse anyway, with its own clear words."""
    try:
        document = pypdfium2.PdfDocument(pdf)
    except pypdfium2.PdfiumError:
        return 1, *A4_MM
    try:
        pages = len(document)
        width, height = document.get_page_size(pages - 1)
    finally:
        document.close()
    return pages, width * 25.4 / 72, height * 25.4 / 72
