"""Paper that is not one flat sheet: bound volumes, staples, fans, labels; and imprints that failed."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest
import zxingcpp
from numpy.typing import NDArray

from device_sim.scene.errors import NoSheet, VolumeImpossible
from device_sim.scene.scene import FAN_MM, FAN_STAMP_MM, HeadArtwork, Scene
from device_sim.scene.settings import SHEET_PX_PER_MM
from device_sim.scene.volume import MAX_CURL_MM, Curl

MakeScene = Callable[..., Scene]
COARSE: dict[str, Any] = {"dpi": 90, "preview_dpi": 90, "noise_sigma": 0.0, "max_rotation_deg": 0.0, "perspective": 0.0}
URL = "HTTPS://SEAL.EXAMPLE/V/".ljust(230, "A")
SHORT_CODE = "7K3M-9QXD-2FVA-H"
RULED = np.full((1485, 1050), 255, np.uint8)
RULED[::150, 75:-75] = RULED[1::150, 75:-75] = RULED[2::150, 75:-75] = 0  # a line every 30 mm


def grey(scene: Scene) -> NDArray[np.uint8]:
    return np.asarray(cv2.imdecode(np.frombuffer(scene.photograph().preview_jpeg, np.uint8), cv2.IMREAD_GRAYSCALE))


def red(image: NDArray[np.uint8]) -> int:
    """Pixels of stamp ink on a sheet, RGB."""
    across = image[:, :, 0].astype(np.int16) - image[:, :, 1]
    return int((across > 60).sum())


@pytest.mark.parametrize("height_mm", [0.5, 4.0, MAX_CURL_MM])
def test_a_curl_is_flat_beyond_its_reach_and_shorter_seen_near_the_spine(height_mm: float) -> None:
    curl = Curl(height_mm=height_mm)
    s, x = curl.seen_at(width_mm=210.0, axis_x=105.0)
    assert np.allclose(x[s > curl.reach_mm], s[s > curl.reach_mm])
    assert (np.diff(x) > 0).all(), "no part of the page hides another"
    back = curl.unbend(np.stack([x, np.full_like(x, 148.0)], axis=1), width_mm=210.0, axis=(105.0, 148.0))
    assert np.allclose(back, np.stack([s, np.full_like(s, 148.0)], axis=1), atol=0.05)


def test_a_bound_page_bends_its_lines_at_the_spine_and_nowhere_else(make_scene: MakeScene) -> None:
    flat, bound = make_scene(5, **COARSE), make_scene(5, **COARSE)
    flat.lay_page(RULED)
    bound.lay_page(RULED, curl_mm=10.0)
    plain, bent = grey(flat), grey(bound)
    scale = plain.shape[1] / 246.0
    spine, right = (round((18 + x) * scale) for x in (14.0, 190.0))

    def top_line(picture: NDArray[np.uint8], column: int) -> int:
        """Row of the line 30 mm from the top."""
        found: int = picture[round(30 * scale) : round(70 * scale), column - 2 : column + 3].mean(axis=1).argmin()
        return found

    assert abs(top_line(bent, right) - top_line(plain, right)) <= 1
    assert top_line(plain, spine) - top_line(bent, spine) >= 3, "what rises to the lens is seen further out"
    paper = slice(round(80 * scale), round(82 * scale))
    assert bent[paper, round(26 * scale)].mean() < plain[paper, round(26 * scale)].mean() - 15, "the spine's shadow"


def test_a_stapled_page_shows_the_staple_in_its_corner(make_scene: MakeScene) -> None:
    scene = make_scene(5, **COARSE)
    scene.lay_page(None, staple=True)
    image = scene.sheet_image()
    corner = image[: round(20 * SHEET_PX_PER_MM), : round(20 * SHEET_PX_PER_MM), 1]
    assert 40 < int((corner < 180).sum()) < 6_000
    assert (image[1000:, :, 1] > 200).all()


@pytest.mark.parametrize("wrong", [{"curl_mm": -1.0}, {"curl_mm": MAX_CURL_MM + 1}])
def test_a_volume_too_thick_does_not_go_under_the_stamp(make_scene: MakeScene, wrong: dict[str, float]) -> None:
    with pytest.raises(VolumeImpossible):
        make_scene(5, **COARSE).lay_page(None, **wrong)


@pytest.mark.parametrize("sheets", [2, 6])
def test_a_straddle_imprint_meets_every_sheet_of_a_fan(make_scene: MakeScene, head: HeadArtwork, sheets: int) -> None:
    scene = make_scene(7, **COARSE)
    scene.lay_fan([None] * sheets)
    scene.press(head)
    image = scene.sheet_image()
    step = FAN_MM / (sheets - 1)
    edges = [0.0, *(210.0 + number * step for number in range(sheets))]
    for left, right in pairwise(edges):
        part = image[:, round(left * SHEET_PX_PER_MM) : round(right * SHEET_PX_PER_MM)]
        assert red(part) > 300, f"sheet from {left} to {right} mm"
    assert abs(scene.to_sheet_mm((168.0, 253.0))[0] - 210.0 - FAN_STAMP_MM) < 0.5


def test_a_fan_of_one_sheet_is_none(make_scene: MakeScene) -> None:
    with pytest.raises(VolumeImpossible):
        make_scene(5, **COARSE).lay_fan([None])


def test_a_label_is_stuck_beside_the_imprint_and_can_be_read(make_scene: MakeScene, head: HeadArtwork) -> None:
    scene = make_scene(5, dpi=200)
    scene.lay_page(None)
    assert not make_scene(5, **COARSE).stick_label(URL, short_code=SHORT_CODE, line="imprint 1 of 2")
    scene.press(head)
    before = red(scene.sheet_image())
    assert scene.stick_label(URL, short_code=SHORT_CODE, line="imprint 1 of 2")
    assert red(scene.sheet_image()) == before, "no imprint is covered"
    photo = cv2.imdecode(np.frombuffer(scene.photograph().full_jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert [code.text for code in zxingcpp.read_barcodes(photo)] == [URL]


def test_cancelled_is_printed_over_the_imprint_and_not_over_the_code(make_scene: MakeScene, head: HeadArtwork) -> None:
    scene = make_scene(5, dpi=200)
    assert not scene.print_cancelled()
    scene.lay_page(None)
    scene.press(head)
    assert scene.print_code(URL, short_code=SHORT_CODE)
    scene.take_away()
    scene.lay_again()  # the sheet comes back some other way round
    clean = scene.sheet_image()
    assert scene.print_cancelled()
    changed = np.argwhere((clean.astype(np.int16) - scene.sheet_image()).max(axis=2) > 60)
    middle = changed.mean(axis=0) / SHEET_PX_PER_MM
    assert np.hypot(*(middle - np.array([235.0, 150.0]))) < 3.0
    photo = cv2.imdecode(np.frombuffer(scene.photograph().full_jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert [code.text for code in zxingcpp.read_barcodes(photo)] == [URL]


def test_nothing_in_hand_cannot_be_laid_again(make_scene: MakeScene) -> None:
    with pytest.raises(NoSheet):
        make_scene(5, **COARSE).lay_again()


def test_imprints_fail_as_in_the_office(make_scene: MakeScene, head: HeadArtwork) -> None:
    """Faint on a dry pad, cut off at the paper's fold, missing: each leaves less red, and the sheet knows the press."""

    def ink_left(**how: float) -> int:
        scene = make_scene(5, **COARSE)
        scene.lay_page(None)
        scene.press(head, **how)
        return red(scene.sheet_image())

    good = ink_left()
    assert 0.35 < ink_left(touching=0.55) / good < 0.75
    assert ink_left(ink=0.25) < 0.3 * good
    assert ink_left(ink=0.0) == 0
