"""`cinnabar test`: pytest on both cores, with the time each folder took. See docs/decisions/0019-second-look.md."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import typer

from dashboard.cli import ROOT

FAILED: Final = 1
"""pytest's exit code for "some tests failed"; any other one says that it could not run them."""

MOST_UNSTABLE: Final = 3
"""More failed tests than that are no accident of a busy machine."""


def register(app: typer.Typer) -> None:
    app.command("test", context_settings={"ignore_unknown_options": True, "allow_extra_args": True})(test)


def test(context: typer.Context) -> None:
    """Run the tests: all, or the given folders, files and pytest arguments. Prints the time per folder."""
    raise typer.Exit(run(ROOT, context.args))


def run(root: Path, chosen: list[str]) -> int:
    """The exit code of pytest for the tests under `root`.

    Without arguments, the files of up to `MOST_UNSTABLE` failed tests run once more, alone and with the same seed:
    0 if all passes then, with their names said.
    """
    environment = {"CINNABAR_SEED": str(int.from_bytes(os.urandom(4))), **os.environ, "PYTHONPATH": str(root)}
    alone = any(word in ("-s", "--pdb") or word.startswith("-n") for word in chosen)
    spread = [] if alone else ["-n", str(os.cpu_count())]
    code = _pytest(root, ["--dist=loadfile", *spread, *chosen], environment)
    if code != FAILED or chosen:
        return code
    failed = _failed(root)
    if not 0 < len(failed) <= MOST_UNSTABLE:
        return code
    _say("These tests failed. Their files run once more, alone and with the same seed:", failed)
    again = _pytest(root, sorted({name.partition("::")[0] for name in failed}), environment)
    if again == 0:
        _say("UNSTABLE: these tests failed in the full run, above, and passed alone. Each is a defect to mend:", failed)
    return again


def _pytest(root: Path, arguments: list[str], environment: dict[str, str]) -> int:
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.run(command, cwd=root, env=environment, check=False).returncode  # noqa: S603 - the user's own arguments


def _failed(root: Path) -> list[str]:
    """The tests that failed in the run before, as pytest keeps them."""
    try:
        kept = (root / ".pytest_cache" / "v" / "cache" / "lastfailed").read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    return sorted(json.loads(kept))


def _say(sentence: str, names: list[str]) -> None:
    typer.echo("\n".join([sentence, *(f"  {name}" for name in names)]))
