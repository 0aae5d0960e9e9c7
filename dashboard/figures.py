"""What a bench or a campaign reports, and how it is printed: a table for people, one JSON line for programs.

`dashboard/bench/NAME.py` and `dashboard/campaign/NAME.py` each offer `run(options: Options) -> Report`; the file's name
is the name on the command line.
"""

import importlib
import json
import os
import platform
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from pkgutil import iter_modules
from statistics import quantiles
from typing import Any, Final, Literal

from rich.console import Console
from rich.table import Table

from dashboard.cli import ROOT

Bound = Literal["<=", ">="]


class CannotRun(Exception):
    """Something that this bench or campaign needs is not here; the message says what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the command line asked for. `quick`: under 20 s, and the report says so. `schedules`: how many, None: as
    many as the campaign thinks right. `replay`: a seed was named and nothing else, so tell that one schedule.
    """

    quick: bool
    seed: int
    schedules: int | None = None
    replay: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One run's result.

    `figures` has numbers or nested percentiles (ms unless the key names another unit); `counts` how much was done;
    `targets` figure -> (bound, value); `intervals` the 95 % interval of a figure that is a rate; `notes` go to people.
    """

    figures: dict[str, Any]
    counts: dict[str, int]
    targets: dict[str, tuple[Bound, float]] = field(default_factory=dict)
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def missed(self) -> list[str]:
        """The targets that are not shown to be met: not measured, beyond the limit, or its interval reaches beyond."""
        return [name for name in self.targets if self.verdict(name) != "met"]

    def verdict(self, name: str) -> Literal["met", "missed", "not shown"]:
        """How the figure `name` stands to its target; a rate is met only if its whole interval is."""
        bound, limit = self.targets[name]
        if not _meets(self.figures.get(name), bound, limit):
            return "missed"
        return "met" if all(_meets(end, bound, limit) for end in self.intervals.get(name, ())) else "not shown"


def _meets(value: object, bound: Bound, limit: float) -> bool:
    if not isinstance(value, int | float):
        return False
    return value <= limit if bound == "<=" else value >= limit


def names(package: str) -> list[str]:
    """The runnable modules of `dashboard.bench` or `dashboard.campaign`; a leading underscore marks what they share."""
    folder = Path(__file__).parent / package.rpartition(".")[2]
    return sorted(module.name for module in iter_modules([str(folder)]) if not module.name.startswith("_"))


def execute(package: str, name: str, options: Options) -> Report:
    """Import and run `package.name`."""
    report: Report = importlib.import_module(f"{package}.{name}").run(options)
    return report


def as_json(report: Report, *, name: str, options: Options, now: datetime) -> str:
    """The one JSON object of design section 12, on one line."""
    answer = {
        "bench": name,
        "date": now.isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": machine(),
        "seed": options.seed,
        "figures": report.figures,
        "counts": report.counts,
        "targets": report.targets,
        "missed": report.missed(),
    }
    if options.quick:
        answer["quick"] = True
    return json.dumps(answer)


def print_table(console: Console, report: Report, *, name: str, options: Options) -> None:
    """The same for people."""
    title = f"{name}, seed {options.seed}" + (", quick: too short to quote" if options.quick else "")
    table = Table("figure", "measured", "target", "", title=title)
    for key, value in report.figures.items():
        bound, limit = report.targets.get(key, ("", ""))
        verdict = report.verdict(key) if key in report.targets else ""
        table.add_row(key, _readable(value), f"{bound} {limit}".strip(), verdict)
    for key, count in report.counts.items():
        table.add_row(key, f"{count:,}", "", "")
    console.print(table)
    for note in report.notes:
        console.print(note)


def _readable(value: object) -> str:
    if isinstance(value, dict):
        return "  ".join(f"{key} {_readable(part)}" for key, part in value.items())
    return f"{value:,.2f}" if isinstance(value, float) else str(value)


def percentiles(samples_ms: list[float]) -> dict[str, float]:
    """p50, p95 and p99 of at least two samples, in ms, interpolated between the neighbours."""
    cuts = quantiles(samples_ms, n=100, method="inclusive")
    return {"p50": round(cuts[49], 2), "p95": round(cuts[94], 2), "p99": round(cuts[98], 2)}


FDATASYNC_SAMPLES: Final = 200


def fdatasync_ms(folder: Path) -> dict[str, float]:
    """How long this disk takes to make a 4 KiB append durable; latencies report it and subtract it where stated."""
    samples = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(FDATASYNC_SAMPLES):
            file.write(b"\0" * 4096)
            file.flush()
            begun = time.perf_counter()
            sync_data(file.fileno())
            samples.append((time.perf_counter() - begun) * 1000)
    return percentiles(samples)


def sync_data(descriptor: int) -> None:
    """Make the file's data durable; macOS has no fdatasync, so it syncs the whole file there."""
    getattr(os, "fdatasync", os.fsync)(descriptor)


def commit() -> str:
    """The commit that was measured, `-dirty` when the tree had changes; "unknown" outside a clone."""
    command = ("git", "describe", "--always", "--abbrev=12", "--dirty")
    try:
        answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - fixed
    except OSError:
        return "unknown"
    return answer.stdout.strip() or "unknown"


def machine() -> dict[str, int | str]:
    """Cores that this process may use, and the processor's name."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return {"cores": cores, "cpu": _cpu_name()}


def _cpu_name() -> str:
    described = Path("/proc/cpuinfo")
    lines = described.read_text(encoding="utf-8").splitlines() if described.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or platform.machine())
