"""Tools that others wrote, in a folder of their own that is made once from locks/interop.txt."""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fastapi import FastAPI

from dashboard.cli import ROOT
from server.core.db import Database
from tests.server.ledger.conftest import Device, Log, device, sqlite

__all__ = ["Device", "Log", "device", "sqlite"]

LOCK = ROOT / "locks" / "interop.txt"


@dataclass(frozen=True)
class Tools:
    """Programs of others, each run in a process that sees their folder and the workshop's environment."""

    folder: Path

    def command(self, *words: str) -> list[str]:
        return [sys.executable, *words]

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {"PYTHONPATH": str(self.folder), "PYTHONWARNINGS": "ignore", "no_proxy": "127.0.0.1"}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*words), env=self.environment, capture_output=True, text=True, check=False, cwd=self.folder
        )

    def aics_tlog(self, *words: str) -> dict[str, Any]:
        """Its JSON answer; `ok` says whether it agrees."""
        done = self.run("-m", "aics_tlog", *words)
        assert done.stdout, done.stderr
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def script(self, text: str, facts: object) -> Any:
        """Run `text` with `facts` (JSON) in a variable of that name; it prints JSON."""
        done = self.run("-c", f"import json, sys\nfacts = json.loads(sys.argv[1])\n{text}", json.dumps(facts))
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="session")
def tools() -> Tools:
    """Installed at the first use, into .cinnabar/interop-HASH: hashes checked, no other package touched."""
    place = ROOT / ".cinnabar" / f"interop-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]}"
    place.parent.mkdir(exist_ok=True)
    with (place.parent / "interop.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not place.exists():
            _install(place)
    return Tools(place)


def _install(place: Path) -> None:
    half = place.with_suffix(".new")
    shutil.rmtree(half, ignore_errors=True)
    private = ROOT / ".cinnabar" / "uv" / "bin" / "uv"
    uv = str(private) if private.exists() else "uv"
    # --python-version: two of them ask for 3.12, and run on 3.11.
    chosen = ("--target", str(half), "--no-deps", "--require-hashes", "--python-version", "3.12")
    subprocess.run([uv, "pip", "install", "--quiet", "--python", sys.executable, *chosen, "-r", str(LOCK)], check=True)
    half.rename(place)


@pytest.fixture
def log(sqlite: Database) -> Log:
    return Log(sqlite)


Serve = Callable[[FastAPI], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serve an app on loopback until the test ends; returns its address."""
    stops: list[Callable[[], None]] = []

    def start(app: FastAPI) -> str:
        server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="error", lifespan="off"))
        begun = threading.Event()
        server.config.load()
        run = threading.Thread(target=_run, args=(server, begun))
        run.start()
        assert begun.wait(20)
        stops.append(lambda: _stop(server, run))
        return f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"

    yield start
    for stop in stops:
        stop()


def _run(server: uvicorn.Server, begun: threading.Event) -> None:
    import asyncio

    async def main() -> None:
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup()
        begun.set()
        await server.main_loop()
        await server.shutdown()

    asyncio.run(main())


def _stop(server: uvicorn.Server, thread: threading.Thread) -> None:
    server.should_exit = True
    thread.join()


@contextmanager
def running(command: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A process that ends with the block."""
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(20)
        assert process.stderr is not None
        process.stderr.close()
