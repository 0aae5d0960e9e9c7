"""Many schedules on two cores, and the search for every planted bug. Prints one JSON object.

python -m tests.simulation.campaign --first 1 --schedules 10000
python -m tests.simulation.campaign --first 4711 --replay          (one schedule, told as it goes)
"""

import argparse
import json
import multiprocessing
import sys
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.simulation.bugs import BUGS, planted
from tests.simulation.marks import RARE, Marks
from tests.simulation.stand import make_models
from tests.simulation.swift import parsed_once, swept_seldom
from tests.simulation.world import Outcome, World

PROCESSES: Final = 2
CHUNK: Final = 100
MOST: Final = 2_000
"""A planted bug must be found within so many schedules."""


@dataclass(slots=True)
class Totals:
    schedules: int = 0
    strokes: int = 0
    steps: int = 0
    virtual_s: int = 0
    violations: list[str] = field(default_factory=list)
    marks: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Totals") -> None:
        self.schedules += other.schedules
        self.strokes += other.strokes
        self.steps += other.steps
        self.virtual_s += other.virtual_s
        self.violations += other.violations
        self.marks += other.marks


def run_schedules(first: int, count: int) -> Totals:
    """Schedules `first` to `first + count - 1`."""
    totals, marks = Totals(), Marks()
    with parsed_once(), swept_seldom() as sweep:
        for seed in range(first, first + count):
            outcome = World(seed, marks=marks).run()
            sweep()
            totals.schedules += 1
            totals.strokes += outcome.strokes
            totals.steps += outcome.steps
            totals.virtual_s += outcome.virtual_s
            if outcome.violation:
                totals.violations.append(f"schedule {seed}: {outcome.violation}")
    totals.marks = marks.counts
    return totals


def find(name: str, first: int, most: int = MOST) -> tuple[str, int, str]:
    """(bug, how many schedules it took, what it broke); 0 when it was not found."""
    bug = next(bug for bug in BUGS if bug.name == name)
    with parsed_once(), planted(bug), swept_seldom() as sweep:
        for number in range(most):
            outcome = World(first + number, marks=Marks()).run()
            sweep()
            if outcome.violation:
                return name, number + 1, outcome.violation
    return name, 0, ""


def replay(seed: int) -> Outcome:
    """One schedule, told to stderr."""
    return World(seed, marks=Marks(), say=lambda line: print(line, file=sys.stderr)).run()  # noqa: T201


def campaign(first: int, schedules: int) -> dict[str, Any]:
    """Both parts, spread over the processes."""
    totals = Totals()
    make_models()
    starts = range(first, first + schedules, CHUNK)
    with multiprocessing.get_context("fork").Pool(PROCESSES, maxtasksperchild=1) as pool:
        searches = [pool.apply_async(find, (bug.name, first)) for bug in BUGS]
        runs = [pool.apply_async(run_schedules, (start, min(CHUNK, first + schedules - start))) for start in starts]
        found = [search.get() for search in searches]
        for run in runs:
            totals.add(run.get())
    return as_dict(totals, found)


def as_dict(totals: Totals, found: Iterable[tuple[str, int, str]]) -> dict[str, Any]:
    found = list(found)
    return {
        "schedules": totals.schedules,
        "strokes": totals.strokes,
        "steps": totals.steps,
        "virtual_s": totals.virtual_s,
        "violations": totals.violations,
        "planted": {name: {"after": after, "broke": broke} for name, after, broke in found},
        "marks": {name: totals.marks[name] for name in RARE},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--first", type=int, default=1, help="the first schedule's seed")
    parser.add_argument("--schedules", type=int, default=10_000)
    parser.add_argument("--replay", action="store_true", help="tell the first schedule as it goes")
    asked = parser.parse_args()
    if asked.replay:
        outcome = replay(asked.first)
        answer = {
            "schedules": 1,
            "strokes": outcome.strokes,
            "violations": [outcome.violation] if outcome.violation else [],
        }
    else:
        answer = campaign(asked.first, asked.schedules)
    print(json.dumps(answer))  # noqa: T201 - what the campaign reads


if __name__ == "__main__":
    main()
