"""`cinnabar fsck`: recompute the ledger from its raw bytes."""

import json
import sys
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import typer

from server.core.db import Database
from server.core.keyfile import KeyUnreadable
from server.core.keystore import KeyStore
from server.core.settings import Settings
from server.core.signer import Purpose
from server.ledger import fsck as ledger_fsck
from server.ledger import service as ledger
from server.ledger.errors import LogNotStarted
from server.ledger.fsck import Keys, Problem
from server.ledger.schemas import LeafKind

MOST_SHOWN: Final = 20


def register(app: typer.Typer) -> None:
    @app.command("fsck", help="Recompute the whole ledger from its raw bytes.")
    def fsck(
        *,
        home: Annotated[Path | None, typer.Option(help="Folder of the installation; default ~/.cinnabar.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    ) -> None:
        """Exit 0 when all follows from the leaves, 1 when a row does not, 2 when the ledger cannot be read."""
        try:
            size, problems = check(Settings.load(home))
        except (KeyUnreadable, LogNotStarted) as error:
            sys.stderr.write(f"cannot check the ledger: {error}\n")
            raise typer.Exit(2) from error
        sys.stdout.write(_as_json(size, problems) if as_json else _as_text(size, problems))
        if problems:
            raise typer.Exit(1)


def check(settings: Settings) -> tuple[int, list[Problem]]:
    """(entries, the first problems). Raises: KeyUnreadable, LogNotStarted."""
    store = KeyStore.open(settings)
    issued = {
        LeafKind.TOKEN: (store.public_key(Purpose.TOKEN),),
        LeafKind.PERMIT: (store.public_key(Purpose.PERMIT), store.public_key(Purpose.TOKEN)),
        LeafKind.ENTRY: (store.public_key(Purpose.ENTRY),),
    }
    database = Database(settings.database_url)
    try:
        with database.read() as db:
            log_key = ledger.verifier_key(db, public_key=store.public_key(Purpose.CHECKPOINT))
            problems = list(islice(ledger_fsck.check(db, Keys(log=log_key, server=issued)), MOST_SHOWN))
            return ledger.head(db)[0], problems
    finally:
        database.close()


def _as_json(size: int, problems: list[Problem]) -> str:
    found = [{"row": problem.row, "what": problem.what} for problem in problems]
    return json.dumps({"entries": size, "whole": not problems, "problems": found}) + "\n"


def _as_text(size: int, problems: list[Problem]) -> str:
    if not problems:
        return f"{size} entries: every hash, signature, chain and checkpoint follows from the raw bytes.\n"
    lines = [f"{problem.row}: {problem.what}" for problem in problems]
    return "\n".join([f"{size} entries; the first wrong rows:", *lines, ""])
