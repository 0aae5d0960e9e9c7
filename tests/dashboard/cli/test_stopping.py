"""A bench that is stopped leaves nothing running: no broker, no database, no role of the server."""

import os
import signal
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from dashboard.cli import ROOT
from dashboard.cli.measure import STOPPED

LOOKS = 3_000
"""Of 100 ms, until a wait is given up."""
MARK = "CINNABAR_TEST_MARK"

pytestmark = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks for processes in /proc")


def started_by(mark: str) -> list[str]:
    """The command lines of all living processes that inherited `mark`."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"{MARK}={mark}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\x00", b" ").decode())
        except OSError:  # ended meanwhile, or another user's
            continue
    return [line for line in found if line]


def until(condition: Callable[[], bool], otherwise: Callable[[], object]) -> None:
    pause = threading.Event()
    for _ in range(LOOKS):
        if condition():
            return
        pause.wait(0.1)
    raise AssertionError(otherwise())


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not tmp_path: PostgreSQL's own user must be able to enter."""
    with tempfile.TemporaryDirectory(prefix="stopping-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


@pytest.mark.parametrize(("number", "living"), [(signal.SIGTERM, ("postgres ", "mosquitto ")), (signal.SIGINT, ())])
def test_bench_that_is_stopped_leaves_no_process(number: int, living: tuple[str, ...], folder: Path) -> None:
    """SIGTERM while broker and database run; SIGINT while the database is being made."""
    mark = uuid4().hex
    environment = os.environ | {MARK: mark, "TMPDIR": str(folder)}
    command = [str(ROOT / "cinnabar"), "bench", "ledger", "--quick"]
    bench = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def runs(part: str) -> bool:
        return any(part in line for line in started_by(mark))

    wanted = living or ("initdb ",)
    until(lambda: bench.poll() is not None or all(runs(part) for part in wanted), lambda: started_by(mark))
    bench.send_signal(number)
    _said, errors = bench.communicate()
    assert (bench.returncode, "ledger was stopped" in errors) == (STOPPED, True), errors
    until(lambda: not started_by(mark), lambda: started_by(mark))
    assert list(folder.glob("cinnabar-*")) == []
