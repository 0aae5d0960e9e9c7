"""Roles run as processes: ready when all are, restarted when one dies, gone when the supervisor is."""

import contextlib
import json
import os
import select
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.streams.tls
import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from server.core import http, https, ports
from server.core.ports import NotListening
from server.core.runtime import PartMissing, Runtime, named
from server.core.settings import Settings

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def serve(demo_home: Settings) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    started: list[subprocess.Popen[str]] = []

    def start(*roles: str) -> subprocess.Popen[str]:
        options = [option for role in roles for option in ("--role", role)]
        process = subprocess.Popen(
            [sys.executable, "-m", "dashboard.cli", "serve", "--json", "--home", str(demo_home.home), *options],
            cwd=REPOSITORY,
            env={**os.environ, "CINNABAR_MQTT_PORT": "0", "CINNABAR_LOG_LEVEL": "WARNING"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rsplit(")", 1)[1].split()[0] != "Z"


def children(parent: int) -> dict[int, str]:
    """Process id -> name."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            name, rest = entry.read_text().rsplit(")", 1)
            if int(rest.split()[1]) == parent:
                found[int(entry.parent.name)] = name.partition("(")[2]
    return found


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        select.select([], [], [], 0.02)


def test_a_role_that_is_killed_comes_back_and_all_end_together(serve: Callable[..., Any]) -> None:
    process = serve("worker", "broker")
    line = process.stdout.readline()
    assert line, process.stderr.read()
    facts = json.loads(line)
    assert set(facts["pids"]) == {"worker", "broker"}
    os.kill(facts["pids"]["broker"], signal.SIGKILL)
    assert "broker ended and is started again" in process.stderr.readline()
    os.kill(facts["pids"]["worker"], signal.SIGKILL)
    assert "worker ended and is started again" in process.stderr.readline()
    wait_for(lambda: "cinnabar-worker" in children(process.pid).values())
    host, port = facts["mqtt"].split(":")

    def answers() -> bool:
        return subprocess.run([sys.executable, "-c", _CONNECT, host, port], check=False).returncode == 0

    wait_for(answers)
    successors = children(process.pid)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert not any(map(alive, successors))


_CONNECT = "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 1)"


def test_all_roles_start_and_end_without_a_word(serve: Callable[..., Any]) -> None:
    process = serve("all")
    facts = json.loads(process.stdout.readline())
    assert set(facts["pids"]) == {"broker", "ledger", "worker", "web", "public"}
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
    assert process.stderr.read() == ""  # no panic of a native thread either
    assert not any(map(alive, facts["pids"].values()))


def test_a_role_that_cannot_start_is_named_at_once(
    serve: Callable[..., Any], demo_home: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("CINNABAR_PUBLIC_PORT", str(taken.getsockname()[1]))
        process = serve("worker", "web", "public")
        assert process.wait(30) == 2
    said = process.stderr.read().splitlines()
    assert [line.partition(":")[0] for line in said] == [
        "cinnabar public",
        "public could not start (exit code 69); the reason stands above",
    ]
    assert "in use" in said[0]
    assert str(demo_home.home) not in process.stdout.read()


def test_roles_do_not_outlive_a_supervisor_that_is_killed(serve: Callable[..., Any]) -> None:
    process = serve("broker")
    broker = json.loads(process.stdout.readline())["pids"]["broker"]
    process.kill()
    wait_for(lambda: not alive(broker))


def test_serve_without_init_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "dashboard.cli", "serve", "--home", str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "cinnabar init" in done.stderr


def test_a_part_that_is_not_installed_is_named() -> None:
    with pytest.raises(PartMissing, match=r"server\.nothing"):
        named("server.nothing.here:run")
    with pytest.raises(PartMissing, match="has no run"):
        named("server.core.clock:run")


def test_https_with_http2_and_a_certificate_of_the_local_ca(demo_home: Settings) -> None:
    runtime = Runtime.open(demo_home)
    app = FastAPI()
    http.prepare(app, runtime)
    port, stop, ready = ports.free_port(), threading.Event(), threading.Event()
    server = threading.Thread(
        target=https.serve, args=(app, runtime), kwargs={"port": port, "stop": stop, "ready": ready.set}
    )
    server.start()
    try:
        assert ready.wait(20)
        trusted = ssl.create_default_context(cafile=str(demo_home.home / "tls" / "ca.pem"))
        with httpx.Client(verify=trusted) as client:
            assert client.get(f"https://localhost:{port}/readyz").json() == {"status": "ready"}
            assert client.get(f"https://127.0.0.1:{port}/healthz").status_code == 200
        trusted.set_alpn_protocols(["h2", "http/1.1"])
        assert anyio.run(_negotiated, port, trusted) == "h2"
    finally:
        stop.set()
        server.join(20)
        runtime.close()
    assert not server.is_alive()


def test_an_open_stream_does_not_hold_the_stop(demo_home: Settings) -> None:
    runtime = Runtime.open(demo_home)
    app = FastAPI()
    http.prepare(app, runtime)

    @app.get("/live")
    async def live() -> StreamingResponse:
        async def beats() -> AsyncIterator[str]:
            while not app.state.stopping.is_set():
                yield "data: beat\n\n"
                await anyio.sleep(0.05)

        return StreamingResponse(beats(), media_type="text/event-stream")

    port, stop, ready = ports.free_port(), threading.Event(), threading.Event()
    server = threading.Thread(
        target=https.serve, args=(app, runtime), kwargs={"port": port, "stop": stop, "ready": ready.set}
    )
    server.start()
    assert ready.wait(20)
    trusted = ssl.create_default_context(cafile=str(demo_home.home / "tls" / "ca.pem"))
    with httpx.Client(verify=trusted) as client, client.stream("GET", f"https://localhost:{port}/live") as answer:
        lines = answer.iter_lines()
        assert next(lines) == "data: beat"
        stop.set()
        assert set(lines) <= {"", "data: beat"}
    server.join(20)
    runtime.close()
    assert not server.is_alive()


def test_an_app_that_cannot_start_says_why(demo_home: Settings) -> None:
    @contextlib.asynccontextmanager
    async def cannot(app: FastAPI) -> AsyncIterator[None]:
        if app.title:
            raise OSError("no way to the broker")
        yield

    runtime = Runtime.open(demo_home)
    try:
        with pytest.raises(OSError, match="no way to the broker"):
            https.serve(
                FastAPI(lifespan=cannot), runtime, port=ports.free_port(), stop=threading.Event(), ready=lambda: None
            )
    finally:
        runtime.close()


async def _negotiated(port: int, context: ssl.SSLContext) -> str | None:
    stream = await anyio.connect_tcp("127.0.0.1", port, tls=True, ssl_context=context, tls_hostname="localhost")
    async with stream:
        return str(stream.extra(anyio.streams.tls.TLSAttribute.alpn_protocol))


def test_a_port_of_another_process_is_noticed() -> None:
    listener = subprocess.Popen(
        [sys.executable, "-c", _LISTEN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    port = int(listener.stdout.readline())
    try:
        with pytest.raises(NotListening, match="another process"):
            ports.wait_until_listening("127.0.0.1", port, stop=threading.Event())
    finally:
        listener.communicate("\n")


_LISTEN = (
    "import socket,sys; s=socket.create_server(('127.0.0.1',0)); "
    "print(s.getsockname()[1], flush=True); sys.stdin.readline()"
)
