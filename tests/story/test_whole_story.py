"""One stamping from request to public verification; then each claim about its files, checked with foreign tools."""

import hashlib
import json
import random
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pikepdf
import pytest
import zxingcpp
from cwt import COSE, COSEKey
from PIL import Image

from dashboard.demo import outcome, story
from dashboard.demo.outcome import FILES, Outcome
from dashboard.demo.story import Stage
from firmware_protocol import cose, events, tokens
from firmware_protocol.errors import ProtocolError
from firmware_protocol.purposes import Purpose
from server.core.clock import SystemClock
from server.verification import bundle, container, manifest
from server.verification.roots import of_bundle
from server.verification.trust import read_bundle
from tests.fixtures.running import books, command, fsck
from tests.story.forger import forged

pytestmark = pytest.mark.usefixtures("logs")


@dataclass(frozen=True, slots=True)
class Told:
    """A story that is over, and what it left in a folder."""

    stage: Stage
    folder: Path
    members: dict[str, bytes]
    uploaded_digest: str

    def file(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()


@pytest.fixture(scope="module")
def told(company: Stage, tmp_path_factory: pytest.TempPathFactory) -> Told:
    out = Outcome(out=tmp_path_factory.mktemp("files"))
    story.play(company, story.STAMPING)
    digest = company.person("clerk").get("digest", f"/api/v1/requests/{company.request_id}")["document_digest"]
    story.play(company, outcome.closing(out))
    outcome.summary(company, out)
    members, faults = container.unpack((out.out / "evidence.zip").read_bytes())
    assert faults == []
    return Told(stage=company, folder=out.out, members=members, uploaded_digest=digest)


def test_every_file_is_there_and_every_check_was_good(told: Told) -> None:
    assert sorted(path.name for path in told.folder.iterdir()) == sorted(FILES)
    summary = json.loads(told.file("summary.json"))
    files = {"evidence.zip": "good", "sealed.pdf": "sealed", "code": "known", "after.jpg": "known"}
    assert summary["checks"] == files | {"fsck": "justified"}
    assert summary["log"]["size"] > 10
    assert set(summary["ms"]) >= {"request", "token", "press", "verify offline"}


def test_the_document_is_what_was_uploaded_byte_for_byte(told: Told) -> None:
    document = told.file("document.pdf")
    assert hashlib.sha256(document).hexdigest() == told.uploaded_digest
    path = f"/api/v1/requests/{told.stage.request_id}/document"
    assert told.stage.person("approver").send("read", "GET", path).content == document
    with pikepdf.open(told.folder / "document.pdf") as kept:
        assert len(kept.pages) == told.stage.contract.page


def test_pdfsig_finds_a_valid_signature(told: Told) -> None:
    said = subprocess.run(
        ["/usr/bin/env", "pdfsig", "-nocert", told.folder / "sealed.pdf"], capture_output=True, text=True, check=False
    ).stdout
    assert re.findall(r"Signature Validation: (.*)", said)[0] == "Signature is Valid.", said


def test_python_cwt_verifies_the_token_of_the_bundle(told: Told) -> None:
    trusted = read_bundle(told.members["trust.cose"])
    keys = [_okp(key_id, key) for key_id, key in trusted.keys_for(Purpose.TOKEN).items()]
    found = [leaf for name, leaf in told.members.items() if name.startswith("entries/") and _is_token(leaf)]
    assert len(found) == 1
    claims = COSE.new().decode(found[0], keys, external_aad=b"seal/1/token")
    assert tokens.read(claims).device_id == told.stage.device_id
    with pytest.raises(Exception, match=r".+"):  # python-cwt has many error classes
        COSE.new().decode(found[0], keys, external_aad=b"seal/1/permit")


def _okp(key_id: bytes, public_key: bytes) -> Any:
    """RFC 9053 section 7.2 and RFC 9864: kty OKP, curve Ed25519, alg -19."""
    return COSEKey.new({1: 1, 2: key_id, 3: -19, -1: 6, -2: public_key})


def _is_token(leaf: bytes) -> bool:
    try:
        tokens.read(cose.parse1(leaf).payload)
    except ProtocolError:
        return False
    return True


def test_zxing_reads_the_code_on_the_photo_and_verify_accepts_it(told: Told) -> None:
    with Image.open(told.folder / "after.jpg") as photo:
        texts = [code.text for code in zxingcpp.read_barcodes(photo)]
    ours = [text for text in texts if "/V/" in text]
    assert ours == [json.loads(told.file("summary.json"))["trace_url"]]
    answer = command("verify", ours[0], "--trust", str(told.folder / "trust.cose"), "--json")
    assert (answer.returncode, json.loads(answer.stdout)["outcome"]) == (0, "known"), answer.stderr


def test_a_flipped_byte_in_any_member_is_named(told: Told, rng: random.Random) -> None:
    pins, now = [of_bundle(told.file("trust.cose"))], int(SystemClock().now().timestamp())
    good = bundle.verify(told.file("evidence.zip"), pins=pins, now=now)
    assert good.outcome is bundle.Outcome.GOOD, good.named
    for name, data in told.members.items():
        at = rng.randrange(len(data))
        flipped = data[:at] + bytes([data[at] ^ 1 << rng.randrange(8)]) + data[at + 1 :]
        verdict = bundle.verify(container.pack({**told.members, name: flipped}), pins=pins, now=now)
        assert verdict.outcome is bundle.Outcome.REFUSED, name
        if name == manifest.NAME:  # a flipped digest or name shows as the member it no longer fits
            assert verdict.named, at
        else:
            assert name in verdict.named, (name, at, verdict.named)


def test_a_flipped_byte_is_named_by_the_command_with_exit_1(told: Told, rng: random.Random, tmp_path: Path) -> None:
    name = rng.choice(sorted(set(told.members) - {manifest.NAME}))
    changed = bytearray(told.members[name])
    changed[rng.randrange(len(changed))] ^= 1
    target = tmp_path / "evidence.zip"
    target.write_bytes(container.pack({**told.members, name: bytes(changed)}))
    answer = command("verify", str(target), "--trust", str(told.folder / "trust.cose"), "--json")
    said = json.loads(answer.stdout)
    assert (answer.returncode, said["outcome"]) == (1, "refused"), name
    assert name in said["named"], (name, said)


def test_a_bundle_wholly_signed_anew_with_other_keys_is_refused(told: Told, rng: random.Random, tmp_path: Path) -> None:
    target = tmp_path / "evidence.zip"
    target.write_bytes(forged(told.members, rng))
    alone = command("verify", str(target), "--json", home=tmp_path)  # where nobody pinned anything
    assert (alone.returncode, json.loads(alone.stdout)["outcome"]) == (2, "issuer_unknown"), alone.stdout
    answer = command("verify", str(target), "--trust", str(told.folder / "trust.cose"), "--json")
    said = json.loads(answer.stdout)
    assert (answer.returncode, said["outcome"], said["named"]) == (1, "refused", ["trust.cose"]), said


def test_device_gateway_ledger_and_dashboard_count_the_same(told: Told) -> None:
    found = books(told.stage)
    row = found.row(told.stage.request_id)
    counts = {key: row[key] for key in ("approved", "granted", "pressed", "photographed", "agreeing")}
    assert counts == dict.fromkeys(counts, 1)
    assert (row["balanced"], row["filed"], row["alarms"], row["not_confirmed"]) == (True, True, 0, 0), row
    done = [leaf for name, leaf in told.members.items() if name.startswith("entries/") and _is_done(leaf)]
    assert len(done) == found.pressed == found.counter
    fsck(told.stage)


def _is_done(leaf: bytes) -> bool:
    try:
        return isinstance(events.peek(leaf).body, events.Done)
    except ProtocolError:
        return False
