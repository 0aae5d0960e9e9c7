"""`campaign power`: the power goes before, and a failure hits, every write of journal and outbox.

The work is in `tests/power`, which a clone has and a wheel has not. It needs strace. The control runs SQLite with
synchronous=NORMAL and must lose something: a campaign that finds nothing there would find nothing anywhere.
"""

import json
import shutil
import subprocess
import sys

from dashboard.cli import ROOT
from dashboard.figures import CannotRun, Options, Report


def run(options: Options) -> Report:
    """Raises: CannotRun."""
    if not (ROOT / "tests" / "power").is_dir():
        raise CannotRun("campaign power runs from a clone of the repository: its programs are in tests/power")
    if shutil.which("strace") is None:
        raise CannotRun("campaign power needs strace; install the Debian package strace")
    command = [sys.executable, "-m", "tests.power.campaign", "--seed", str(options.seed)]
    answer = subprocess.run(  # noqa: S603 - our own command
        [*command, *(["--quick"] if options.quick else [])], cwd=ROOT, check=True, capture_output=True, text=True
    )
    found = json.loads(answer.stdout)
    keys = ("sites", "cuts", "violations", "control_lost")
    return Report(
        figures={key: found[key] for key in keys},
        counts={"injections": found["injections"]},
        targets={"violations": ("<=", 0), "control_lost": (">=", 1)},
        notes=tuple(found["words"]),
    )
