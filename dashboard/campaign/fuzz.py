"""`campaign fuzz`: a million executions of every parser that reads what a stranger may have written, under atheris.

The list is `tests/fuzz/parsers.py`, which a clone has and a wheel has not. One process per parser; what got through is
named with the bytes that did it.
"""

import importlib.util
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from dashboard.cli import ROOT
from dashboard.figures import CannotRun, Options, Report

RUNS: Final = 1_000_000
QUICK_RUNS: Final = 5_000
_NOISE: Final = ("INFO", "WARNING: Failed to find function")


def run(options: Options) -> Report:
    """Raises: CannotRun."""
    if not (ROOT / "tests" / "fuzz").is_dir():
        raise CannotRun("campaign fuzz runs from a clone of the repository: its list of parsers is in tests/fuzz")
    if importlib.util.find_spec("atheris") is None:
        raise CannotRun(
            "campaign fuzz needs atheris, which exists for Linux only; `./cinnabar check` installs it there"
        )
    listed = subprocess.run(
        [sys.executable, "-c", "from tests.fuzz.parsers import PARSERS; print(*PARSERS)"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    names = listed.stdout.split()
    runs = QUICK_RUNS if options.quick else RUNS
    with tempfile.TemporaryDirectory(prefix="cinnabar-fuzz-") as folder, ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda name: _one(name, runs, Path(folder) / name, options.seed), names))
    uncaught = [words for words in found if words]
    return Report(
        figures={"uncaught": len(uncaught)},
        counts={"parsers": len(names), "executions": runs * (len(names) - len(uncaught))},
        targets={"uncaught": ("<=", 0)},
        notes=tuple(uncaught),
    )


def _one(name: str, runs: int, corpus: Path, seed: int) -> str:
    """Empty, or what got through."""
    answer = subprocess.run(  # noqa: S603 - our own command
        [sys.executable, "-m", "tests.fuzz.campaign", name, str(runs), str(corpus), str(seed)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    if answer.returncode == 0 and f"Done {runs} " in answer.stderr:
        return ""
    crashes = [file.read_bytes().hex() for file in corpus.glob("crash-*")]
    said = [line for line in answer.stderr.splitlines() if line.strip() and not line.startswith(_NOISE)]
    return f"{name}: exit {answer.returncode}: {' / '.join(said[:8])[:600]}; bytes: {crashes}"
