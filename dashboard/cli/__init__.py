"""The `cinnabar` command. Each command lives in the module of its name and is imported only when it is called.

A command module offers `register(app)`, which adds exactly one command of the module's name with `app.command(...)`.
Exit codes everywhere: 0 good, 1 a negative answer, 2 could not do it.
"""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import typer

ROOT: Final = Path(__file__).resolve().parents[2]
"""The clone this runs from; for an installed wheel, the folder that holds the packages."""

COMMANDS: Final = {
    "demo": "Show one complete stamping on this machine, then leave the dashboard running.",
    "serve": "Run the server: web, public pages, ledger and workers.",
    "init": "Make the keys, the offline root, the local CA and the database of an installation.",
    "broker": "Write the certificates that your own Mosquitto needs; run it again to renew them.",
    "doctor": "Say what is missing or wrong on this machine.",
    "verify": "Check a bundle, a sealed PDF, a code or a photo of one, offline.",
    "inspect": "Compare a photo with the approved page.",
    "fsck": "Recompute the whole ledger from its raw bytes.",
    "witness": "Cosign checkpoints of another installation.",
    "backup": "Write an encrypted backup.",
    "restore": "Restore a backup into an empty installation.",
}
"""Name -> the line that `--help` shows, so that the overview imports none of them."""

WORKSHOP_COMMANDS: Final = {
    "check": "Lint, types, import contracts, dead code, repeats, translations.",
    "test": "Run the tests; prints the time per folder.",
    "bench": "Print the figures of one benchmark.",
    "campaign": "Run one campaign of fault schedules, fuzzing or soaking.",
}
"""Commands on the source itself; an installed wheel has no tests and does not offer them."""


def application(arguments: Sequence[str]) -> typer.Typer:
    """The command line with the one command that `arguments` call, and the names of the others."""
    app = typer.Typer(
        name="cinnabar",
        help="Cinnabar controls physical company seals.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,  # rich would cost 0.2 s of every start
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_overview)
    called = next((word for word in arguments if not word.startswith("-")), None)
    for name, summary in available_commands().items():
        if name == called:
            importlib.import_module(f"{__name__}.{name}").register(app)
        else:
            app.command(name, help=summary)(_not_called)
    return app


def available_commands() -> dict[str, str]:
    """The commands whose module exists here; a module is found without being imported."""
    offered = COMMANDS | (WORKSHOP_COMMANDS if (ROOT / "pyproject.toml").exists() else {})
    return {name: summary for name, summary in offered.items() if importlib.util.find_spec(f"{__name__}.{name}")}


def main() -> None:
    """Console entry point of the wheel and of `./cinnabar`."""
    application(sys.argv[1:])(prog_name="cinnabar")


def _overview() -> None:
    """Hold the group open: with a single command typer would make that command the whole program."""


def _not_called() -> None:
    """Stand for a command in the overview; `application` registers the real one when it is called."""
