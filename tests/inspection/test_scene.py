"""The page check on photos of the simulated tray, with the demo's own contracts and an ordinary office page."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from fpdf import FPDF
from numpy.typing import NDArray
from PIL import Image

from device_sim.scene.paper import render_pdf_page
from device_sim.scene.scene import Scene, SceneSettings
from server.eseals.normalising import images_to_pdf, normalise
from server.eseals.pages import page_words, render_page
from server.inspection.vision.page import (
    Answer,
    ApprovedPage,
    PageFinding,
    PreparedPage,
    WordBox,
    compare_page,
    prepare,
)
from tests.inspection.paper import DPI

ASSETS = Path(__file__).parents[2] / "dashboard" / "demo" / "assets"
CONTRACTS = ("office-lease-en.pdf", "contrato-suministro-es.pdf", "purchase-contract-zh.pdf")
SEEDS = 2
SHEET_DPI = 300


def approved(pdf: bytes, page: int = 0) -> PreparedPage:
    """As the server prepares it."""
    plain = normalise(pdf)
    words = tuple(WordBox(text=w.text, x0=w.x0, y0=w.y0, x1=w.x1, y1=w.y1) for w in page_words(plain, page, DPI))
    return prepare(ApprovedPage(image=render_page(plain, page, DPI), dpi=DPI, words=words), modes=("preview",))


def preview(sheet: NDArray[np.uint8] | None, seed: int, *, move: tuple[float, float, float] | None = None) -> bytes:
    scene = Scene(settings=SceneSettings(), rng=np.random.default_rng(seed))
    scene.lay_page(sheet)
    if move:
        scene.move_page(dx_mm=move[0], dy_mm=move[1], rotation_deg=move[2])
    return scene.photograph(b"seen").preview_jpeg


def seen(finding: PageFinding) -> str:
    return f"{finding.answer}/{finding.reason} {[(d.kind, d.text, d.score) for d in finding.differences]}"


def office_page(*, amount: str = "4,810.50", header: str = "Offer 2026-118", header_grey: int = 150) -> bytes:
    """8 pt text, light grey headers, a table with thin rules, a black logo."""
    pdf = FPDF(format="A4")
    pdf.set_margin(20)
    pdf.add_page()
    logo = np.full((120, 240), 255, np.uint8)
    cv2.circle(logo, (60, 60), 46, 0, -1)
    cv2.rectangle(logo, (120, 30), (220, 90), 0, 14)
    pdf.image(Image.fromarray(logo), x=150, y=12, w=36)
    pdf.set_font("Helvetica", "", 8)
    pdf.set_text_color(header_grey)
    pdf.cell(0, 5, f"{header}   Sample Instruments, Testville", new_x="LMARGIN", new_y="NEXT")
    pdf.set_text_color(0)
    pdf.ln(16)
    for n in range(1, 8):
        text = (
            f"{n}. The seller delivers part {n * 37} within {n + 20} days of the order and answers for faults of make."
        )
        pdf.multi_cell(0, 4, text, new_x="LMARGIN", new_y="NEXT")
    pdf.ln(4)
    pdf.set_line_width(0.1)
    for n, price in enumerate(("912.00", "1,204.75", amount, "88.10"), 1):
        for width, cell in ((20, str(n)), (90, f"Gauge type {n * 3}"), (30, price)):
            pdf.cell(width, 6, cell, border=1)
        pdf.ln(6)
    return bytes(pdf.output())


@pytest.mark.parametrize("name", CONTRACTS)
@pytest.mark.parametrize("page", [0, 1])
def test_the_demo_contracts_match_on_the_tray(name: str, page: int) -> None:
    pdf = (ASSETS / name).read_bytes()
    original, sheet = approved(pdf, page), render_pdf_page(pdf, page, dpi=SHEET_DPI)
    for seed in range(SEEDS):
        shifted = (3.0, -2.0, 1.5) if seed % 2 else None
        laid = np.ascontiguousarray(sheet[::-1, ::-1]) if seed == 0 and page else sheet
        finding = compare_page(original, preview(laid, seed, move=shifted), mode="preview")
        assert finding.answer is Answer.MATCH, (seed, seen(finding))
        assert finding.unjudged == ()


def test_an_office_page_with_grey_headers_matches() -> None:
    pdf = office_page()
    for seed in range(SEEDS):
        finding = compare_page(approved(pdf), preview(render_pdf_page(pdf, 0, dpi=SHEET_DPI), seed), mode="preview")
        assert finding.answer is Answer.MATCH, (seed, seen(finding))


def test_a_scanned_page_matches() -> None:
    scan = cv2.imencode(".jpg", render_pdf_page(office_page(), 0, dpi=200))[1].tobytes()
    pdf = images_to_pdf(scan)
    finding = compare_page(approved(pdf), preview(render_pdf_page(pdf, 0, dpi=SHEET_DPI), 5), mode="preview")
    assert finding.answer is Answer.MATCH, seen(finding)


@pytest.mark.parametrize(
    "changed",
    [{"amount": "4,870.50"}, {"header": "Offer 2026-113"}],
    ids=["black digit", "grey digit"],
)
def test_a_changed_digit_is_no_match(changed: dict[str, str]) -> None:
    original = approved(office_page())
    sheet = render_pdf_page(office_page(**changed), 0, dpi=SHEET_DPI)  # type: ignore[arg-type]
    for seed in range(SEEDS):
        finding = compare_page(original, preview(sheet, seed), mode="preview")
        assert finding.answer is not Answer.MATCH, (seed, seen(finding))


def test_what_is_too_faint_to_compare_is_said() -> None:
    pdf = office_page(header_grey=238)
    original = approved(pdf)
    finding = compare_page(original, preview(render_pdf_page(pdf, 0, dpi=SHEET_DPI), 3), mode="preview")
    assert finding.answer is Answer.MATCH, seen(finding)
    assert finding.unjudged
    darker = render_pdf_page(office_page(header="Offer 2026-999", header_grey=90), 0, dpi=SHEET_DPI)
    assert compare_page(original, preview(darker, 3), mode="preview").answer is not Answer.MATCH


def test_the_other_page_and_a_blank_sheet_are_wrong() -> None:
    pdf = (ASSETS / CONTRACTS[0]).read_bytes()
    original = approved(pdf)
    other = preview(render_pdf_page(pdf, 1, dpi=SHEET_DPI), 7)
    assert compare_page(original, other, mode="preview").reason == "not_this_page"
    assert compare_page(original, preview(None, 8), mode="preview").reason == "blank_page"
