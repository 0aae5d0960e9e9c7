"""The office box has no room left: the device keeps what the gateway cannot take."""

import io
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboard.demo.callers import Booth
from dashboard.demo.story import Stage
from dashboard.demo.waiting import until
from tests.fixtures.running import books, check_screen, fsck, lay, session, started

SIZE = "24m"
"""Room for a database and the photos of one stroke, and little enough to fill at once."""


def restart(stage: Stage) -> None:
    stage.at_gateway.close()
    stage.booth = Booth(stage.company.gateway.start()["session_url"].rstrip("/"))
    until("gateway", "the gateway finding the device", lambda: stage.at_gateway.device("back")["online"])


@pytest.fixture
def small_disk(stage: Stage) -> Iterator[Path]:
    """The gateway's folder on a disk of its own."""
    home = stage.company.folder / "gateway"
    stage.company.gateway.stop()
    kept = home.with_name("gateway-kept")
    home.rename(kept)
    home.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", home], check=False).returncode == 0
    try:
        shutil.copytree(kept, home, dirs_exist_ok=True)
        restart(stage)
        if not mounted:
            pytest.skip("only root may mount a small disk")
        yield home
    finally:
        stage.company.gateway.stop()
        shutil.copytree(home, kept, dirs_exist_ok=True)
        if mounted:
            subprocess.run(["umount", "-l", home], check=True)
        shutil.rmtree(home)
        kept.rename(home)
        restart(stage)


def fill(folder: Path) -> Path:
    """A file that leaves no byte."""
    filler = folder / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with pytest.raises(OSError, match="No space left"):
                write_for_ever(file, os.urandom(size))
    return filler


def write_for_ever(file: io.FileIO, data: bytes) -> None:
    while True:
        file.write(data)


def test_a_gateway_whose_disk_is_full_says_so_and_the_device_keeps_everything(stage: Stage, small_disk: Path) -> None:
    request = started(stage)
    lay(stage)
    filler = fill(small_disk)
    assert stage.beside.pull()["pressed"] is True
    until("full", "the gateway saying so", lambda: "disk is full" in session(stage)["text"])
    check_screen(stage, title="does not answer", text="disk is full. Nothing is lost")
    filler.unlink()
    row = books(stage).row(request)
    assert (row["pressed"], row["not_confirmed"], row["granted"]) == (1, 0, 1), row
    fsck(stage)
