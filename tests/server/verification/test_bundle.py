"""One test per way to change a bundle; each must be refused and the member named."""

import hashlib
import io
import random
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from firmware_protocol import events
from server.ledger import merkle
from server.ledger.entry_types import EntryType
from server.verification import bundle, container, manifest
from server.verification.bundle import BundleVerdict, Outcome
from server.verification.checks import Result
from server.verification.roots import Pin, of_bundle
from server.verification.trust import DeviceStatus, Withdrawal
from tests.server.verification.story_maker import NOW, StoryMaker

CHECKS = (
    *(
        "container",
        "manifest",
        "trust bundle",
        "root",
        "checkpoint",
        "signatures",
        "log proofs",
        "openings",
        "document",
    ),
    *(
        "request digest",
        "decisions",
        "four eyes",
        "tokens",
        "device chain",
        "strokes",
        "photos",
        "record",
        "completeness",
    ),
)


@pytest.fixture
def story(rng: random.Random) -> StoryMaker:
    return StoryMaker(rng)


def pin_of(story: StoryMaker) -> Pin:
    return of_bundle(story.trust_bundle())


def judged(data: bytes, story: StoryMaker) -> BundleVerdict:
    return bundle.verify(data, pins=[pin_of(story)], now=NOW)


def repacked(members: dict[str, bytes], story: StoryMaker) -> bytes:
    """A bundle whose manifest fits its members again, as a careful forger would make it."""
    rest = {name: data for name, data in members.items() if name != manifest.NAME}
    return bundle.build(rest, request=story.request, record=story.record)


def members_of(story: StoryMaker) -> dict[str, bytes]:
    return container.unpack(story.bundle())[0]


def failures(verdict: BundleVerdict) -> list[tuple[str, str, str]]:
    return [(one.name, one.member, one.compared) for one in verdict.checks if one.result is Result.FAILED]


def test_a_whole_story_is_good_under_its_pinned_root(story: StoryMaker) -> None:
    verdict = judged(story.stamp().bundle(), story)
    assert failures(verdict) == []
    assert verdict.outcome is Outcome.GOOD
    assert verdict.request == story.request
    assert verdict.document == story.document_digest
    assert [stroke.code for stroke in verdict.strokes] == story.codes
    assert {one.name for one in verdict.checks} >= set(CHECKS)


def test_any_unzip_opens_it(story: StoryMaker) -> None:
    with zipfile.ZipFile(io.BytesIO(story.stamp().bundle())) as opened:
        assert opened.testzip() is None
        assert opened.read("document.pdf") == story.document


def test_equal_members_are_equal_bytes(story: StoryMaker) -> None:
    members = story.stamp().members()
    backwards = dict(reversed(members.items()))
    again = bundle.build(backwards, request=story.request, record=story.record)
    assert again == bundle.build(members, request=story.request, record=story.record)


def test_a_flipped_byte_in_any_member_is_named(story: StoryMaker, rng: random.Random) -> None:
    data = story.stamp(strokes=1).bundle()
    pin = pin_of(story)
    for name, content in container.unpack(data)[0].items():
        at = data.index(content) + rng.randrange(len(content))
        flipped = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        verdict = bundle.verify(flipped, pins=[pin], now=NOW)
        assert verdict.outcome is Outcome.REFUSED, name
        assert verdict.named[0] == name


def test_a_flipped_byte_is_named_even_when_the_manifest_is_made_to_fit(story: StoryMaker, rng: random.Random) -> None:
    members = members_of(story.stamp(strokes=1))
    pin = pin_of(story)
    for name in members:
        if name == manifest.NAME:
            continue
        content = bytearray(members[name])
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        verdict = bundle.verify(repacked({**members, name: bytes(content)}, story), pins=[pin], now=NOW)
        assert verdict.outcome is Outcome.REFUSED, name
        assert name in verdict.named, (name, failures(verdict))


def test_any_flipped_byte_of_the_container_is_refused(story: StoryMaker, rng: random.Random) -> None:
    data = story.stamp(strokes=1).bundle()
    pin = pin_of(story)
    for _ in range(60):
        at = rng.randrange(4, len(data))
        flipped = data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
        assert bundle.verify(flipped, pins=[pin], now=NOW).outcome is Outcome.REFUSED, at


@pytest.mark.parametrize("cut", [0, 1, 3, 4, 30, 200, -1, -22])
def test_a_cut_bundle_is_never_good(story: StoryMaker, cut: int) -> None:
    data = story.stamp(strokes=1).bundle()
    assert judged(data[:cut], story).outcome in (Outcome.REFUSED, Outcome.UNREADABLE)


def test_a_missing_member_is_named(story: StoryMaker) -> None:
    members = members_of(story.stamp(strokes=1))
    pin = pin_of(story)
    for name in members:
        rest = {one: data for one, data in members.items() if one != name}
        verdict = bundle.verify(container.pack(rest), pins=[pin], now=NOW)
        assert verdict.outcome is Outcome.REFUSED
        assert name in verdict.named


def test_a_leaf_or_photo_left_out_with_a_fitting_manifest_is_named(story: StoryMaker) -> None:
    members = members_of(story.stamp(strokes=1))
    pin = pin_of(story)
    filed = f"entries/{merkle.leaf_hash(story.log.leaves[-1]).hex()}.cose"
    for name in (one for one in members if one.startswith(("entries/", "photos/", "proofs/"))):
        rest = {one: data for one, data in members.items() if one != name}
        verdict = bundle.verify(repacked(rest, story), pins=[pin], now=NOW)
        assert verdict.outcome is Outcome.REFUSED
        assert name in verdict.named or name == filed, (name, failures(verdict))


def test_an_added_member_is_named(story: StoryMaker) -> None:
    members = members_of(story.stamp(strokes=1))
    verdict = judged(container.pack({**members, "anchors/extra.tsr": b"x"}), story)
    assert "anchors/extra.tsr" in verdict.named


@pytest.mark.parametrize("folder", ["photos", "entries", "openings", "decisions"])
def test_swapped_members_are_both_named(story: StoryMaker, folder: str) -> None:
    story.submit()
    story.decide(by="another person")
    members = members_of(story.stamp(strokes=2))
    first, second, *_ = [name for name in members if name.startswith(f"{folder}/")]
    swapped = {**members, first: members[second], second: members[first]}
    for data in (container.pack(swapped), repacked(swapped, story)):
        assert {first, second} <= set(judged(data, story).named)


def test_a_bundle_signed_anew_with_other_keys_is_not_accepted(story: StoryMaker, rng: random.Random) -> None:
    forger = StoryMaker(rng)
    forged = forger.stamp().bundle()
    assert bundle.verify(forged, pins=[], now=NOW).outcome is Outcome.ISSUER_UNKNOWN
    verdict = judged(forged, story)
    assert verdict.outcome is Outcome.REFUSED  # it calls itself a pinned installation, under another root
    assert "trust.cose" in verdict.named


def test_an_installation_nobody_pinned_is_consistent_but_unknown(story: StoryMaker) -> None:
    verdict = bundle.verify(story.stamp().bundle(), pins=[], now=NOW)
    assert verdict.outcome is Outcome.ISSUER_UNKNOWN
    assert failures(verdict) == []


def test_a_demo_bundle_says_demo_and_needs_a_demo_pin(rng: random.Random) -> None:
    demo = StoryMaker(rng, demo=True)
    data = demo.stamp(strokes=1).bundle()
    accepted = judged(data, demo)
    assert (accepted.outcome, accepted.demo) == (Outcome.GOOD, True)
    posing = Pin(root=demo.keys["root"].public_key, name="as production", demo=False)
    assert bundle.verify(data, pins=[posing], now=NOW).outcome is Outcome.ISSUER_UNKNOWN


def test_an_expired_trust_bundle_cannot_confirm_until_a_newer_one_is_given(story: StoryMaker) -> None:
    data = story.stamp(strokes=1).bundle()
    old = pin_of(story)
    late = story.expires + 5
    assert bundle.verify(data, pins=[old], now=late).outcome is Outcome.CANNOT_CONFIRM
    story.version, story.expires = 9, late + 1000
    assert bundle.verify(data, pins=[pin_of(story)], now=late).outcome is Outcome.GOOD


def test_an_older_trust_bundle_inside_cannot_hide_a_withdrawal_or_a_stolen_key(story: StoryMaker) -> None:
    data = story.stamp(strokes=1).bundle()
    story.version = 9
    story.withdrawals = (Withdrawal(kind="code", id=hashlib.sha256(story.codes[0]).digest(), since=NOW, reason="lost"),)
    verdict = judged(data, story)
    assert verdict.outcome is Outcome.GOOD
    assert any("withdrawn" in note for note in verdict.notes)
    story.status = DeviceStatus.COMPROMISED
    assert judged(data, story).outcome is Outcome.REFUSED


Change = Callable[[StoryMaker], object]


def whole(story: StoryMaker, *, decide: Change, stroke: Change, token: Change | None = None) -> StoryMaker:
    story.submit()
    decide(story)
    signed = token(story) if token else story.token()
    assert isinstance(signed, bytes)
    story.grant(signed)
    stroke(story)
    return story.file()


WRONG: dict[str, tuple[Change, Change, Change | None]] = {
    "approval by the requester": (lambda s: s.decide(by=s.requester), lambda s: s.stroke(1), None),
    "no approval": (lambda s: None, lambda s: s.stroke(1), None),
    "a rejection": (lambda s: s.decide(approved=False), lambda s: s.stroke(1), None),
    "approval of another digest": (lambda s: s.decide(digest=bytes(32)), lambda s: s.stroke(1), None),
    "token for another document": (
        lambda s: s.decide(),
        lambda s: s.stroke(1),
        lambda s: s.token(document=hashlib.sha256(b"another").digest()),
    ),
    "more strokes than approved": (lambda s: s.decide(), lambda s: s.stroke(1), lambda s: s.token(strokes=9)),
    "permit for a page of another document": (
        lambda s: s.decide(),
        lambda s: s.stroke(1, document=hashlib.sha256(b"another").digest()),
        None,
    ),
    "a counter that did not move": (lambda s: s.decide(), lambda s: s.stroke(1, moved=0), None),
    "an intent without an end": (
        lambda s: s.decide(),
        lambda s: s.event(events.Intent(token_id=s.token_id, stroke=1, permit_digest=bytes(32), page=1)),
        None,
    ),
    "an event that does not follow": (
        lambda s: s.decide(),
        lambda s: (s.stroke(1), s.event(events.Sensor(sensor="lamp", value=1), previous=bytes(32))),
        None,
    ),
    "a device that counts wrong": (
        lambda s: s.decide(),
        lambda s: (
            s.stroke(1),
            s.event(events.Closed(token_id=s.token_id, strokes_used=2, cause=events.Cause.USED_UP)),
        ),
        None,
    ),
    "a stroke of another token": (
        lambda s: s.decide(),
        lambda s: (
            s.stroke(1),
            s.event(events.Intent(token_id=bytes(16), stroke=1)),
        ),
        None,
    ),
}


@pytest.mark.parametrize("what", sorted(WRONG))
def test_a_story_that_does_not_fit_is_refused_although_every_signature_holds(story: StoryMaker, what: str) -> None:
    decide, stroke, token = WRONG[what]
    verdict = judged(whole(story, decide=decide, stroke=stroke, token=token).bundle(), story)
    assert verdict.outcome is Outcome.REFUSED
    assert all(one.passed for one in verdict.checks if one.name in ("signatures", "log proofs", "manifest", "record"))
    assert all(member for name, member, _compared in failures(verdict) if name != "use")


def test_the_same_steps_in_order_are_good(story: StoryMaker) -> None:
    verdict = judged(whole(story, decide=StoryMaker.decide, stroke=lambda s: s.stroke(1)).bundle(), story)
    assert failures(verdict) == []


@pytest.mark.parametrize("key", ["another device", "token", "entry"])
def test_an_event_signed_by_another_key_is_refused(story: StoryMaker, key: str) -> None:
    story.submit()
    story.decide()
    story.grant(story.token())
    story.stroke(1)
    leaf = story.event(events.Sensor(sensor="lamp", value=1), key=key)
    verdict = judged(story.file().bundle(), story)
    assert f"entries/{merkle.leaf_hash(leaf).hex()}.cose" in verdict.named


def test_a_token_issued_after_the_request_was_voided_is_refused(story: StoryMaker) -> None:
    story.submit()
    story.decide()
    story.entry(
        EntryType.REQUEST_VOIDED,
        refs={"request": story.request},
        public={"old_digest": story.request_digest},
        private={"reason": "changed"},
    )
    token = story.token()
    story.grant(token)
    story.stroke(1)
    verdict = judged(story.file().bundle(), story)
    assert f"entries/{merkle.leaf_hash(token).hex()}.cose" in verdict.named


def test_withheld_openings_are_said_and_not_counted_as_agreement(story: StoryMaker) -> None:
    story.stamp(strokes=1)
    story.others = {name: data for name, data in story.others.items() if not name.startswith("openings/")}
    verdict = judged(story.bundle(), story)
    assert verdict.outcome is Outcome.GOOD
    assert {one.name for one in verdict.checks if one.result is Result.NOT_SHOWN} == {"request digest", "four eyes"}


def test_a_photo_no_event_names_is_refused(story: StoryMaker) -> None:
    members = members_of(story.stamp(strokes=1))
    name = f"photos/{hashlib.sha256(b'other').hexdigest()}.jpg"
    assert name in judged(repacked({**members, name: b"other"}, story), story).named


def test_a_compressed_zip_of_the_same_members_is_refused(story: StoryMaker, tmp_path: Path) -> None:
    members = members_of(story.stamp(strokes=1))
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as out:
        for name, data in sorted(members.items()):
            out.writestr(name, data)
    verdict = judged((tmp_path / "b.zip").read_bytes(), story)
    assert verdict.outcome is Outcome.REFUSED
    assert verdict.checks[0].name == "container"


@pytest.mark.parametrize("garbage", [b"", b"PK", b"PK\x03\x04", b"%PDF-1.7", b"PK\x05\x06" + bytes(18), bytes(4096)])
def test_garbage_is_answered(story: StoryMaker, garbage: bytes) -> None:
    assert judged(garbage, story).outcome in (Outcome.UNREADABLE, Outcome.REFUSED)
