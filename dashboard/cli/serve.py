"""`cinnabar serve`: run the server's roles under a supervisor."""

import json
import signal
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from server.core.ports import free_port
from server.core.role_process import ROLES
from server.core.settings import Settings
from server.core.supervise import RoleFailed, Supervisor


class Role(StrEnum):
    ALL = "all"
    WEB = "web"
    PUBLIC = "public"
    LEDGER = "ledger"
    WORKER = "worker"
    BROKER = "broker"


def register(app: typer.Typer) -> None:
    @app.command("serve", help="Run the server: web, public pages, ledger and workers.")
    def serve(
        *,
        role: Annotated[list[Role] | None, typer.Option(help="May be given several times; default: all.")] = None,
        home: Annotated[Path | None, typer.Option(help="Folder of the installation; default ~/.cinnabar.")] = None,
        as_json: Annotated[bool, typer.Option("--json", help="Print the ready line as JSON.")] = False,
    ) -> None:
        settings = with_ports(Settings.load(home))
        chosen = {Role(name) for name in role or [Role.ALL]}
        names = ROLES if Role.ALL in chosen else [name for name in ROLES if name in chosen]
        if not (settings.home / "installation").is_file():
            sys.stderr.write(f"There is no installation in {settings.home}; run `cinnabar init` first.\n")
            raise typer.Exit(2)
        supervisor = Supervisor(settings, names, on_restart=_tell_restart)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, supervisor.stop)
        try:
            supervisor.start()
            sys.stdout.write(_ready_line(settings, supervisor, as_json=as_json))
            sys.stdout.flush()
            supervisor.watch()
        except RoleFailed as error:
            sys.stderr.write(f"{error}\n")
            raise typer.Exit(2) from error


def with_ports(settings: Settings) -> Settings:
    """`settings` with a free port in place of every 0."""
    ports = {name: free_port() for name in ("web_port", "public_port", "mqtt_port") if getattr(settings, name) == 0}
    return settings.model_copy(update=ports)


def _tell_restart(role: str) -> None:
    sys.stderr.write(f"{role} ended and is started again\n")


def _ready_line(settings: Settings, supervisor: Supervisor, *, as_json: bool) -> str:
    host, port = settings.broker_address
    if not as_json:
        return f"ready: {settings.web_url} (dashboard), {settings.public_url} (public), mqtt at {host}:{port}\n"
    facts = {
        "ready": True,
        "web": settings.web_url,
        "public": settings.public_url,
        "mqtt": f"{host}:{port}",
        "home": str(settings.home),
        "pids": supervisor.pids,
    }
    return json.dumps(facts) + "\n"
