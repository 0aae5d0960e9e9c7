"""Trace codes offline, what a target is, and pins."""

import random
from pathlib import Path

import pytest

from firmware_protocol import trace
from server.verification import roots
from server.verification.code import Outcome, check_code, code_hash
from server.verification.roots import BadRoot, Pin, of_bundle
from server.verification.target import Target, detect
from server.verification.trust import DeviceStatus, Withdrawal
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
