from typing import Annotated

import typer

from dashboard.cli.measure import measure


def register(app: typer.Typer) -> None:
    app.command("campaign")(campaign)


def campaign(
    name: Annotated[str, typer.Argument(help="Which campaign, e.g. story.")],
    *,
    json: Annotated[
        bool, typer.Option("--json", help="End stdout with one JSON line; the table goes to stderr.")
    ] = False,
    quick: Annotated[bool, typer.Option("--quick", help="Under 20 s; too short to quote.")] = False,
    seed: Annotated[int | None, typer.Option(help="Repeat the schedules of a run; else drawn, and printed.")] = None,
    schedules: Annotated[int | None, typer.Option(min=1, help="How many schedules, where a campaign has them.")] = None,
) -> None:
    """Run one campaign of fault schedules, fuzzing or soaking. Exit 0 when it ran, whatever it found."""
    measure("dashboard.campaign", name, as_one_line=json, quick=quick, seed=seed, schedules=schedules)
