"""What comes in: PDF pages and head artwork."""

from io import BytesIO

import numpy as np
import pikepdf
import pytest
from PIL import Image, ImageDraw

from device_sim.scene.errors import ArtworkInvalid, PageUnreadable
from device_sim.scene.head import HeadArtwork
from device_sim.scene.paper import pdf_page_size_mm, render_pdf_page


def png_of(image: Image.Image) -> bytes:
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def disc(mode: str, *, paper: object, ink: object) -> bytes:
    image = Image.new(mode, (300, 300), paper)  # type: ignore[arg-type]
    ImageDraw.Draw(image).ellipse((50, 50, 249, 249), fill=ink)  # type: ignore[arg-type]
    return png_of(image)


@pytest.mark.parametrize(
    ("mode", "paper", "ink"), [("RGBA", (0, 0, 0, 0), (200, 0, 0, 255)), ("RGB", "white", "red"), ("L", 255, 0)]
)
def test_ink_is_found_in_any_kind_of_artwork(mode: str, paper: object, ink: object) -> None:
    head = HeadArtwork.from_png(disc(mode, paper=paper, ink=ink), 30.0)
    assert head.mask.shape == (200, 200), "the margin is cut off"
    assert head.mask[100, 100] == 255
    assert head.mask[2, 2] == 0
    assert head.at_scale(10.0).shape == (300, 300)


@pytest.mark.parametrize("png", [b"", b"no picture", png_of(Image.new("RGB", (50, 50), "white"))])
def test_artwork_without_ink_is_refused(png: bytes) -> None:
    with pytest.raises(ArtworkInvalid):
        HeadArtwork.from_png(png, 40.0)


def test_head_without_size_is_refused() -> None:
    with pytest.raises(ArtworkInvalid):
        HeadArtwork.from_png(disc("L", paper=255, ink=0), 0.0)


def pdf_of(*, size: tuple[int, int], encrypted: bool = False) -> bytes:
    out = BytesIO()
    with pikepdf.new() as pdf:
        pdf.add_blank_page(page_size=size)
        pdf.save(out, encryption=pikepdf.Encryption(owner="o", user="u") if encrypted else False)
    return out.getvalue()


def test_page_is_rendered_at_the_asked_scale() -> None:
    pdf = pdf_of(size=(144, 72))
    page = render_pdf_page(pdf, 0, dpi=200)
    assert page.shape == (200, 400, 3)
    assert page.dtype == np.uint8
    assert page.min() == 255
    assert pdf_page_size_mm(pdf, 0) == pytest.approx((50.8, 25.4), abs=0.01)


@pytest.mark.parametrize(
    ("pdf", "index"),
    [(b"", 0), (b"hello", 0), (pdf_of(size=(144, 72)), 1), (pdf_of(size=(144, 72), encrypted=True), 0)],
    ids=["empty", "no pdf", "no such page", "encrypted"],
)
def test_pages_that_cannot_be_drawn_are_refused(pdf: bytes, index: int) -> None:
    with pytest.raises(PageUnreadable):
        render_pdf_page(pdf, index)
    with pytest.raises(PageUnreadable):
        pdf_page_size_mm(pdf, index)
