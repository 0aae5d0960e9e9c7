"""Every write of journal and outbox may be the last one before the dark; the short form of `campaign power`."""

import shutil
import sys
from pathlib import Path
from random import Random

import pytest

from tests.power import campaign
from tests.power.tape import Call, Disk

pytestmark = pytest.mark.skipif(
    shutil.which("strace") is None or sys.platform != "linux", reason="strace, which writes the tape, is not here"
)


def test_a_power_cut_or_a_failed_write_anywhere_loses_nothing_that_was_promised(tmp_path: Path, seed: int) -> None:
    found = campaign.run(tmp_path, Random(seed), states=1, every=45)
    assert found["words"] == []
    assert found["violations"] == 0
    assert min(found["cuts"], found["injections"]) >= 5
    assert found["control_lost"] > 0, "the control with synchronous=NORMAL must lose something, or this test is blind"


def test_the_model_of_the_disk_forgets_what_was_not_synced() -> None:
    disk = Disk()
    for call in (
        Call("open", "/d/a", number=4),
        Call("write", "/d/a", b"x" * 2000),
        Call("sync", "/d/a"),
        Call("write", "/d/a", b"y" * 2000),
    ):
        disk.do(call)
    states = [disk.crash(Random(number))["a"] for number in range(40)]
    assert all(state[:2000] == b"x" * 2000 for state in states)
    assert {len(state) for state in states} > {2000, 4000}
    assert any(b"\0" in state for state in states), "a sector in the middle may be missing"


def test_a_name_that_was_not_synced_may_be_missing() -> None:
    disk = Disk()
    for call in (
        Call("open", "/d/a.new", number=4),
        Call("sync", "/d/a.new"),
        Call("rename", "/d/a.new", other="/d/a"),
    ):
        disk.do(call)
    found = {tuple(disk.crash(Random(number))) for number in range(40)}
    assert found == {("a.new",), ("a",)}
    disk.do(Call("sync", "/d"))
    assert {tuple(disk.crash(Random(number))) for number in range(40)} == {("a",)}
