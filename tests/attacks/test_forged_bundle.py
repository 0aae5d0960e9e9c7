"""A bundle that brings its own keys: consistent in itself, and refused by whoever knows the real root."""

import json
import random
from pathlib import Path

from dashboard.demo.story import Stage
from tests.fixtures.running import command
from tests.server.verification.story_maker import StoryMaker


def test_a_bundle_that_brings_its_own_keys_is_never_good(stage: Stage, rng: random.Random, tmp_path: Path) -> None:
    forged = tmp_path / "evidence.zip"
    forged.write_bytes(StoryMaker(rng, demo=True, expires=2_000_000_000).stamp(strokes=1).bundle())
    trust = stage.company.home / "trust.cose"
    answer = command("verify", str(forged), "--trust", str(trust), "--json")
    said = json.loads(answer.stdout)
    assert (answer.returncode, said["outcome"]) == (2, "issuer_unknown"), said
    assert "issuer unknown" in said["words"]
