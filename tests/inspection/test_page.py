"""The page check: what must match, and what must not."""

import pickle
from dataclasses import replace

import cv2
import numpy as np
import pytest

from server.inspection.vision.crops import paired_crops
from server.inspection.vision.decode import decode
from server.inspection.vision.page import Answer, ApprovedPage, PageFinding, PreparedPage, compare_page, prepare
from tests.inspection.paper import CLAUSES, DPI, MM, ROWS, Camera, Contract, change_digit, render, unrelated

GENUINE_PREVIEWS = 12
CHANGED_DIGITS = 12
PAPER = 255


def seen(finding: PageFinding) -> str:
    return f"{finding.answer}/{finding.reason} {finding.inliers} {[(d.kind, d.text) for d in finding.differences]}"


def test_genuine_previews_all_match(page: ApprovedPage, prepared: PreparedPage) -> None:
    levels = np.linspace(0.5, 1.6, GENUINE_PREVIEWS)
    photos = [Camera(level=float(level)).shoot(page.image, seed) for seed, level in enumerate(levels)]
    findings = [compare_page(prepared, photo, mode="preview") for photo in photos]
    assert [seen(f) for f in findings if f.answer is not Answer.MATCH] == []
    assert min(f.inliers for f in findings) >= 100
    assert max(len(photo) for photo in photos) < 250_000


def test_genuine_full_colour_photos_match(page: ApprovedPage, prepared: PreparedPage) -> None:
    for seed in (20, 21):
        photo = Camera(dpi=DPI, colour=True, level=1.2).shoot(page.image, seed)
        finding = compare_page(prepared, photo, mode="full")
        assert finding.answer is Answer.MATCH, (seed, seen(finding))
        assert finding.dpi == pytest.approx(DPI, rel=0.05)


@pytest.mark.parametrize("font_size", [8, 12])
def test_small_and_large_print_match_and_their_digits_are_watched(font_size: int) -> None:
    approved = prepare(render(Contract(size=font_size, font="Helvetica").pdf()), modes=("preview",))
    same = Camera(level=1.3).shoot(approved.approved.image, 30)
    other = render(Contract(size=font_size, font="Helvetica", price="50,407.00").pdf()).image
    assert compare_page(approved, same, mode="preview").answer is Answer.MATCH
    assert compare_page(approved, Camera(level=1.3).shoot(other, 31), mode="preview").answer is Answer.WRONG


def test_no_photo_with_one_changed_digit_matches(prepared: PreparedPage) -> None:
    missed = []
    for seed in range(CHANGED_DIGITS):
        rng = np.random.default_rng(seed)
        if seed % 2:
            changed = Contract(price=change_digit("50,401.00", rng))
        else:
            row = seed // 2 % len(ROWS)
            cells = (*ROWS[row][:3], change_digit(ROWS[row][3], rng))
            changed = Contract(rows=(*ROWS[:row], cells, *ROWS[row + 1 :]))
        photo = Camera(level=0.8 + 0.07 * seed).shoot(render(changed.pdf()).image, 100 + seed)
        finding = compare_page(prepared, photo, mode="preview")
        if finding.answer is Answer.MATCH or finding.reason != "text_differs":
            missed.append((seed, seen(finding)))
    assert missed == []


def test_a_changed_digit_is_boxed_in_both_pictures(prepared: PreparedPage) -> None:
    photo = Camera().shoot(render(Contract(price="50,901.00").pdf()).image, 140)
    finding = compare_page(prepared, photo, mode="preview")
    assert [d.text for d in finding.differences] == ["50,401.00"]
    word = next(w for w in prepared.approved.words if w.text == "50,401.00")
    assert finding.differences[0].box == pytest.approx((word.x0, word.y0, word.x1, word.y1), abs=3.5)
    pairs = paired_crops(prepared, photo, finding)
    assert len(pairs) == 1
    ours, theirs = (decode(crop) for crop in pairs[0])
    assert ours is not None
    assert theirs is not None
    assert ours.shape == theirs.shape
    x0, _, x1, _ = finding.differences[0].box
    assert ours.shape[1] == pytest.approx(3 * (x1 - x0 + 8 * MM), abs=3)
    likeness = cv2.matchTemplate(
        cv2.GaussianBlur(ours, (0, 0), 4), cv2.GaussianBlur(theirs, (0, 0), 4), cv2.TM_CCOEFF_NORMED
    )
    assert 0.6 < float(likeness[0, 0]) < 0.995


@pytest.mark.parametrize("clause", [2, 5])
def test_a_deleted_clause_is_no_match(prepared: PreparedPage, clause: int) -> None:
    shorter = Contract(clauses=CLAUSES[:clause] + CLAUSES[clause + 1 :])
    finding = compare_page(prepared, Camera().shoot(render(shorter.pdf()).image, 200 + clause), mode="preview")
    assert finding.answer is Answer.WRONG, seen(finding)


def test_an_erased_line_is_missing_ink(page: ApprovedPage, prepared: PreparedPage) -> None:
    sheet = page.image.copy()
    words = [w for w in page.words if w.text in {"Confidence.", "Warranty."}]
    for word in words:
        sheet[int(word.y0) - 2 : int(word.y1) + 3, int(word.x0) - 2 : int(word.x1) + 3] = PAPER
    finding = compare_page(prepared, Camera().shoot(sheet, 210), mode="preview")
    assert finding.answer is Answer.WRONG, seen(finding)
    assert finding.reason in {"missing_ink", "text_differs"}
    assert {d.text for d in finding.differences if d.text} == {"Confidence.", "Warranty."}


def test_an_added_line_is_extra_ink(prepared: PreparedPage) -> None:
    longer = Contract(added="The Buyer waives all claims.")
    finding = compare_page(prepared, Camera().shoot(render(longer.pdf()).image, 220), mode="preview")
    assert (finding.answer, finding.reason) == (Answer.WRONG, "extra_ink"), seen(finding)


def test_ink_on_a_known_mark_is_no_difference(page: ApprovedPage, prepared: PreparedPage) -> None:
    sheet = page.image.copy()
    box = (1000.0, 1830.0, 1200.0, 1950.0)
    sheet[1840:1940, 1010:1190] = 30
    photo = Camera().shoot(sheet, 230)
    assert compare_page(prepared, photo, mode="preview").reason == "extra_ink"
    assert compare_page(prepared, photo, mode="preview", known_marks=(box,)).answer is Answer.MATCH


def test_red_ink_on_the_page_counts_as_paper(page: ApprovedPage, prepared: PreparedPage) -> None:
    sheet = cv2.cvtColor(page.image, cv2.COLOR_GRAY2BGR)
    cv2.circle(sheet, (1300, 1780), 150, (70, 50, 235), 12, cv2.LINE_AA)
    finding = compare_page(prepared, Camera(dpi=DPI, colour=True).shoot(sheet, 240), mode="full")
    assert finding.answer is Answer.MATCH, seen(finding)


def test_other_pages_are_not_this_page(prepared: PreparedPage) -> None:
    for seed in range(3):
        photo = Camera().shoot(render(unrelated(seed).pdf()).image, 300 + seed)
        finding = compare_page(prepared, photo, mode="preview")
        assert (finding.answer, finding.reason) == (Answer.WRONG, "not_this_page"), (seed, seen(finding))
        assert finding.inliers < 50


def test_a_blank_sheet_and_an_empty_tray_are_told_apart(page: ApprovedPage, prepared: PreparedPage) -> None:
    blank = Camera().shoot(np.full_like(page.image, PAPER), 310)
    assert compare_page(prepared, blank, mode="preview").reason == "blank_page"
    tray = Camera().shoot(np.full_like(page.image, 35), 311)
    finding = compare_page(prepared, tray, mode="preview")
    assert (finding.answer, finding.reason) == (Answer.WRONG, "no_page")


@pytest.mark.parametrize("blur_px", [2.2, 6.0])
def test_a_blurred_photo_is_asked_for_again(page: ApprovedPage, prepared: PreparedPage, blur_px: float) -> None:
    finding = compare_page(prepared, Camera(blur_px=blur_px).shoot(page.image, 320), mode="preview")
    assert (finding.answer, finding.reason) == (Answer.DOUBTFUL, "too_blurred"), seen(finding)


def test_a_photo_that_cuts_the_page_off_is_asked_for_again(page: ApprovedPage, prepared: PreparedPage) -> None:
    photo = decode(Camera().shoot(page.image, 330))
    assert photo is not None
    part = cv2.imencode(".jpg", photo[: int(photo.shape[0] * 0.78)])[1].tobytes()
    finding = compare_page(prepared, part, mode="preview")
    assert (finding.answer, finding.reason) == (Answer.DOUBTFUL, "cut_off"), seen(finding)
    assert 0.5 < finding.coverage < 1.0


def test_a_photo_of_too_few_pixels_is_asked_for_again(page: ApprovedPage, prepared: PreparedPage) -> None:
    finding = compare_page(prepared, Camera(dpi=100, level=0.3).shoot(page.image, 340), mode="preview")
    assert (finding.answer, finding.reason) == (Answer.DOUBTFUL, "low_resolution"), seen(finding)


def test_glare_on_an_amount_is_named(page: ApprovedPage, prepared: PreparedPage) -> None:
    word = next(w for w in page.words if w.text == "50,401.00")
    photo = decode(Camera(level=0.4, jitter_mm=0).shoot(page.image, 350))
    assert photo is not None
    matrix = np.array(compare_page(prepared, cv2.imencode(".jpg", photo)[1].tobytes(), mode="preview").homography)
    middle = matrix @ [(word.x0 + word.x1) / 2, (word.y0 + word.y1) / 2, 1]
    spot = cv2.circle(np.zeros_like(photo), (int(middle[0] / middle[2]), int(middle[1] / middle[2])), 60, 255, -1)
    burnt = cv2.imencode(".jpg", np.maximum(photo, cv2.GaussianBlur(spot, (0, 0), 3)))[1].tobytes()
    finding = compare_page(prepared, burnt, mode="preview")
    assert (finding.answer, finding.reason) == (Answer.DOUBTFUL, "glare"), seen(finding)


@pytest.mark.parametrize("turn", [90.0, 180.0, -90.0])
def test_a_turned_page_matches_and_its_turn_is_told(page: ApprovedPage, prepared: PreparedPage, turn: float) -> None:
    finding = compare_page(prepared, Camera(turn_deg=turn).shoot(page.image, 360), mode="preview")
    assert finding.answer is Answer.MATCH, seen(finding)
    assert abs((finding.orientation_deg - turn + 180) % 360 - 180) < 4


def test_a_scan_without_text_layer_matches_and_its_changes_show(page: ApprovedPage) -> None:
    scan = prepare(replace(page, words=()), modes=("preview",))
    assert compare_page(scan, Camera().shoot(page.image, 370), mode="preview").answer is Answer.MATCH
    changed = render(Contract(price="90,401.00").pdf()).image
    assert compare_page(scan, Camera().shoot(changed, 371), mode="preview").answer is not Answer.MATCH


def test_a_prepared_page_survives_pickling(page: ApprovedPage, prepared: PreparedPage) -> None:
    copy = pickle.loads(pickle.dumps(prepared))
    photo = Camera().shoot(page.image, 380)
    ours, theirs = (compare_page(p, photo, mode="preview") for p in (prepared, copy))
    assert replace(ours, ms=0) == replace(theirs, ms=0)


def test_an_empty_approved_page_is_never_matched() -> None:
    white = np.full((2339, 1654), PAPER, np.uint8)
    approved = prepare(ApprovedPage(image=white, dpi=DPI, words=()), modes=("preview",))
    finding = compare_page(approved, Camera().shoot(white, 390), mode="preview")
    assert finding.answer is not Answer.MATCH
