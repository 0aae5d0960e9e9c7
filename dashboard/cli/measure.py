"""What `cinnabar bench` and `cinnabar campaign` share: choose a module, run it, print its report."""

import contextlib
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from dashboard.figures import CannotRun, Options, as_json, execute, names, print_table

STOPPED: Final = 130
_ENDINGS: Final = (signal.SIGTERM, signal.SIGINT)


def measure(
    package: str, name: str, *, as_one_line: bool, quick: bool, seed: int | None, schedules: int | None = None
) -> None:
    """Run `package.name` and print its report. Exit 2 when there is no such module or it cannot run here.

    SIGTERM or SIGINT: exit 130, with nothing left running that the run had started.
    """
    known = names(package)
    if name not in known:
        typer.echo(f"there is no {name!r}; there is: {', '.join(known) or 'none yet'}", err=True)
        raise typer.Exit(2)
    options = Options(
        quick=quick,
        seed=int.from_bytes(os.urandom(4)) if seed is None else seed,
        schedules=schedules,
        replay=seed is not None and schedules is None and not quick,
    )
    try:
        with _ending_in_order():
            report = execute(package, name, options)
    except CannotRun as error:
        typer.echo(f"{name} did not run: {error}", err=True)
        raise typer.Exit(2) from error
    except KeyboardInterrupt as error:
        typer.echo(f"{name} was stopped", err=True)
        raise typer.Exit(STOPPED) from error
    print_table(Console(stderr=as_one_line), report, name=name, options=options)
    if as_one_line:
        typer.echo(as_json(report, name=name, options=options, now=datetime.now(UTC)))  # noqa: TID251 - the root of this run


@contextlib.contextmanager
def _ending_in_order() -> Iterator[None]:
    """A signal unwinds the block as KeyboardInterrupt: who started a process ends it. Later ones are ignored."""
    main = os.getpid()

    def unwind(number: int, _frame: object) -> None:
        if os.getpid() != main:  # a forked worker has no children of its own
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        for one in _ENDINGS:
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {number: signal.signal(number, unwind) for number in _ENDINGS}
    try:
        yield
    except KeyboardInterrupt:
        _end_children()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_children() -> None:
    """Those that the signal found between their start and the line that would end them; only Linux names them."""
    for task in Path("/proc/self/task").glob("*/children"):
        for pid in task.read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGTERM)
