"""Bound volumes, fans, spoiled sheets, imprint grades, leafing and the light strip, with the simulator's own camera."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from device_sim.scene.head import HeadArtwork
from device_sim.scene.paper import render_pdf_page
from device_sim.scene.scene import Scene
from device_sim.scene.settings import SceneSettings
from server.eseals.pages import render_page
from server.inspection import tasks
from server.inspection.vision.decode import decode, red_channel
from server.inspection.vision.leaf import ranked, thumb
from server.inspection.vision.strip import read_strip
from tests.server.world import contract_pdf

ARTWORK_FOLDER = Path(__file__).parents[2] / "dashboard" / "demo" / "assets"
ARTWORK = (ARTWORK_FOLDER / "seal-es.png").read_bytes()
PDF = contract_pdf(pages=4)
DIGEST = b"w" * 32
DEMO = b"d" * 32
STRIP = bytes(range(20))


@pytest.fixture(scope="module")
def pages() -> list[Any]:
    tasks.prepare_page(PDF, DIGEST, 1)
    return [render_pdf_page(PDF, number, dpi=300) for number in range(4)]


@pytest.fixture
def scene(seed: int) -> Scene:
    return Scene(settings=SceneSettings(), rng=np.random.default_rng(seed))


def test_the_server_reads_the_strip_on_photo_and_preview(scene: Scene, pages: list[Any]) -> None:
    scene.lay_page(pages[0])
    photo = scene.photograph(STRIP)
    assert read_strip(photo.full_jpeg) == read_strip(photo.preview_jpeg) == STRIP
    assert read_strip(b"no photo") is None
    assert read_strip(np.zeros((400, 300), np.uint8)) is None


@pytest.mark.parametrize("curl_mm", [6, 15])
def test_a_bound_page_agrees_when_it_is_said_to_be_bound(scene: Scene, pages: list[Any], curl_mm: int) -> None:
    scene.lay_page(pages[0], curl_mm=curl_mm, staple=True)
    preview = scene.photograph(STRIP).preview_jpeg
    bound = tasks.check_page(DIGEST, 1, preview, (), True).finding
    assert (bound.answer, bool(bound.unjudged)) == ("match", True), bound.differences
    assert tasks.check_page(DIGEST, 1, preview, ()).finding.answer == "wrong"


@pytest.mark.parametrize("name", ["office-lease-en.pdf", "contrato-suministro-es.pdf"])
def test_a_contract_of_the_demo_agrees_as_a_bound_volume(scene: Scene, name: str) -> None:
    pdf = (ARTWORK_FOLDER / name).read_bytes()
    tasks.prepare_page(pdf, DEMO, 1)
    scene.lay_page(render_pdf_page(pdf, 0, dpi=300), curl_mm=10, staple=True)
    finding = tasks.check_page(DEMO, 1, scene.photograph(STRIP).preview_jpeg, (), True).finding
    assert finding.answer == "match", finding.differences


def test_a_changed_amount_is_found_on_a_bound_page(scene: Scene, pages: list[Any]) -> None:
    other = contract_pdf(pages=4, amount="7.200,00 EUR")
    scene.lay_page(render_pdf_page(other, 0, dpi=300), curl_mm=10)
    assert tasks.check_page(DIGEST, 1, scene.photograph(STRIP).preview_jpeg, (), True).finding.answer == "wrong"


@pytest.mark.parametrize(
    ("to_mm", "reason"), [(37, "text_differs"), (254, "extra_ink")], ids=["other words", "added line"]
)
def test_what_was_put_in_beside_the_spine_is_found(scene: Scene, pages: list[Any], to_mm: int, reason: str) -> None:
    mm = 300 / 25.4
    across = slice(round(18 * mm), round(60 * mm))
    sheet = pages[0].copy()
    sheet[round(to_mm * mm) : round(to_mm * mm) + 100, across] = pages[0][round(64 * mm) : round(64 * mm) + 100, across]
    scene.lay_page(sheet, curl_mm=10, staple=True)
    finding = tasks.check_page(DIGEST, 1, scene.photograph(STRIP).preview_jpeg, (), True).finding
    assert (finding.answer, finding.reason) == ("wrong", reason)


@pytest.mark.parametrize("cancelled", [True, False])
def test_a_cancelled_sheet_shows_the_word_and_its_code(scene: Scene, pages: list[Any], *, cancelled: bool) -> None:
    scene.lay_page(pages[0])
    scene.press(HeadArtwork.from_png(ARTWORK, 38.0))
    assert scene.print_code("HTTPS://LOCALHOST/V/ABC", short_code="ABC")
    if cancelled:
        scene.print_cancelled()
    check = tasks.check_spoiled(DIGEST, 1, scene.photograph(STRIP).preview_jpeg)
    assert (check.marked, check.codes, check.strip) == (cancelled, (b"HTTPS://LOCALHOST/V/ABC",), STRIP)


@pytest.mark.parametrize(
    ("way", "grade"),
    [
        ({}, "clear"),
        ({"ink": 0.45}, "faint"),
        ({"touching": 0.7}, "cut_off"),
        ({"at_mm": (222, 253)}, "cut_off"),
        (None, "missing"),
    ],
    ids=["whole", "dry pad", "tilted", "over the edge", "nothing"],
)
def test_an_imprint_is_graded(scene: Scene, pages: list[Any], way: dict[str, Any] | None, grade: str) -> None:
    scene.lay_page(pages[0])
    before = scene.photograph(STRIP).full_jpeg
    if way is not None:
        scene.press(HeadArtwork.from_png(ARTWORK, 38.0), **way)
    after = scene.photograph(STRIP).full_jpeg
    place = tasks.locate_page(DIGEST, 1, before).finding.homography
    check = tasks.check_imprint(ARTWORK, 38.0, before, after, place)
    assert check.imprint["grade"] == grade, check.imprint


def test_a_leafed_page_is_told_from_the_others(scene: Scene, pages: list[Any]) -> None:
    thumbs = {number: thumb(render_page(PDF, number - 1, 80), 80) for number in range(1, 5)}
    for number in (1, 3, 4):
        scene.lay_page(pages[number - 1])
        photo = decode(scene.photograph(STRIP).preview_jpeg)
        assert photo is not None
        assert ranked(red_channel(photo), thumbs)[0] == number
    scene.lay_page(None)
    blank = decode(scene.photograph(STRIP).preview_jpeg)
    assert blank is not None
    assert ranked(red_channel(blank), thumbs) == []
