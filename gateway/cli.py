"""`cinnabar-gateway`: run the office box."""

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from gateway import logs
from gateway.clock import SystemClock
from gateway.doctor import Diagnosis, as_text, examine, system_ports
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


@app.command()
def doctor(
    home: Home, *, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False
) -> None:
    """Say what is wrong here, whether the work is safe, and what to do. Exit 1: something is; 2: it cannot be told."""
    diagnosis = _examine(home)
    sys.stdout.write(json.dumps(diagnosis.as_json()) + "\n" if as_json else as_text(diagnosis))
    raise typer.Exit(diagnosis.exit_code)


@app.command()
def support_bundle(
    home: Home,
    out: Annotated[Path, typer.Option(help="The zip to write.")] = Path("cinnabar-support.zip"),
) -> None:
    """Write settings, doctor's findings, the last log lines and what waits into a zip; secrets are cut out."""
    from gateway import support

    try:
        out.write_bytes(support.build(home, report=_examine(home).as_json()))
    except OSError as error:
        sys.stderr.write(f"cannot write {out}: {error.strerror}\n")
        raise typer.Exit(2) from error
    sys.stdout.write(f"{out}: read it before you send it; it names devices and hosts, and holds no secret.\n")


def _examine(home: Path) -> Diagnosis:
    logs.configure(None)
    return asyncio.run(examine(home, clock=SystemClock(), ports=system_ports))


def main() -> None:
    app()


if __name__ == "__main__":
    main()
