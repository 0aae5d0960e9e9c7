"""A spoiled sheet at a device without a coder: the label says CANCELLED, and headquarters reads it on the photo."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pypdfium2 as pdfium
import pytest
from numpy.typing import NDArray

from device_sim.scene.head import HeadArtwork
from device_sim.scene.paper import render_pdf_page
from device_sim.scene.scene import Scene
from device_sim.scene.settings import SceneSettings
from firmware_protocol import messages, trace
from gateway.labels.cups import draw_pdf
from gateway.labels.label import Label, LabelOutcome
from gateway.labels.layout import lay_out
from gateway.labels.zebra import compose
from gateway.rules import facts
from gateway.rules.session import Step
from server.inspection import tasks
from tests.gateway.label_printer import draw
from tests.gateway.stand import HELLO, TOKEN, Printer, Stand, at_desk
from tests.gateway.test_desk import done, press
from tests.gateway.test_labels import LABEL
from tests.server.world import contract_pdf

ARTWORK = Path(__file__).parents[2] / "dashboard" / "demo" / "assets" / "seal-es.png"
DIGEST = b"l" * 32
FAINT = {"state": "look_here", "grade": "faint", "reason": "", "text": ""}


def zpl(label: Label) -> NDArray[np.uint8]:
    return draw(compose(lay_out(label, print_number=1), url=label.url).decode("ascii")).picture


def pdf(label: Label) -> NDArray[np.uint8]:
    page = pdfium.PdfDocument(draw_pdf(lay_out(label, print_number=1)))[0]
    return np.asarray(page.render(scale=300 / 72, grayscale=True).to_numpy(), np.uint8).squeeze()


@pytest.mark.parametrize("drawn", [zpl, pdf])
@pytest.mark.parametrize("cancelled", [True, False])
def test_headquarters_reads_the_word_and_the_code_on_the_photo(seed: int, drawn: Any, *, cancelled: bool) -> None:
    document = contract_pdf(pages=1)
    tasks.prepare_page(document, DIGEST, 1)
    sheet = render_pdf_page(document, 0, dpi=300).copy()
    picture = drawn(replace(LABEL, cancelled=cancelled))
    turn = cv2.getRotationMatrix2D((picture.shape[1] / 2, picture.shape[0] / 2), seed % 5 - 2, 1.0)
    stuck = cv2.warpAffine(picture, turn, picture.shape[::-1], flags=cv2.INTER_LINEAR, borderValue=255)
    top, left = round(215 / 25.4 * 300), round(85 / 25.4 * 300)
    sheet[top : top + stuck.shape[0], left : left + stuck.shape[1]] = stuck[..., None]
    scene = Scene(settings=SceneSettings(), rng=np.random.default_rng(seed))
    scene.lay_page(sheet)
    scene.press(HeadArtwork.from_png(ARTWORK.read_bytes(), 38.0), ink=0.4)
    check = tasks.check_spoiled(DIGEST, 1, scene.photograph(bytes(20)).preview_jpeg)
    assert (check.marked, check.codes) == (cancelled, (LABEL.url.encode(),))


def without_coder(stand: Stand) -> None:
    stand.connection.hello = replace(HELLO, features=0)
    stand.begin()
    stand.device.answers[messages.SpoilRequest] = messages.Spoiled(
        seq=9, preview_digest=b"s" * 32, photo_digest=b"S" * 32
    )
    accepted = {"accepted": True, "reason": "cancelled", "text": "", "strokes_left": 1}
    not_marked = {"accepted": False, "reason": "not_marked", "text": "The word cannot be seen.", "strokes_left": 1}
    stand.head_office.says |= {"imprint": [FAINT], "spoiled": [not_marked, accepted], "jobs": [[]]}


async def to_redo(stand: Stand) -> None:
    press(stand)
    stand.tray(present=True)
    await stand.until(Step.REDO)


def test_the_label_is_printed_stuck_on_and_photographed(tmp_path: Path) -> None:
    printer = Printer()

    async def work(stand: Stand) -> None:
        without_coder(stand)
        await to_redo(stand)
        stand.imprints.choose(spoil=True)
        await stand.until_true(lambda: stand.desk.session.marker == "stick")
        (label,) = printer.printed
        assert (label.cancelled, label.stroke, label.url) == (
            True,
            1,
            trace.url(done().trace_code, host="seal.example"),
        )
        stand.tray(present=True)
        assert stand.device.of(messages.SpoilRequest) == [], "the sheet has not been lifted: nothing sticks on it yet"
        stand.lay()
        await stand.until_true(lambda: stand.desk.session.text == "The word cannot be seen.")
        assert stand.desk.session.step is Step.SPOIL
        stand.lay()
        await stand.until_true(lambda: stand.desk.session.imprints[0].cancelled)
        assert len(stand.device.of(messages.SpoilRequest)) == 2
        records = stand.labels.of_stroke(TOKEN, 1)
        assert {record.outcome for record in records} == {LabelOutcome.SPOILED}, "it lies on a cancelled sheet"

    at_desk(tmp_path, work, printer=printer)


def test_without_a_printer_the_keeper_hears_so_and_may_keep_the_imprint(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        without_coder(stand)
        await to_redo(stand)
        stand.imprints.choose(spoil=True)
        await stand.until_true(lambda: "printer" in stand.desk.session.text)
        stand.lay()
        assert stand.device.of(messages.SpoilRequest) == [], "an unmarked sheet is not reported as cancelled"
        stand.desk.step(facts.RedoChosen(spoil=False))
        assert stand.desk.session.redo == ()
        assert stand.desk.session.marker == ""

    at_desk(tmp_path, work)
