"""`cinnabar-gateway`: run the office box."""

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import Annotated

import structlog
import typer

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

    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))  # stdout has the ready line only
    try:
        with contextlib.suppress(KeyboardInterrupt):
            asyncio.run(serve(home))
    except GatewayError as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(2) from error


def main() -> None:
    app()


if __name__ == "__main__":
    main()
