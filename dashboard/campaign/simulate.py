"""`campaign simulate`: device core, session rules and ledger admission through many schedules of faults and attacks.

The simulator is in `tests/simulation`, which a clone has and a wheel has not. Every invariant is checked at every step;
each planted bug must be found; each rare window must have been hit. With `--seed` and no `--schedules` one schedule is
told as it goes.
"""

import json
import subprocess
import sys
from typing import Any, Final

from dashboard.cli import ROOT
from dashboard.figures import CannotRun, Options, Report

SCHEDULES: Final = 10_000
QUICK: Final = 60
MARKS_MIN: Final = 50
"""How often each rare window must have been hit in SCHEDULES schedules; a shorter run only reports."""


def run(options: Options) -> Report:
    """Raises: CannotRun."""
    if not (ROOT / "tests" / "simulation").is_dir():
        raise CannotRun("campaign simulate runs from a clone of the repository: the simulator is in tests/simulation")
    if options.replay:
        return _replayed(_simulator("--first", str(options.seed), "--replay"), options.seed)
    schedules = options.schedules or (QUICK if options.quick else SCHEDULES)
    found = _simulator("--first", str(options.seed), "--schedules", str(schedules))
    after = {name: each["after"] for name, each in found["planted"].items()}
    slowest = max(after, key=lambda name: after[name])
    marks: dict[str, int] = found["marks"]
    rarest = min(marks, key=lambda name: marks[name])
    targets: dict[str, Any] = {"violations": ("<=", 0), "planted_found": (">=", len(after))}
    if schedules >= SCHEDULES:
        targets["marks_min"] = (">=", MARKS_MIN)
    return Report(
        figures={
            "schedules": found["schedules"],
            "strokes": found["strokes"],
            "violations": len(found["violations"]),
            "planted_found": sum(count > 0 for count in after.values()),
            "planted_total": len(after),
            "marks_min": marks[rarest],
        },
        counts={"steps": found["steps"], "virtual_s": found["virtual_s"], "marks": len(marks)},
        targets=targets,
        notes=(
            *found["violations"],
            *(f"planted {name}: found after {count} schedules" if count else f"planted {name}: NOT FOUND"
              for name, count in after.items()),
            f"hardest to find: {slowest} ({after[slowest]}); rarest window: {rarest} ({marks[rarest]})",
            *(f"{name}: {count}" for name, count in marks.items()),
        ),
    )  # fmt: skip


def _replayed(found: dict[str, Any], seed: int) -> Report:
    return Report(
        figures={"schedules": 1, "strokes": found["strokes"], "violations": len(found["violations"])},
        counts={},
        targets={"violations": ("<=", 0)},
        notes=(f"schedule {seed} replayed", *found["violations"]),
    )


def _simulator(*arguments: str) -> dict[str, Any]:
    command = [sys.executable, "-m", "tests.simulation.campaign", *arguments]
    answer = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own
    found: dict[str, Any] = json.loads(answer.stdout)
    return found
