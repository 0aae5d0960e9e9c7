"""`cinnabar-gateway`: run the office box."""

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway import logs
from gateway.errors import GatewayError

app = typer.Typer(help="Carries signed bytes between seal devices and headquarters.", no_args_is_help=True)
Home = Annotated[Path, typer.Option(help="Folder with gateway.json; the outbox and photos are kept there.")]


@app.callback()
def _root() -> None:
    """Cinnabar gateway."""


@app.command()
def run(home: Home) -> None:
    """Serve the devices of this office until stopped."""
    from gateway.process import serve

    logs.configure(home)
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(home))
    except GatewayError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from error


@app.command()
def enrol(
    home: Home,
    *,
    server: Annotated[str, typer.Option(help="https://HOST:PORT of headquarters.")],
    gateway_id: Annotated[str, typer.Option("--id", help="Name that headquarters gave this gateway.")],
    authority: Annotated[str, typer.Option(help="SHA-256 fingerprint of headquarters' authority, as /trust shows it.")],
    secret_file: Annotated[Path | None, typer.Option(help="A file with the secret; without it you are asked.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Connect this box to headquarters: pins its authority, fetches a certificate, writes gateway.json."""
    from gateway.enrolment import enrol as connect

    logs.configure(None)
    try:
        # Never an argument: every user of this machine can read those.
        secret = secret_file.read_text().strip() if secret_file else typer.prompt("Secret", hide_input=True, err=True)
        answer = asyncio.run(
            connect(home, gateway_id=gateway_id, server_url=server, secret=secret, fingerprint=authority)
        )
    except (GatewayError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from error
    if as_json:
        sys.stdout.write(json.dumps(answer) + "\n")
        return
    sys.stdout.write(
        f"{gateway_id} is enrolled; broker {answer['mqtt_url']}.\n"
        f"Next: name its devices in {home / 'gateway.json'}, then: cinnabar-gateway doctor --home {home}\n"
    )


def main() -> None:
    app()


if __name__ == "__main__":
    main()
