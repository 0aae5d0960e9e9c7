"""Bytes from strangers: every one gets a finding, none an exception."""

import struct
import tracemalloc
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.inspection.vision.codes import MAX_PAYLOAD, read_codes
from server.inspection.vision.decode import announced_size, decode
from server.inspection.vision.imprint import ImprintAnswer, check_imprint
from server.inspection.vision.moved import Placement, same_placement
from server.inspection.vision.page import Answer, ApprovedPage, PreparedPage, compare_page
from tests.inspection.paper import DPI, Camera
from tests.inspection.stamp import artwork, print_code


def png_bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(width + 1) * 200, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def jpeg_bomb() -> bytes:
    small = cv2.imencode(".jpg", np.zeros((16, 16), np.uint8))[1].tobytes()
    at = small.index(b"\xff\xc0")
    return small[: at + 5] + struct.pack(">HH", 60_000, 60_000) + small[at + 9 :]


HOSTILE = {
    "nothing": b"",
    "garbage": np.random.default_rng(7).bytes(5000),
    "jpeg magic only": b"\xff\xd8",
    "png bomb": png_bomb(20_000, 20_000),
    "jpeg bomb": jpeg_bomb(),
    "png of no width": png_bomb(0, 10),
    "gif": b"GIF89a" + bytes(40),
    "bmp": cv2.imencode(".bmp", np.zeros((9, 9), np.uint8))[1].tobytes(),
    "endless markers": b"\xff\xd8" + b"\xff" * 3000,
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_pictures_are_undecodable_everywhere(name: str, prepared: PreparedPage) -> None:
    data = HOSTILE[name]
    finding = compare_page(prepared, data, mode="preview")
    assert (finding.answer, finding.reason) == (Answer.DOUBTFUL, "undecodable")
    assert same_placement(data, data).answer is Placement.UNCLEAR
    seal = check_imprint(
        specimen=artwork(), specimen_diameter_mm=40, before_jpeg=data, after_jpeg=data, px_per_mm=DPI / 25.4
    )
    assert (seal.answer, seal.reason) == (ImprintAnswer.AMBIGUOUS, "undecodable")
    assert read_codes(data) == ()


def test_an_image_bomb_is_refused_before_it_is_unpacked() -> None:
    bomb = png_bomb(20_000, 20_000)
    assert announced_size(bomb) == (20_000, 20_000)
    tracemalloc.start()
    assert decode(bomb) is None
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
def test_a_truncated_photo_never_matches(page: ApprovedPage, prepared: PreparedPage, keep: float) -> None:
    photo = Camera().shoot(page.image, 400)
    assert compare_page(prepared, photo[: int(len(photo) * keep)], mode="preview").answer is not Answer.MATCH


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8\xff\xe0", b"\xff\xd8\xff\xc0", b"\x89PNG\r\n\x1a\n"]))
def test_any_bytes_decode_to_pixels_or_none(tail: bytes, head: bytes) -> None:
    image = decode(head + tail)
    assert image is None or image.dtype == np.uint8


PAYLOADS = {
    "a trace code": b"HTTPS://SEALS.EXAMPLE/V/" + b"A7" * 90,
    "no UTF-8": bytes([0xFF, 0xFE, 0x80, 0xC0, 0x00, 0x41]) * 5,
    "control characters": bytes(range(1, 32)),
    "markup": b"<script>alert(1)</script>'; DROP TABLE entries;--",
}


@pytest.mark.parametrize("name", list(PAYLOADS))
def test_payloads_come_back_byte_for_byte_from_a_photo(page: ApprovedPage, name: str) -> None:
    sheet = print_code(page.image, PAYLOADS[name], at_mm=(140, 205))
    codes = read_codes(Camera(dpi=DPI, level=0.8).shoot(sheet, 410))
    assert [code.payload for code in codes] == [PAYLOADS[name]]
    xs = [x for x, _ in codes[0].corners]
    assert max(xs) - min(xs) > 60


def test_a_payload_above_the_limit_is_dropped() -> None:
    sheet = print_code(np.full((1900, 1654), 255, np.uint8), b"B" * (MAX_PAYLOAD + 1), at_mm=(10, 10), module_mm=0.8)
    assert read_codes(sheet) == ()


def test_a_code_of_two_pixels_a_module_is_read(page: ApprovedPage) -> None:
    sheet = print_code(page.image, "HTTPS://SEALS.EXAMPLE/V/SMALL", at_mm=(150, 215), module_mm=0.36)
    codes = read_codes(Camera(dpi=140, level=0.5, quality=92).shoot(sheet, 420))
    assert [code.payload for code in codes] == [b"HTTPS://SEALS.EXAMPLE/V/SMALL"]


def test_a_code_that_was_there_before_does_not_hide_ours(page: ApprovedPage) -> None:
    sheet = print_code(page.image, "HTTPS://SHOP.EXAMPLE/", at_mm=(20, 215), module_mm=0.6)
    sheet = print_code(sheet, "HTTPS://SEALS.EXAMPLE/V/OURS", at_mm=(150, 215))
    codes = read_codes(Camera(dpi=DPI).shoot(sheet, 425), accept=lambda payload: b"/V/" in payload)
    assert {code.payload for code in codes} == {b"HTTPS://SHOP.EXAMPLE/", b"HTTPS://SEALS.EXAMPLE/V/OURS"}


def test_a_code_nobody_accepts_is_still_reported_once(page: ApprovedPage) -> None:
    sheet = print_code(page.image[:1200], "HTTPS://SHOP.EXAMPLE/", at_mm=(20, 90), module_mm=0.6)
    codes = read_codes(sheet, accept=lambda _: False)
    assert [code.payload for code in codes] == [b"HTTPS://SHOP.EXAMPLE/"]


def test_a_page_without_a_code_has_none(page: ApprovedPage) -> None:
    assert read_codes(Camera().shoot(page.image, 430)) == ()


@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (3, 4, 3), (5, 5, 4), (2, 2, 2, 2)])
def test_odd_arrays_are_read_as_nothing(shape: tuple[int, ...]) -> None:
    assert read_codes(np.zeros(shape, np.uint8)) == ()
