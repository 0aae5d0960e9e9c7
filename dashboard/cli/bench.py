from typing import Annotated

import typer

from dashboard.cli.measure import measure


def register(app: typer.Typer) -> None:
    app.command("bench")(bench)


def bench(
    name: Annotated[str, typer.Argument(help="Which bench, e.g. unlock.")],
    *,
    json: Annotated[
        bool, typer.Option("--json", help="End stdout with one JSON line; the table goes to stderr.")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Under 20 s; too short to quote.")] = False,
) -> None:
    """Print the figures of one benchmark. Exit 0 when it ran, whatever it found."""
    measure("dashboard.bench", name, as_one_line=json, quick=quick, seed=1)
