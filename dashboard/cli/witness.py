"""`cinnabar witness`: cosign checkpoints of another company's log, from a folder of its own."""

import json
import signal
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from server.core.clock import SystemClock
from server.core.keyfile import KeyUnreadable
from server.core.rng import SystemRng
from server.ledger.checkpoint import BadCheckpoint, VerifierKey
from server.ledger.cosignature import BadCosignature, WitnessKey
from server.ledger.witness.home import WitnessExists, WitnessHome
from server.ledger.witness.http import WitnessServer
from server.ledger.witness.rules import Witness
from server.ledger.witness.state import State, StateUnusable

Home = Annotated[Path | None, typer.Option(help="The witness's own folder; default ~/.cinnabar-witness.")]
PassphraseFile = Annotated[Path | None, typer.Option(help="File with the key's passphrase; default in the folder.")]
Logs = Annotated[list[str] | None, typer.Option("--log", help="vkey of a log to cosign; may be given several times.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
PORT: Final = 8460
_TROUBLE: Final = (KeyUnreadable, StateUnusable, WitnessExists, BadCosignature, BadCheckpoint, OSError)


def register(app: typer.Typer) -> None:
    group = typer.Typer(
        no_args_is_help=True, rich_markup_mode=None, help="Cosign checkpoints of another company's log."
    )
    group.command("init", help="Make the witness's key and memory, and print its vkey.")(init)
    group.command("follow", help="Cosign one more log, from now on.")(follow)
    group.command("serve", help="Answer logs that ask for cosignatures.")(serve)
    group.command("show", help="Print the vkey, what was cosigned, and what was refused.")(show)
    app.add_typer(group, name="witness")


def init(
    *,
    name: Annotated[str, typer.Option(help="Name in every cosignature, like witness.partner.example.")],
    log: Logs = None,
    home: Home = None,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Exit 0, or 2 when there is a witness already or a vkey cannot be read."""
    place = _place(home, passphrase_file)
    try:
        keys = [VerifierKey.parse(text) for text in log or []]
        made = place.create(name, SystemRng())
        _follow(place, keys)
    except _TROUBLE as error:
        raise _stop(error) from error
    if as_json:
        sys.stdout.write(json.dumps({"home": str(place.folder), "vkey": made.text()}) + "\n")
    else:
        sys.stdout.write(f"Witness  {place.folder}\nvkey     {made.text()}\n\nGive the vkey to the log's operator.\n")


def follow(vkey: str, *, home: Home = None) -> None:
    """A running `serve` takes it up at once."""
    try:
        place = _place(home, None)
        place.name()
        _follow(place, [VerifierKey.parse(vkey)])
    except _TROUBLE as error:
        raise _stop(error) from error


def serve(
    *,
    home: Home = None,
    bind: Annotated[str, typer.Option(help="Address to listen on; a proxy with TLS stands before it.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0: any free one.")] = PORT,
    passphrase_file: PassphraseFile = None,
    as_json: AsJson = False,
) -> None:
    """Until SIGTERM or SIGINT."""
    place = _place(home, passphrase_file)
    try:
        name, key, state = place.name(), place.key(), place.state()
        server = WitnessServer((bind, port), Witness(state, name=name, key=key, clock=SystemClock()))
    except _TROUBLE as error:
        raise _stop(error) from error
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: threading.Thread(target=server.shutdown).start())
    address = f"http://{bind}:{server.server_address[1]}"
    vkey = server.witness.vkey.text()
    ready = json.dumps({"ready": True, "url": address, "vkey": vkey}) if as_json else f"ready: {address}, {vkey}"
    sys.stdout.write(ready + "\n")
    sys.stdout.flush()
    with server:
        server.serve_forever()
    state.close()


def show(*, home: Home = None, passphrase_file: PassphraseFile = None, as_json: AsJson = False) -> None:
    """Exit 0; 1 when a log showed two roots for one size; 2 when there is no witness here."""
    place = _place(home, passphrase_file)
    try:
        vkey = WitnessKey(name=place.name(), public_key=place.key().public_key)
        state = place.state()
    except _TROUBLE as error:
        raise _stop(error) from error
    facts = _facts(vkey, state)
    sys.stdout.write(json.dumps(facts) + "\n" if as_json else _as_text(facts))
    forked = any(found.fork for found in state.evidence())
    state.close()
    if forked:
        raise typer.Exit(1)


def _place(home: Path | None, passphrase_file: Path | None) -> WitnessHome:
    return WitnessHome(home or Path.home() / ".cinnabar-witness", passphrase_file)


def _follow(place: WitnessHome, keys: list[VerifierKey]) -> None:
    state = place.state()
    try:
        for key in keys:
            state.follow(key)
    finally:
        state.close()


def _facts(vkey: WitnessKey, state: State) -> dict[str, Any]:
    logs = []
    for key in state.logs():
        latest = state.latest(key.name)
        seen = {"size": latest.size, "root": latest.root.hex(), "at": _moment(latest.time)} if latest else None
        logs.append({"origin": key.name, "vkey": key.text(), "cosigned": seen})
    refused = [
        {
            "origin": found.origin,
            "at": _moment(found.time),
            "what": found.what,
            "fork": found.fork,
            "known": found.known,
            "request": found.request,
        }
        for found in state.evidence()
    ]
    return {"vkey": vkey.text(), "logs": logs, "refused": refused}


def _as_text(facts: dict[str, Any]) -> str:
    lines = [f"vkey  {facts['vkey']}", ""]
    for log in facts["logs"]:
        seen = log["cosigned"]
        said = f"{seen['size']} entries, root {seen['root'][:16]}, {seen['at']}" if seen else "nothing yet"
        lines.append(f"{log['origin']}: {said}")
    for found in facts["refused"]:
        kind = "FORK" if found["fork"] else "refused"
        lines += ["", f"{kind} {found['at']} {found['origin']}: {found['what']}", found["known"], found["request"]]
    return "\n".join([*lines, ""])


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


def _stop(error: Exception) -> typer.Exit:
    sys.stderr.write(f"cinnabar witness: {error}\n")
    return typer.Exit(2)
