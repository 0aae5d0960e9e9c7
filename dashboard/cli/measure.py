"""What `cinnabar bench` and `cinnabar campaign` share: choose a module, run it, print its report."""

import os
from datetime import UTC, datetime

import typer
from rich.console import Console

from dashboard.figures import CannotRun, Options, as_json, execute, names, print_table


def measure(
    package: str, name: str, *, as_one_line: bool, quick: bool, seed: int | None, schedules: int | None = None
) -> None:
    """Run `package.name` and print its report. Exit 2 when there is no such module or it cannot run here."""
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
        report = execute(package, name, options)
    except CannotRun as error:
        typer.echo(f"{name} did not run: {error}", err=True)
        raise typer.Exit(2) from error
    print_table(Console(stderr=as_one_line), report, name=name, options=options)
    if as_one_line:
        typer.echo(as_json(report, name=name, options=options, now=datetime.now(UTC)))  # noqa: TID251 - the root of this run
