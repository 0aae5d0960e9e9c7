"""`cinnabar verify` on what the log itself gives out: a lone record with its proof, a checkpoint, its time stamps."""

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from typer.testing import CliRunner, Result

from dashboard.cli import application
from server.eseals import anchoring
from server.eseals.anchoring import TimeAuthority
from server.ledger import cosignature, merkle
from server.ledger.cosignature import WitnessKey
from server.verification import roots, trust
from server.verification.heads import check_head
from tests.eseals.conftest import Installation, make_installation
from tests.server.verification.story_maker import NOW, Key, Keys, StoryMaker

STAMPED_AT = datetime.now(UTC) - timedelta(hours=1)


@pytest.fixture(scope="module")
def installation() -> Installation:
    return make_installation(demo=False)


@pytest.fixture(scope="module")
def stranger() -> Installation:
    return make_installation(demo=False)


@dataclass
class Desk:
    """A folder with files from a log, and the command."""

    folder: Path
    story: StoryMaker
    members: dict[str, bytes]

    @property
    def note(self) -> str:
        return self.members["checkpoint"].decode()

    def file(self, name: str, data: bytes | str) -> Path:
        path = self.folder / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    def run(self, *arguments: str | Path) -> Result:
        words = ["verify", *map(str, arguments)]
        return CliRunner().invoke(application(words), words)

    def said(self, *arguments: str | Path) -> str:
        """What a person reads, line breaks left out."""
        return " ".join(self.run(*arguments).stdout.split())

    def answer(self, *arguments: str | Path) -> dict[str, object]:
        found = self.run(*arguments, "--json")
        body: dict[str, object] = json.loads(found.stdout)
        assert body["exit"] == found.exit_code
        return body

    def record(self, number: int) -> Path:
        """The .cose of leaf `number`, its proof beside it."""
        leaf_hash = merkle.leaf_hash(self.story.log.leaves[number]).hex()
        self.file(f"{leaf_hash}.tlog-proof", self.members[f"proofs/{leaf_hash}.tlog-proof"])
        return self.file(f"{leaf_hash}.cose", self.story.log.leaves[number])

    def stamp(self, name: str, by: Installation, note: str | None = None) -> Path:
        one = TimeAuthority(
            name=name,
            own=False,
            ask=lambda request: by.tsa.stamp(request, now=STAMPED_AT, serial=bytes(15) + b"\x01"),
            certificates=(by.root.certificate,),
        )
        answer, _time = anchoring.stamp((note or self.note).encode(), one, nonce=bytes(8), now=STAMPED_AT)
        return self.file(f"{name}.tsr", answer)


@pytest.fixture
def desk(rng: random.Random, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installation: Installation) -> Desk:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("CINNABAR_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    story = StoryMaker(rng, expires=NOW + 3000 * 86_400)
    story.authorities = (installation.root.certificate.public_bytes(Encoding.DER),)
    story.witnesses = (trust.WitnessKey(name="own.example/w", public_key=key(7).public_key, own=True),)
    story.stamp()
    root = story.keys["root"].public_key
    roots.pin(tmp_path / "home" / "roots", root=root, name="Example", demo=False, bundle=story.trust_bundle())
    return Desk(tmp_path, story, story.members())


def key(number: int) -> Key:
    return Keys(random.Random(number))["witness"]


def cosigned(note: str, name: str, by: Key) -> str:
    return cosignature.with_lines(note, [cosignature.sign(note, name=name, time=NOW, key=by).line])


def test_every_lone_record_is_good_with_the_proof_beside_it(desk: Desk) -> None:
    kinds = set()
    for number in range(len(desk.story.log.leaves)):
        body = desk.answer(desk.record(number))
        assert (body["outcome"], body["index"], body["target"]) == ("good", number, "record"), number
        kinds.add(str(body["record"]).split()[0])
    assert kinds == {"entry", "event", "token", "permit"}


def test_a_record_without_its_proof_cannot_be_said(desk: Desk) -> None:
    lone = desk.file("lone.cose", desk.story.log.leaves[0])
    found = desk.run(lone)
    assert found.exit_code == 2
    assert "tlog-proof" in found.stderr


def test_a_changed_record_or_the_proof_of_another_is_refused(desk: Desk) -> None:
    path = desk.record(0)
    other = merkle.leaf_hash(desk.story.log.leaves[1]).hex()
    proof = desk.file("other.tlog-proof", desk.members[f"proofs/{other}.tlog-proof"])
    assert desk.answer(path, "--proof", proof)["exit"] == 1
    path.write_bytes(path.read_bytes()[:-1] + bytes([path.read_bytes()[-1] ^ 1]))
    assert desk.answer(path)["exit"] == 1


def test_a_record_that_its_signer_did_not_sign_is_refused_though_it_is_in_the_log(desk: Desk) -> None:
    story = desk.story
    story.keys.known["device"], honest = key(9), story.keys["device"]
    story.stroke(1)
    story.keys.known["device"] = honest
    members = story.members()
    leaf_hash = merkle.leaf_hash(story.log.leaves[-1]).hex()
    desk.file("x.tlog-proof", members[f"proofs/{leaf_hash}.tlog-proof"])
    found = desk.run(desk.file("x.cose", story.log.leaves[-1]))
    assert found.exit_code == 1
    assert "signature" in found.stdout


def test_without_a_trusted_root_nothing_is_confirmed(desk: Desk, tmp_path: Path) -> None:
    for pin in (tmp_path / "home" / "roots").glob("*.json"):
        pin.unlink()
    for target in (desk.record(0), desk.file("checkpoint", desk.note)):
        assert desk.answer(target)["exit"] == 2
    trusted = desk.file("trust.cose", desk.story.trust_bundle())
    assert desk.answer(desk.record(0), "--trust", trusted)["outcome"] == "good"


def test_a_checkpoint_says_that_nobody_outside_saw_it(desk: Desk) -> None:
    found = desk.run(desk.file("checkpoint", desk.note))
    assert found.exit_code == 0
    assert "no outside witnesses" in found.stdout
    assert "nobody but the operator" in found.stdout


def test_a_forged_checkpoint_is_refused(desk: Desk) -> None:
    lines = desk.note.split("\n")
    lines[1] = str(int(lines[1]) + 1)
    assert desk.answer(desk.file("checkpoint", "\n".join(lines)))["exit"] == 1


def test_own_witnesses_are_named_and_only_outside_ones_are_counted(desk: Desk) -> None:
    outside = WitnessKey(name="partner.example/w", public_key=key(8).public_key)
    note = cosigned(cosigned(desk.note, "own.example/w", key(7)), outside.name, key(8))
    path = desk.file("checkpoint", note)
    unknown = desk.answer(path)
    assert (unknown["outside_witnesses"], unknown["exit"]) == (0, 0)
    assert "nobody here vouched for" in desk.said(path)
    known = desk.answer(path, "--witness", outside.text())
    assert known["outside_witnesses"] == 1
    assert [(one["name"], one["own"]) for one in known["witnesses"]] == [  # type: ignore[attr-defined]
        ("own.example/w", True),
        (outside.name, False),
    ]
    assert "own.example/w (own, counts for nothing)" in desk.said(path)


def test_a_line_of_a_known_witness_that_does_not_verify_is_refused(desk: Desk) -> None:
    outside = WitnessKey(name="partner.example/w", public_key=key(8).public_key)
    other = cosignature.sign(
        desk.note.replace(desk.note.split("\n")[1], "1", 1), name=outside.name, time=NOW, key=key(8)
    )
    path = desk.file("checkpoint", cosignature.with_lines(desk.note, [other.line]))
    assert desk.answer(path, "--witness", outside.text())["exit"] == 1
    assert desk.run(path, "--witness", "no vkey").exit_code == 2


def test_a_stamp_is_checked_with_all_its_cms_and_labelled(
    desk: Desk, installation: Installation, stranger: Installation
) -> None:
    note = cosigned(desk.note, "own.example/w", key(7))  # stamps are over the note with the log's line alone
    path = desk.file("checkpoint", note)
    own, outside = desk.stamp("mine", installation), desk.stamp("theirs", stranger)
    alone = desk.answer(path, "--anchor", own)
    assert (alone["exit"], alone["outside_time_stamps"]) == (0, 0)
    assert "own, counts for nothing" in desk.said(path, "--anchor", own)
    unknown = desk.answer(path, "--anchor", outside)
    assert (unknown["exit"], unknown["outcome"]) == (2, "cannot_confirm")
    pem = desk.file("theirs.pem", stranger.root.certificate.public_bytes(Encoding.PEM))
    both = desk.answer(path, "--anchor", own, "--anchor", outside, "--time-authority", pem)
    assert (both["exit"], both["outside_time_stamps"]) == (0, 1)
    assert [one["authority"] for one in both["time_stamps"]] == ["own", "theirs"]  # type: ignore[attr-defined]


def test_a_stamp_with_the_right_imprint_and_a_broken_signature_is_refused(
    desk: Desk, installation: Installation
) -> None:
    path, stamp = desk.file("checkpoint", desk.note), desk.stamp("mine", installation)
    data = stamp.read_bytes()
    for at in (len(data) - 5, len(data) // 2):
        stamp.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        assert desk.answer(path, "--anchor", stamp)["exit"] != 0, at
    stamp.write_bytes(data[: len(data) - 5] + bytes([data[-5] ^ 1]) + data[-4:])
    assert desk.answer(path, "--anchor", stamp)["exit"] == 1


def test_a_stamp_over_another_checkpoint_is_refused(desk: Desk, installation: Installation) -> None:
    path = desk.file("checkpoint", desk.note)
    assert desk.answer(path, "--anchor", desk.stamp("mine", installation, note="other\n"))["exit"] == 1


def test_text_that_is_no_checkpoint_is_refused_and_never_raises(rng: random.Random) -> None:
    for _ in range(200):
        text = rng.randbytes(rng.randrange(200)).decode("latin-1")
        assert check_head(text, pins=(), witnesses=(), now=NOW).outcome.value == "refused"
