"""The tray as its camera sees it."""

from collections.abc import Callable
from math import hypot
from typing import Any

import cv2
import numpy as np
import pytest
import zxingcpp
from numpy.typing import NDArray
from pyzbar import pyzbar

from device_sim.scene.errors import CodeTooLong, NoSheet, PageImageInvalid, PageTooLarge, StripUnreadable
from device_sim.scene.scene import HeadArtwork, Scene
from device_sim.scene.settings import SHEET_PX_PER_MM
from device_sim.scene.strip import MAX_BYTES, read_strip

PAYLOAD = "HTTPS://127.0.0.1:8443/V/" + ("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" * 8)[:226]
SHORT_CODE = "7K3M-9QXD-2FVA-H"
STAMP_MM = (168.0, 253.0)
PLACE_MM = (150.0, 235.0)
MakeScene = Callable[..., Scene]
COARSE: dict[str, Any] = {"dpi": 110, "preview_dpi": 110}
"""A small frame, for tests that look at no detail."""


def picture(jpeg: bytes) -> NDArray[np.uint8]:
    """A JPEG as it was written: BGR or grey."""
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_UNCHANGED), np.uint8)


def red_places(bgr: NDArray[np.uint8], *, px_per_mm: float) -> NDArray[np.float64]:
    """Every pixel as red as stamp ink: (x, y) in mm, shape (n, 2)."""
    blue, green, red = cv2.split(bgr)
    rows, columns = np.nonzero(cv2.subtract(red, cv2.max(blue, green)) > 45)
    return np.stack([columns, rows], axis=1) / px_per_mm


def red_on_sheet(scene: Scene) -> NDArray[np.float64]:
    return red_places(np.ascontiguousarray(scene.sheet_image()[:, :, ::-1]), px_per_mm=SHEET_PX_PER_MM)


def middle(points: NDArray[np.float64]) -> tuple[float, float]:
    """Centre of the box around the points, less the outermost 0.1 % on each side."""
    low, high = np.quantile(points, 0.001, axis=0), np.quantile(points, 0.999, axis=0)
    return float(low[0] + high[0]) / 2, float(low[1] + high[1]) / 2


def changed_between(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Where two pictures of a sheet differ by more than a trace; black and red ink both show in green."""
    return np.asarray(cv2.absdiff(one[:, :, 1], other[:, :, 1]) > 40, np.bool_)


def dark_share(image: NDArray[np.uint8]) -> float:
    return float((image[:, :, 0] < 120).mean())


@pytest.mark.parametrize("seed", [11, 12, 13])
def test_imprint_is_red_round_and_on_the_place_for_the_seal(
    make_scene: MakeScene, last_page: NDArray[np.uint8], head: HeadArtwork, seed: int
) -> None:
    scene = make_scene(seed)
    scene.lay_page(last_page)
    before = scene.photograph()
    assert len(red_places(picture(before.full_jpeg), px_per_mm=before.px_per_mm)) == 0

    scene.press(head)
    after = scene.photograph()

    found = red_places(picture(after.full_jpeg), px_per_mm=after.px_per_mm)
    x, y = middle(found)
    assert hypot(x - STAMP_MM[0], y - STAMP_MM[1]) < 3.0, f"perspective moves it by 2.5 mm at most, seed {seed}"
    width, height = np.quantile(found, 0.999, axis=0) - np.quantile(found, 0.001, axis=0)
    assert 38.5 < width < 41.5, f"seed {seed}"
    assert 38.5 < height < 41.5, f"seed {seed}"
    x, y = middle(red_on_sheet(scene))
    assert hypot(x - PLACE_MM[0], y - PLACE_MM[1]) < 2.2, f"the sheet lies at most 1.5 mm off on each axis, seed {seed}"


def test_print_below_the_imprint_stays_dark(make_scene: MakeScene, head: HeadArtwork) -> None:
    scene = make_scene(2, **COARSE)
    scene.lay_page(np.zeros((297 * 8, 210 * 8), np.uint8))
    scene.press(head)
    assert len(red_on_sheet(scene)) == 0


def test_dry_pad_leaves_less_than_a_fresh_one(make_scene: MakeScene, head: HeadArtwork) -> None:
    scene = make_scene(3, **COARSE)
    scene.lay_page(None)
    blank = scene.sheet_image()
    scene.press(head, ink=0.0)
    assert np.array_equal(scene.sheet_image(), blank)
    greens = []
    for ink in (0.5, 1.0):
        scene.lay_page(None)
        scene.press(head, ink=ink)
        greens.append(float(blank[:, :, 1].mean() - scene.sheet_image()[:, :, 1].mean()))
    assert greens[1] > 1.4 * greens[0] > 0.5


def test_two_presses_never_give_the_same_imprint(make_scene: MakeScene, head: HeadArtwork) -> None:
    images = []
    scene = make_scene(4, **COARSE, max_rotation_deg=0.0, max_shift_mm=0.0)
    for _ in range(2):
        scene.lay_page(None)
        scene.press(head)
        images.append(scene.sheet_image())
    assert changed_between(*images).sum() > 1000


def test_press_elsewhere_lands_elsewhere(make_scene: MakeScene, head: HeadArtwork) -> None:
    scene = make_scene(5, **COARSE)
    scene.lay_page(None)
    scene.press(head, at_mm=(100.0, 120.0))
    x, y = middle(red_on_sheet(scene))
    wanted = scene.to_sheet_mm((100.0, 120.0))
    assert hypot(x - wanted[0], y - wanted[1]) < 0.8
    assert scene.to_tray_mm(wanted) == pytest.approx((100.0, 120.0))


@pytest.mark.parametrize("seed", range(100, 120))
def test_trace_code_is_read_from_the_photo(
    make_scene: MakeScene, last_page: NDArray[np.uint8], head: HeadArtwork, seed: int
) -> None:
    scene = make_scene(seed)
    scene.lay_page(last_page)
    scene.press(head)
    assert scene.print_code(PAYLOAD, short_code=SHORT_CODE)
    photo = scene.photograph(seed.to_bytes(16, "big"))
    grey = cv2.cvtColor(picture(photo.full_jpeg), cv2.COLOR_BGR2GRAY)
    assert [code.text for code in zxingcpp.read_barcodes(grey)] == [PAYLOAD], f"seed {seed}"
    x, y = (round(at * photo.px_per_mm) for at in STAMP_MM)
    around = np.ascontiguousarray(grey[y - 250 : y + 250, x - 560 : x])
    codes = pyzbar.decode(around, symbols=[pyzbar.ZBarSymbol.QRCODE])
    assert [code.data.decode() for code in codes] == [PAYLOAD], f"pyzbar, seed {seed}"


@pytest.mark.parametrize("seed", [21, 22, 23])
def test_code_stays_clear_of_the_imprint_and_of_the_text(
    make_scene: MakeScene, last_page: NDArray[np.uint8], head: HeadArtwork, seed: int
) -> None:
    scene = make_scene(seed)
    scene.lay_page(last_page)
    scene.press(head)
    stamped = scene.sheet_image()
    scene.print_code(PAYLOAD, short_code=SHORT_CODE)

    changed = changed_between(stamped, scene.sheet_image())
    rows, columns = np.nonzero(changed)
    centre = [at * SHEET_PX_PER_MM for at in scene.to_sheet_mm(STAMP_MM)]
    nearest = float(np.hypot(columns - centre[0], rows - centre[1]).min()) / SHEET_PX_PER_MM
    assert nearest - 20.0 >= 3.0, f"seed {seed}"
    assert columns.max() / SHEET_PX_PER_MM < PLACE_MM[0] - 20, f"left of the imprint, seed {seed}"
    below = stamped[changed].min(axis=1)
    assert (below > 200).all(), f"printed on white paper only, seed {seed}"


def test_code_goes_where_the_paper_is_white(make_scene: MakeScene, head: HeadArtwork) -> None:
    page = np.full((297 * 8, 210 * 8), 255, np.uint8)
    page[205 * 8 : 260 * 8 : 24, : 129 * 8] = 0
    page[205 * 8 : 260 * 8 : 24, 170 * 8 :] = 0
    scene = make_scene(6, **COARSE)
    scene.lay_page(page)
    scene.press(head)
    stamped = scene.sheet_image()
    assert scene.print_code(PAYLOAD, short_code=SHORT_CODE)
    changed = changed_between(stamped, scene.sheet_image())
    assert (stamped[changed].min(axis=1) > 200).all()


def test_every_code_on_one_sheet_finds_a_free_place(make_scene: MakeScene, head: HeadArtwork) -> None:
    scene = make_scene(7)
    scene.lay_page(None)
    for _ in range(2):
        scene.press(head)
        assert scene.print_code(PAYLOAD, short_code=SHORT_CODE)
    grey = cv2.cvtColor(picture(scene.photograph().full_jpeg), cv2.COLOR_BGR2GRAY)
    assert [code.text for code in zxingcpp.read_barcodes(grey)] == [PAYLOAD, PAYLOAD]


def test_coder_prints_nothing_where_imprints_leave_no_place(make_scene: MakeScene, head: HeadArtwork) -> None:
    scene = make_scene(8, **COARSE)
    scene.lay_page(None)
    for x in range(20, 236, 40):
        for y in range(190, 330, 40):
            scene.press(head, at_mm=(float(x), float(y)))
    scene.press(head)
    stamped = scene.sheet_image()
    assert not scene.print_code(PAYLOAD, short_code=SHORT_CODE)
    assert np.array_equal(scene.sheet_image(), stamped)


def test_code_beyond_version_9_is_refused(make_scene: MakeScene) -> None:
    scene = make_scene(**COARSE)
    with pytest.raises(CodeTooLong, match="263"):
        scene.print_code("A" * 263, short_code=SHORT_CODE)
    with pytest.raises(CodeTooLong):
        scene.print_code("A" * 9000, short_code=SHORT_CODE)


def test_empty_tray_takes_no_ink(make_scene: MakeScene, head: HeadArtwork) -> None:
    scene = make_scene(**COARSE)
    scene.press(head)
    assert not scene.print_code(PAYLOAD, short_code=SHORT_CODE)
    assert not scene.sheet_present
    photo = scene.photograph()
    shown = picture(photo.full_jpeg)
    assert shown.shape == (photo.height, photo.width, 3)
    assert len(red_places(shown, px_per_mm=photo.px_per_mm)) == 0
    assert shown[:1400].mean() < 100, "the mat is dark"
    with pytest.raises(NoSheet):
        scene.sheet_image()
    with pytest.raises(NoSheet):
        scene.move_page(dx_mm=1, dy_mm=0, rotation_deg=0)


def test_blank_sheet_is_bright_and_shows_nothing(make_scene: MakeScene) -> None:
    scene = make_scene(9, **COARSE)
    scene.lay_page(None)
    assert scene.sheet_present
    assert dark_share(scene.sheet_image()) == 0
    photo = picture(scene.photograph().full_jpeg)
    assert 0.70 < float((photo[:, :, 0] > 150).mean()) < 0.78, "an A4 sheet fills 73.9 % of the frame"


@pytest.mark.parametrize("seed", range(30, 36))
def test_whole_sheet_is_in_the_picture(make_scene: MakeScene, seed: int) -> None:
    scene = make_scene(seed, **COARSE)
    scene.lay_page(None)
    bright = picture(scene.photograph().preview_jpeg) > 150
    tray = bright[: round(bright.shape[0] * 333 / 343)]
    edges = np.concatenate([tray[:4].ravel(), tray[-4:].ravel(), tray[:, :4].ravel(), tray[:, -4:].ravel()])
    assert not edges.any(), f"seed {seed}"


def test_page_token_changes_when_the_sheet_is_laid_moved_or_taken(
    make_scene: MakeScene, last_page: NDArray[np.uint8], head: HeadArtwork
) -> None:
    scene = make_scene(**COARSE)
    tokens = [scene.page_token]
    scene.lay_page(last_page)
    tokens.append(scene.page_token)
    scene.press(head)
    scene.print_code(PAYLOAD, short_code=SHORT_CODE)
    scene.photograph()
    assert scene.page_token == tokens[-1], "stamping and looking move nothing"
    scene.move_page(dx_mm=0.5, dy_mm=0.0, rotation_deg=0.0)
    tokens.append(scene.page_token)
    scene.take_away()
    tokens.append(scene.page_token)
    scene.lay_page(last_page)
    tokens.append(scene.page_token)
    assert len(set(tokens)) == len(tokens)


def test_moved_sheet_takes_the_imprint_beside_the_place(make_scene: MakeScene, head: HeadArtwork) -> None:
    scene = make_scene(10, **COARSE, max_rotation_deg=0.0, max_shift_mm=0.0)
    scene.lay_page(None)
    scene.move_page(dx_mm=-12.0, dy_mm=7.0, rotation_deg=0.0)
    scene.press(head)
    x, y = middle(red_on_sheet(scene))
    assert (x, y) == pytest.approx((PLACE_MM[0] + 12.0, PLACE_MM[1] - 7.0), abs=0.5)


def test_replayed_photo_shows_the_old_strip(make_scene: MakeScene, last_page: NDArray[np.uint8]) -> None:
    scene = make_scene(14, **COARSE)
    scene.lay_page(last_page)
    nonces = [bytes(range(start, start + 20)) for start in (0, 235)]
    old, new = (scene.photograph(nonce) for nonce in nonces)
    assert [read_strip(old.full_jpeg), read_strip(new.full_jpeg)] == nonces
    assert old.full_jpeg != new.full_jpeg


@pytest.mark.parametrize("data", [b"", b"\0" * MAX_BYTES, b"\xff" * MAX_BYTES, bytes.fromhex("a55a") * 16])
def test_strip_shows_any_bytes(make_scene: MakeScene, data: bytes) -> None:
    scene = make_scene(15, **COARSE, jpeg_quality=40, noise_sigma=8.0)
    assert read_strip(scene.photograph(data).full_jpeg) == data


def test_strip_refuses_what_it_cannot_show_or_read(make_scene: MakeScene) -> None:
    scene = make_scene(16, **COARSE)
    with pytest.raises(ValueError, match="33"):
        scene.photograph(b"x" * (MAX_BYTES + 1))
    for picture_bytes in (b"", b"no photo", scene.photograph(b"abc").preview_jpeg):
        with pytest.raises(StripUnreadable):
            read_strip(picture_bytes)
    shown = picture(scene.photograph(b"abc").full_jpeg)
    shown[-30:, 75:95] = 255
    covered = cv2.imencode(".png", shown)[1].tobytes()
    with pytest.raises(StripUnreadable):
        read_strip(covered)


def test_preview_is_grey_small_and_fine_enough(make_scene: MakeScene, last_page: NDArray[np.uint8]) -> None:
    scene = make_scene(17)
    scene.lay_page(last_page)
    photo = scene.photograph()
    preview = picture(photo.preview_jpeg)
    assert preview.ndim == 2
    assert preview.shape[1] / (photo.width / photo.px_per_mm) * 25.4 >= 140
    assert len(photo.preview_jpeg) <= 200_000


def test_preview_fits_even_for_a_page_of_noise(make_scene: MakeScene) -> None:
    noise = np.random.default_rng(18).integers(0, 256, (297 * 4, 210 * 4, 3), dtype=np.uint8)
    for limit in (200_000, 60_000):
        scene = make_scene(18, preview_limit_bytes=limit)
        scene.lay_page(noise)
        assert len(scene.photograph().preview_jpeg) <= limit
    scene = make_scene(18, preview_limit_bytes=5_000)
    with pytest.raises(ValueError, match="5000 bytes"):
        scene.photograph()


def test_same_seed_gives_the_same_photo(make_scene: MakeScene, last_page: NDArray[np.uint8]) -> None:
    photos = []
    for _ in range(2):
        scene = make_scene(19, **COARSE)
        scene.lay_page(last_page)
        photos.append(scene.photograph(b"n"))
    assert photos[0] == photos[1]


def test_landscape_sheet_is_laid_turned(make_scene: MakeScene) -> None:
    page = np.full((210 * 8, 297 * 8), 255, np.uint8)
    page[: 20 * 8, : 20 * 8] = 0
    scene = make_scene(20, **COARSE)
    scene.lay_page(page, page_mm=(297, 210))
    image = scene.sheet_image()
    assert image.shape[0] > image.shape[1]
    assert image[100, -100].max() < 100, "its top left corner came to the top right"


def test_sheets_that_do_not_fit_are_refused(make_scene: MakeScene) -> None:
    scene = make_scene(**COARSE)
    with pytest.raises(PageTooLarge):
        scene.lay_page(None, page_mm=(297, 420))
    assert not scene.sheet_present
    with pytest.raises(PageImageInvalid):
        scene.lay_page(np.zeros((10, 10, 4), np.uint8))
    with pytest.raises(PageImageInvalid):
        scene.lay_page(np.zeros((10, 10), np.float32))  # type: ignore[arg-type]
    assert not scene.sheet_present
    scene.lay_page(None, page_mm=(215.9, 279.4))
    assert scene.sheet_present
