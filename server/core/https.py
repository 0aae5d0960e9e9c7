"""HTTPS with HTTP/2 for one ASGI app, in this process, by granian."""

import asyncio
import contextlib
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.server.embed import Server

from server.core import keyfile, tls
from server.core.keystore import CertificateKey
from server.core.ports import NotListening, wait_until_listening
from server.core.runtime import Runtime

GRACE_S: Final = 3.0
"""How long running requests may go on after `stop`; live streams never end by themselves."""


def serve(
    app: Any,  # noqa: ANN401 - an ASGI app
    runtime: Runtime,
    *,
    port: int,
    stop: threading.Event,
    ready: Callable[[], None],
) -> None:
    """Serve `app` on `settings.bind`:`port` until `stop` is set; running requests get 3 seconds to end.

    `app.state.stopping` is `stop`: a live stream looks at it and ends by itself.

    Raises: NotListening, when the port belongs to another process or cannot be had.
    """
    with contextlib.ExitStack() as while_starting:
        server = _server(app, runtime, port, while_starting.enter_context(_opened_key(runtime)))
        failed: list[BaseException] = []
        stopped = asyncio.Event()
        app.state.stopping = stop

        def watch(loop: asyncio.AbstractEventLoop) -> None:
            try:
                wait_until_listening(_reachable(runtime.settings.bind), port, stop=stop)
                while_starting.close()
                if not stop.is_set():
                    ready()
                stop.wait()
            except Exception as error:  # noqa: BLE001 - handed to the caller below
                failed.append(error)
            finally:
                loop.call_soon_threadsafe(stopped.set)

        async def run() -> None:
            serving = asyncio.create_task(server.serve())
            loop = asyncio.get_running_loop()
            threading.Thread(target=watch, args=(loop,), daemon=True, name="https-watch").start()
            await asyncio.wait({serving, asyncio.create_task(stopped.wait())}, return_when=asyncio.FIRST_COMPLETED)
            server.stop()  # type: ignore[no-untyped-call]
            await asyncio.wait({serving}, timeout=GRACE_S)
            if serving.done():
                _tell(serving, runtime.settings.bind, port)
            serving.cancel()

        async def live() -> None:
            async with app.router.lifespan_context(app):  # not granian's: that one keeps the reason to itself
                await run()

        asyncio.run(live())
    if failed:
        raise failed[0]


def _server(app: Any, runtime: Runtime, port: int, key_file: Path) -> Server:  # noqa: ANN401 - an ASGI app
    settings = runtime.settings
    return Server(
        app,
        address=settings.bind,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.auto,
        websockets=False,
        log_enabled=False,
        ssl_cert=tls.ensure_certificate(settings, runtime.keys, now=runtime.now()),
        ssl_key=key_file,
        ssl_protocol_min=SSLProtocols.tls12,
    )


@contextlib.contextmanager
def _opened_key(runtime: Runtime) -> Iterator[Path]:
    """The TLS key as granian needs it while it starts: granian 2.8.7 panics on an encrypted EC key.

    In memory where the system has /dev/shm, in a folder of mode 0700, and removed when the block ends.
    """
    key = runtime.keys.certificate_key(CertificateKey.TLS)
    with tempfile.TemporaryDirectory(prefix="cinnabar-", dir=keyfile.memory_folder()) as folder:
        keyfile.write_private(Path(folder) / "key.pem", keyfile.plain_pem(key))
        yield Path(folder) / "key.pem"


def _tell(served: asyncio.Task[None], bind: str, port: int) -> None:
    """Raise what broke the server. Raises: NotListening for a port in use, which granian says as RuntimeError."""
    error = served.exception()
    if isinstance(error, RuntimeError):
        reason = str(error).partition("\n")[0]  # what follows is a backtrace of native code
        raise NotListening(f"cannot listen on {bind}:{port}: {reason}") from None
    served.result()


def _reachable(bind: str) -> str:
    """Where this process itself finds a socket bound to `bind`."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104 - read, not bound
