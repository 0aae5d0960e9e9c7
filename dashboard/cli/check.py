"""`cinnabar check`: the one definition of clean source, for a laptop and for CI."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from dashboard.cli import ROOT

PACKAGES: Final = ("firmware_protocol", "device_sim", "gateway", "server", "dashboard")
PYTHON_SOURCES: Final = (*PACKAGES, "tests", "locks")
TOOLS: Final = Path(sys.executable).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One tool: what it checks, in a word or two, and its command line, run in the root of the clone."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a step said; `seconds` is wall-clock time."""

    step: Step
    passed: bool
    output: str
    seconds: float


def steps() -> list[Step]:
    """Every check, the longest first so that two cores stay busy."""
    return [
        Step(name="types", command=(_tool("mypy"),)),
        Step(name="repeats", command=_own("repeats", *PACKAGES)),
        Step(name="imports", command=(_tool("lint-imports"), "--no-cache")),
        Step(name="dead code", command=_own("dead_code")),
        Step(name="lint", command=(_tool("ruff"), "check", "--quiet", *PYTHON_SOURCES)),
        Step(name="format", command=(_tool("ruff"), "format", "--check", "--quiet", *PYTHON_SOURCES)),
        Step(name="translations", command=_own("translations")),
        Step(name="licences", command=_own("licences")),
        Step(name="hosts", command=_own("hosts")),
    ]


def register(app: typer.Typer) -> None:
    app.command("check")(check)


def check() -> None:
    """Lint, types, import contracts, dead code, repeats, translations, licences. Exit 1 names what is not clean."""
    console = Console()
    begun = time.perf_counter()
    failed = []
    for outcome in outcomes(steps()):
        console.print(f"{'ok  ' if outcome.passed else 'FAIL'} {outcome.step.name:<13}{outcome.seconds:6.1f} s")
        if not outcome.passed:
            failed.append(outcome.step.name)
            console.print(outcome.output.rstrip(), markup=False, highlight=False, soft_wrap=True)
    console.print(f"checked in {time.perf_counter() - begun:.1f} s")
    if failed:
        console.print(f"not clean: {', '.join(failed)}")
        raise typer.Exit(1)


def outcomes(wanted: list[Step]) -> Iterator[Outcome]:
    """Run the steps side by side, one per core; yields in the order of `wanted`."""
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        yield from pool.map(_run, wanted)


def _run(step: Step) -> Outcome:
    begun = time.perf_counter()
    answer = subprocess.run(  # noqa: S603 - the command lines above, no outside input
        step.command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - begun
    return Outcome(step=step, passed=answer.returncode == 0, output=answer.stdout, seconds=seconds)


def _tool(name: str) -> str:
    return str(TOOLS / name)


def _own(module: str, *arguments: str) -> tuple[str, ...]:
    return (sys.executable, "-P", "-m", f"dashboard.cli.checks.{module}", *arguments)
