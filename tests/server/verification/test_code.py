"""Trace codes offline, what a target is, and pins."""

import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_protocol import trace
from server.verification import roots, withdrawn
from server.verification.code import Outcome, check_code, code_hash
from server.verification.roots import BadRoot, Pin, of_bundle
from server.verification.target import Target, detect
from server.verification.trust import BundleBroken, DeviceStatus, Withdrawal
from tests.server.verification.story_maker import DEVICE, NOW, StoryMaker

HOST = "seal.example.com"


@pytest.fixture
def story(rng: random.Random) -> StoryMaker:
    return StoryMaker(rng)


def pins(story: StoryMaker) -> list[Pin]:
    return [of_bundle(story.trust_bundle())]


@pytest.mark.parametrize("change", [str, str.lower, lambda url: url.rsplit("/", 1)[1], lambda url: f" {url}\n"])
def test_a_scanned_code_is_known(story: StoryMaker, change: object) -> None:
    assert callable(change)
    text = change(trace.url(story.code(), host=HOST))
    verdict = check_code(text, pins=pins(story), now=NOW)
    assert (verdict.outcome, verdict.device_id, verdict.counter) == (Outcome.KNOWN, DEVICE, 40)
    assert verdict.document_starts == story.document_digest[:16].hex()


def test_a_server_code_is_known_without_a_device(story: StoryMaker) -> None:
    verdict = check_code(trace.url(story.code(key="trace"), host=HOST), pins=pins(story), now=NOW)
    assert (verdict.outcome, verdict.device_id) == (Outcome.KNOWN, "")


def test_a_withdrawn_code_says_so(story: StoryMaker) -> None:
    code = story.code()
    story.withdrawals = (Withdrawal(kind="code", id=code_hash(code), since=NOW, reason="lost"),)
    assert check_code(trace.url(code, host=HOST), pins=pins(story), now=NOW).outcome is Outcome.WITHDRAWN


def test_a_code_of_a_spoiled_sheet_says_so_offline_with_the_day_it_was_withdrawn(story: StoryMaker) -> None:
    code, other = story.code(), story.code(key="trace")
    story.withdrawn_codes = withdrawn.pack({code_hash(code): NOW - 86_400, b"\x07" * 32: NOW})
    verdict = check_code(trace.url(code, host=HOST), pins=pins(story), now=NOW)
    assert (verdict.outcome, verdict.withdrawn_since) == (Outcome.WITHDRAWN, NOW - 86_400)
    assert "withdrawn on 20 Sep 2026" in verdict.words
    assert check_code(trace.url(other, host=HOST), pins=pins(story), now=NOW).outcome is Outcome.KNOWN
    much_later = check_code(trace.url(code, host=HOST), pins=pins(story), now=story.expires)
    assert much_later.outcome is Outcome.WITHDRAWN, "what was withdrawn stays so, however old the list"


@pytest.mark.parametrize(
    ("days", "outcome", "age"),
    [(0, "known", "from today"), (3, "known", "3 days old"), (8, "cannot_confirm", "8 days old")],
)
def test_the_age_of_the_list_of_withdrawn_codes_is_told(story: StoryMaker, days: int, outcome: str, age: str) -> None:
    story.expires = NOW + 400 * 86_400
    verdict = check_code(trace.url(story.code(), host=HOST), pins=pins(story), now=NOW + days * 86_400)
    assert (verdict.outcome, verdict.list_from) == (outcome, NOW - 100)
    assert age in verdict.words


@given(
    st.dictionaries(st.binary(min_size=16, max_size=32), st.integers(0, 2**32 - 1), max_size=40),
    st.binary(min_size=32, max_size=32),
)
def test_each_withdrawn_code_is_found_and_no_other(codes: dict[bytes, int], stranger: bytes) -> None:
    packed = withdrawn.pack(codes)
    short = {code[:16]: since for code, since in codes.items()}
    assert withdrawn.unpack(packed) == short
    assert len(packed) == 20 * len(short)
    assert all(withdrawn.since(packed, code) == short[code[:16]] for code in codes)
    assert withdrawn.since(packed, stranger) == short.get(stranger[:16])


@pytest.mark.parametrize("broken", [b"x", bytes(40), b"\x02" * 20 + b"\x01" * 20])
def test_a_list_that_is_not_the_canonical_one_is_refused(story: StoryMaker, broken: bytes) -> None:
    story.withdrawn_codes = broken
    with pytest.raises(BundleBroken):
        story.trust_bundle()


def test_a_code_of_a_stolen_key_or_under_stale_trust_cannot_be_confirmed(story: StoryMaker) -> None:
    url = trace.url(story.code(), host=HOST)
    assert check_code(url, pins=pins(story), now=story.expires).outcome is Outcome.CANNOT_CONFIRM
    story.status = DeviceStatus.COMPROMISED
    assert check_code(url, pins=pins(story), now=NOW).outcome is Outcome.CANNOT_CONFIRM


def test_without_any_trust_nothing_can_be_said(story: StoryMaker) -> None:
    assert check_code(trace.url(story.code(), host=HOST), pins=[], now=NOW).outcome is Outcome.CANNOT_CONFIRM


def test_a_typed_code_is_for_the_public_page(story: StoryMaker) -> None:
    verdict = check_code(trace.short_code(story.code()), pins=pins(story), now=NOW)
    assert verdict.outcome is Outcome.CANNOT_CONFIRM


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "x",
        "/V/",
        "HTTPS://X/V/" + "A" * 5000,
        "HTTPS://X/V/%00%00",
        "é" * 100,
        "HTTPS://X/V/" + "7" * 200,
        "/v/../../etc",
    ],
)
def test_hostile_codes_are_unknown(story: StoryMaker, hostile: str) -> None:
    assert check_code(hostile, pins=pins(story), now=NOW).outcome is Outcome.UNKNOWN


def test_a_code_with_any_byte_flipped_is_unknown(story: StoryMaker, rng: random.Random) -> None:
    code = story.code()
    held = pins(story)
    for at in range(len(code)):
        flipped = code[:at] + bytes([code[at] ^ (1 << rng.randrange(8))]) + code[at + 1 :]
        text = trace.url(flipped, host=HOST)
        assert check_code(text, pins=held, now=NOW).outcome is Outcome.UNKNOWN, at


def test_a_code_signed_by_a_stranger_is_unknown(story: StoryMaker, rng: random.Random) -> None:
    stranger = StoryMaker(rng)
    assert check_code(trace.url(stranger.code(), host=HOST), pins=pins(story), now=NOW).outcome is Outcome.UNKNOWN


def test_a_target_is_told_from_its_bytes(story: StoryMaker) -> None:
    url = trace.url(story.code(), host=HOST)
    assert detect(story.stamp(strokes=1).bundle()) is Target.BUNDLE
    assert detect(b"junk %PDF-1.7 ...") is Target.PDF
    assert detect(b"\xff\xd8\xff\xe0") is Target.PHOTO
    assert detect(b"\x89PNG\r\n\x1a\n") is Target.PHOTO
    assert detect(url.encode()) is Target.CODE
    assert detect(trace.short_code(story.codes[0]).lower().encode()) is Target.CODE
    assert detect(b"hello") is detect(b"\x00\xff" * 30) is detect(b"") is Target.UNKNOWN


def test_a_pin_keeps_the_newest_bundle(story: StoryMaker, tmp_path: Path) -> None:
    root = story.keys["root"].public_key
    for version in (4, 7, 5):
        roots.pin(tmp_path, root=root, name="Example", demo=False, bundle=story.trust_bundle(version=version))
    (held,) = roots.read_all([tmp_path, tmp_path / "absent"])
    assert held.root == root
    assert held.bundle is not None
    assert held.bundle.version == 7


def test_a_demo_root_is_never_pinned_as_a_real_one(rng: random.Random, tmp_path: Path) -> None:
    demo, real = StoryMaker(rng, demo=True), StoryMaker(rng)
    with pytest.raises(BadRoot):
        roots.pin(tmp_path, root=demo.keys["root"].public_key, name="x", demo=False)
    with pytest.raises(BadRoot):
        roots.pin(tmp_path, root=real.keys["root"].public_key, name="x", demo=True)
    with pytest.raises(BadRoot):
        roots.pin(tmp_path, root=real.keys["root"].public_key, name="x", demo=False, bundle=demo.trust_bundle())
    path = roots.pin(tmp_path, root=demo.keys["root"].public_key, name="x", demo=True)
    path.write_text(path.read_text().replace("true", "false"))
    with pytest.raises(BadRoot):
        roots.read_all([tmp_path])
