"""`cinnabar test`: pytest on both cores, with the time each folder took."""

import os
import subprocess
import sys

import typer

from dashboard.cli import ROOT


def register(app: typer.Typer) -> None:
    app.command("test", context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(test)


def test(context: typer.Context) -> None:
    """Run the tests: all, or the given folders, files and pytest arguments. Prints the time per folder."""
    chosen = context.args
    spread = (
        []
        if any(word in ("-n", "-s", "--pdb") or word.startswith("-n") for word in chosen)
        else ["-n", str(os.cpu_count())]
    )
    command = [sys.executable, "-m", "pytest", "--dist=loadfile", *spread, *chosen]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    raise typer.Exit(subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode)  # noqa: S603 - the user's own arguments
