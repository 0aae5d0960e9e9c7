"""`cinnabar fsck`: recompute the ledger from its raw bytes; `--policy` also replays who might do what."""

import json
import sys
from dataclasses import dataclass
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
from server.ledger.replay import check as replay
from server.ledger.replay.check import Unjustified
from server.ledger.schemas import LeafKind

MOST_SHOWN: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """`problems`: the first wrong rows. `unjustified`: every right without its reason; None: not asked for."""

    size: int
    problems: list[Problem]
    unjustified: list[Unjustified] | None

    @property
    def good(self) -> bool:
        return not self.problems and not any(not one.erased for one in self.unjustified or ())


def register(app: typer.Typer) -> None:
    @app.command("fsck", help="Recompute the whole ledger from its raw bytes.")
    def fsck(
        *,
        home: Annotated[Path | None, typer.Option(help="Folder of the installation; default ~/.cinnabar.")] = None,
        policy: Annotated[
            bool, typer.Option("--policy", help="Also name every token, permit and service without its approval.")
        ] = False,
        as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    ) -> None:
        """Exit 0 when all follows from the leaves, 1 when a row does not, 2 when the ledger cannot be read."""
        try:
            found = check(Settings.load(home), policy=policy)
        except (KeyUnreadable, LogNotStarted) as error:
            sys.stderr.write(f"cannot check the ledger: {error}\n")
            raise typer.Exit(2) from error
        sys.stdout.write(_as_json(found) if as_json else as_text(found))
        if not found.good:
            raise typer.Exit(1)


def check(settings: Settings, *, policy: bool = False) -> Found:
    """Raises: KeyUnreadable, LogNotStarted."""
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
            return Found(
                size=ledger.head(db)[0],
                problems=list(islice(ledger_fsck.check(db, Keys(log=log_key, server=issued)), MOST_SHOWN)),
                unjustified=list(replay.check(db)) if policy else None,
            )
    finally:
        database.close()


def _as_json(found: Found) -> str:
    facts: dict[str, object] = {
        "entries": found.size,
        "whole": not found.problems,
        "problems": [{"row": problem.row, "what": problem.what} for problem in found.problems],
    }
    if found.unjustified is not None:
        facts["justified"] = not any(not one.erased for one in found.unjustified)
        facts["unjustified"] = [
            {"entry": one.index, "what": one.what, "erased": one.erased} for one in found.unjustified
        ]
    return json.dumps(facts) + "\n"


def as_text(found: Found) -> str:
    if found.problems:
        rows = [f"{problem.row}: {problem.what}" for problem in found.problems]
        lines = [f"{found.size} entries; the first wrong rows:", *rows]
    else:
        lines = [f"{found.size} entries: every hash, signature, chain and checkpoint follows from the raw bytes."]
    if found.unjustified is not None:
        lines += _policy_lines(found.unjustified)
    return "\n".join([*lines, ""])


def _policy_lines(unjustified: list[Unjustified]) -> list[str]:
    bad = [f"entry {one.index}: {one.what}" for one in unjustified if not one.erased]
    erased = [f"entry {one.index}: {one.what}" for one in unjustified if one.erased]
    lines = ["What the entries do not justify:", *bad] if bad else ["Every token, permit and service has its reason."]
    return [*lines, *(["Cannot be decided any more, contents were erased on record:", *erased] if erased else [])]
