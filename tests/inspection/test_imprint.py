"""The imprint check and the placement check, on strokes of a drawn seal."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from server.inspection.vision.imprint import ImprintAnswer, ImprintFinding, check_imprint
from server.inspection.vision.moved import Placement, same_placement
from server.inspection.vision.page import ApprovedPage, PreparedPage, compare_page
from tests.inspection.paper import DPI, Camera, Contract, render
from tests.inspection.stamp import DIAMETER_MM, artwork, press, print_code

Image = NDArray[np.uint8]
CAMERA = Camera(dpi=DPI, colour=True)
SPECIMEN = artwork()
CODE = "HTTPS://SEALS.EXAMPLE/V/" + "A7" * 90
REENGRAVED = {
    "another company": artwork("NORTE LOGISTICA SL 22"),
    "letters spread over less of the rim": artwork(spread_deg=288),
    "letters nearer to the middle": artwork(radius=0.72),
    "a larger star": artwork(star=1.25),
}


@pytest.fixture(scope="module")
def sheet(page: ApprovedPage) -> Image:
    return np.asarray(cv2.cvtColor(page.image, cv2.COLOR_GRAY2BGR), np.uint8)


@pytest.fixture(scope="module")
def before(sheet: Image) -> bytes:
    return CAMERA.shoot(sheet, 1)


def stroke(sheet: Image, art: Image, seed: int, *, at: tuple[float, float] = (130, 215)) -> tuple[Image, float]:
    turn = float(np.random.default_rng(seed).uniform(-180, 180))
    pressed = press(sheet, art, at_mm=at, turn_deg=turn, seed=seed)
    return print_code(pressed, CODE, at_mm=(30, 195)), turn


def check(before: bytes, after: bytes) -> ImprintFinding:
    return check_imprint(
        specimen=SPECIMEN,
        specimen_diameter_mm=DIAMETER_MM,
        before_jpeg=before,
        after_jpeg=after,
        px_per_mm=DPI / 25.4,
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_stroke_of_the_head_is_genuine(sheet: Image, before: bytes, seed: int) -> None:
    after, turn = stroke(sheet, SPECIMEN, seed)
    finding = check(before, CAMERA.shoot(after, 1))
    assert (finding.answer, finding.new_imprints) == (ImprintAnswer.GENUINE, 1), finding
    assert abs((finding.rotation_deg - turn + 180) % 360 - 180) < 4
    assert finding.box is not None
    assert finding.box[2] - finding.box[0] == pytest.approx(DIAMETER_MM * DPI / 25.4, rel=0.06)


def test_with_the_page_homography_the_place_is_in_page_millimetres(
    sheet: Image, before: bytes, prepared: PreparedPage
) -> None:
    homography = compare_page(prepared, before, mode="full").homography
    after, _ = stroke(sheet, SPECIMEN, 5, at=(120.0, 210.0))
    finding = check_imprint(
        specimen=SPECIMEN,
        specimen_diameter_mm=DIAMETER_MM,
        before_jpeg=before,
        after_jpeg=CAMERA.shoot(after, 1),
        px_per_mm=DPI / 25.4,
        page_homography=homography,
        page_dpi=DPI,
    )
    assert finding.answer is ImprintAnswer.GENUINE, finding
    assert finding.centre_mm == pytest.approx((120.0, 210.0), abs=0.8)
    assert finding.scale == pytest.approx(1.0, abs=0.01)


def test_a_page_that_slipped_by_a_millimetre_is_laid_back(sheet: Image, before: bytes) -> None:
    after, _ = stroke(sheet, SPECIMEN, 6)
    slipped = np.roll(after, (7, -6), axis=(0, 1))
    assert check(before, CAMERA.shoot(slipped, 1)).answer is ImprintAnswer.GENUINE


def test_a_stroke_over_print_is_genuine(sheet: Image, before: bytes) -> None:
    after, _ = stroke(sheet, SPECIMEN, 7, at=(80.0, 110.0))
    finding = check(before, CAMERA.shoot(after, 1))
    assert finding.answer is ImprintAnswer.GENUINE, finding


@pytest.mark.parametrize("name", list(REENGRAVED))
def test_another_head_is_never_genuine(sheet: Image, before: bytes, name: str) -> None:
    after, _ = stroke(sheet, REENGRAVED[name], 10)
    finding = check(before, CAMERA.shoot(after, 1))
    assert finding.answer is ImprintAnswer.DIFFERENT, finding


def test_no_new_imprint_is_missing(sheet: Image, before: bytes) -> None:
    coded = print_code(sheet, CODE, at_mm=(30, 195))
    assert check(before, CAMERA.shoot(coded, 1)).answer is ImprintAnswer.MISSING


def test_an_imprint_that_was_there_before_does_not_count(sheet: Image) -> None:
    stamped, _ = stroke(sheet, SPECIMEN, 12)
    finding = check(CAMERA.shoot(stamped, 2), CAMERA.shoot(stamped, 2))
    assert (finding.answer, finding.new_imprints) == (ImprintAnswer.MISSING, 0)


def test_a_second_stroke_beside_an_old_one_is_one_new_imprint(sheet: Image) -> None:
    first, _ = stroke(sheet, SPECIMEN, 13, at=(60.0, 215.0))
    second, _ = stroke(first, SPECIMEN, 14)
    finding = check(CAMERA.shoot(first, 2), CAMERA.shoot(second, 2))
    assert (finding.answer, finding.new_imprints) == (ImprintAnswer.GENUINE, 1), finding


@pytest.mark.parametrize("apart_mm", [48.0, 12.0])
def test_two_new_imprints_are_extra(sheet: Image, before: bytes, apart_mm: float) -> None:
    first, _ = stroke(sheet, SPECIMEN, 15)
    both, _ = stroke(first, SPECIMEN, 16, at=(130.0 - apart_mm, 215.0))
    finding = check(before, CAMERA.shoot(both, 1))
    assert finding.answer is ImprintAnswer.EXTRA, finding
    assert finding.new_imprints >= 2


def test_a_double_strike_is_never_genuine(sheet: Image, before: bytes) -> None:
    first, turn = stroke(sheet, SPECIMEN, 17)
    twice = press(first, SPECIMEN, at_mm=(131.5, 215.5), turn_deg=turn + 3, seed=18)
    assert check(before, CAMERA.shoot(twice, 1)).answer is not ImprintAnswer.GENUINE


def test_a_grey_photo_cannot_be_judged(page: ApprovedPage) -> None:
    grey = Camera(dpi=DPI).shoot(page.image, 3)
    assert check(grey, grey).reason == "no_colour"


def test_a_page_left_alone_is_at_the_same_place_though_it_was_stamped(sheet: Image, before: bytes) -> None:
    after, _ = stroke(sheet, SPECIMEN, 20, at=(100.0, 140.0))
    finding = same_placement(before, CAMERA.shoot(after, 1))
    assert finding.answer is Placement.SAME, finding


def test_a_page_pushed_by_four_millimetres_has_moved(sheet: Image, before: bytes) -> None:
    pushed = cv2.warpAffine(sheet, np.array([[1, 0, 32.0], [0, 1, 0]]), sheet.shape[1::-1], borderValue=(255,) * 3)
    finding = same_placement(before, CAMERA.shoot(np.asarray(pushed, np.uint8), 1))
    assert finding.answer is Placement.MOVED, finding
    assert finding.shift_px == pytest.approx(32, abs=4)


@pytest.mark.parametrize("seed", [21])
def test_a_page_swapped_for_one_with_another_clause_is_swapped(before: bytes, seed: int) -> None:
    clauses = list(Contract().clauses)
    clauses[seed % 6] = clauses[seed % 6].replace("the", "a").replace("of", "by")
    other = cv2.cvtColor(render(Contract(clauses=tuple(clauses)).pdf()).image, cv2.COLOR_GRAY2BGR)
    finding = same_placement(before, CAMERA.shoot(np.asarray(other, np.uint8), 1))
    assert finding.answer is Placement.SWAPPED, finding
