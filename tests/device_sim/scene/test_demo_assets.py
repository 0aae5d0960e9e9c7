"""The bundled contracts and seals agree with the device that stamps them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pikepdf
import pypdfium2 as pdfium
import pytest

from device_sim.scene.head import HeadArtwork
from device_sim.scene.paper import pdf_page_size_mm, render_pdf_page
from device_sim.scene.settings import SceneSettings

LANGUAGES = ["en", "es", "zh"]


@pytest.fixture(params=LANGUAGES)
def contract(request: pytest.FixtureRequest, assets: Path) -> dict[str, Any]:
    documents = json.loads((assets / "documents.json").read_text("utf-8"))["documents"]
    assert [document["language"] for document in documents] == LANGUAGES
    return dict(documents[LANGUAGES.index(request.param)])


def test_text_layer_holds_the_facts(contract: dict[str, Any], assets: Path) -> None:
    pdf = (assets / contract["file"]).read_bytes()
    with pdfium.PdfDocument(pdf) as document:
        pages = [page.get_textpage().get_text_range() for page in document]
    text = "".join("".join(pages).split())
    for fact in ("title", "amount", "date", "company", "counterparty"):
        assert "".join(contract[fact].split()) in text, fact
    assert len(pages) == contract["pages"] == contract["seal_page"] == 2
    assert len(pdf) < 400_000
    assert pdf_page_size_mm(pdf, 1) == pytest.approx((210, 297), abs=0.1)


def test_every_font_is_an_embedded_subset_with_unicode(contract: dict[str, Any], assets: Path) -> None:
    with pikepdf.open(assets / contract["file"]) as pdf:
        fonts = [font for page in pdf.pages for font in page.Resources.Font.values()]
        assert fonts
        for font in fonts:
            descriptor = font.DescendantFonts[0].FontDescriptor
            assert "+" in str(font.BaseFont)
            assert "/FontFile2" in descriptor or "/FontFile3" in descriptor
            assert "/ToUnicode" in font


def test_place_for_the_seal_is_where_the_device_stamps(contract: dict[str, Any]) -> None:
    settings = SceneSettings()
    place = contract["seal_place_mm"]
    stamped = [at - origin for at, origin in zip(settings.stamp_at_mm, settings.page_origin_mm, strict=True)]
    assert [place["x"], place["y"]] == stamped


def test_seal_and_code_have_white_paper(contract: dict[str, Any], assets: Path) -> None:
    page = render_pdf_page((assets / contract["file"]).read_bytes(), 1, dpi=254)
    for name, inset in (("code_place_mm", 0.0), ("seal_box_mm", 0.5)):
        box = contract[name]
        top, left = (round((box[side] + inset) * 10) for side in ("top", "left"))
        bottom, right = top + round((box["height"] - 2 * inset) * 10), left + round((box["width"] - 2 * inset) * 10)
        assert page[top:bottom, left:right].min() == 255, name


def test_seal_artwork_is_round_and_four_centimetres(contract: dict[str, Any], assets: Path) -> None:
    head = HeadArtwork.from_png((assets / contract["seal_file"]).read_bytes(), contract["seal_diameter_mm"])
    assert contract["seal_diameter_mm"] == 40.0
    height, width = head.mask.shape
    assert min(height, width) >= 996
    y, x = np.mgrid[:height, :width]
    inked = head.mask > 128
    reach = np.hypot(x - (width - 1) / 2, y - (height - 1) / 2)[inked].max()
    assert reach <= width / 2 + 1.5, "nothing lies outside the circle"
    assert 0.1 < inked.mean() < 0.5
