"""One role in its own process: `python -m server.core.role_process NAME`, started by `server.core.supervise`.

It says that it is ready on the file descriptor CINNABAR_READY_FD, and ends when CINNABAR_ALIVE_FD closes, so that it
never outlives the supervisor. Exit 78 (EX_CONFIG) means: starting again will not help. On Linux the supervisor calls
`main` in a fork of itself (`server.core.launch`).
"""

import contextlib
import os
import signal
import sys
import threading
import traceback
from typing import Final, NoReturn

from server.core.ports import NotListening

EX_CONFIG: Final = 78
EX_NO_PORT: Final = 69
"""EX_UNAVAILABLE: the port may be free in a moment, so this is tried again."""

BROKER, LEDGER, WORKER, WEB, PUBLIC = "broker", "ledger", "worker", "web", "public"
ROLES: Final = (BROKER, LEDGER, PUBLIC, WORKER, WEB)
"""In the order in which they start: each is a fork of a process that has loaded what it and those before it need."""
ENTRY: Final = {
    LEDGER: "server.ledger.role:run",
    WORKER: "server.jobs.role:run",
    WEB: "dashboard.app:create_app",
    PUBLIC: "server.public.app:create_app",
}
"""run(runtime, *, stop: threading.Event, ready: Callable[[], None]) and create_app(runtime) -> FastAPI."""
_SHARED: Final = ("server.core.runtime", "server.blobs.store", "server.jobs.sandbox")
NEEDS: Final = {
    LEDGER: (*_SHARED, "server.ledger.role"),
    WORKER: (*_SHARED, "server.jobs.role:load_handlers"),
    WEB: (*_SHARED, "server.core.https", "dashboard.app"),
    PUBLIC: (*_SHARED, "server.core.https", "server.public.app"),
}
"""Modules, and functions that import some: what may be loaded before the role's process exists. They start nothing."""


def main(role: str) -> int:
    stop = threading.Event()
    _stop_on_signals(stop)
    _end_with_supervisor()
    try:
        if role == BROKER:
            from server.core import broker

            broker.run(int(os.environ["CINNABAR_MQTT_PORT"]), stop=stop, ready=_say_ready)
            return 0
        return _with_runtime(role, stop)
    except NotListening as error:
        sys.stderr.write(f"cinnabar {role}: {error}\n")
        return EX_NO_PORT


def _with_runtime(role: str, stop: threading.Event) -> int:
    from server.core import logs
    from server.core.keyfile import KeyUnreadable
    from server.core.runtime import MustNotRun, PartMissing, Runtime, named
    from server.core.settings import Settings

    settings = Settings.load()
    logs.configure(settings.log_level, settings.log_format)
    try:
        part = named(ENTRY[role])
        runtime = Runtime.open(settings)
    except (PartMissing, KeyUnreadable) as error:
        sys.stderr.write(f"cinnabar {role}: {error}\n")
        return EX_CONFIG
    try:
        if role in {WEB, PUBLIC}:
            from server.core import https

            port = settings.web_port if role == WEB else settings.public_port
            https.serve(part(runtime), runtime, port=port, stop=stop, ready=_say_ready)
        else:
            part(runtime, stop=stop, ready=_say_ready)
    except MustNotRun as error:
        sys.stderr.write(f"cinnabar {role}: {error}\n")
        return EX_CONFIG
    finally:
        runtime.close()
    return 0


def _stop_on_signals(stop: threading.Event) -> None:
    """Signals wait in a thread of their own: setting an Event in a handler can deadlock with the wait it interrupts."""
    wanted = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)

    def watch() -> None:
        signal.sigwait(wanted)
        stop.set()

    threading.Thread(target=watch, daemon=True, name="signals").start()


def _say_ready() -> None:
    descriptor = os.environ.get("CINNABAR_READY_FD")
    if descriptor:
        os.write(int(descriptor), b"ready\n")


def _end_with_supervisor() -> None:
    """A blocked read ends when the supervisor's end of the pipe closes, however it died."""
    descriptor = os.environ.get("CINNABAR_ALIVE_FD")
    if not descriptor:
        return

    def watch() -> None:
        os.read(int(descriptor), 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True, name="supervisor-watch").start()


def leave(code: int) -> NoReturn:
    """End this process without the interpreter's own ending: threads of the broker and of granian are still in native
    code, which panics ("panic in a function that cannot unwind") when the interpreter goes away under them.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _alone(role: str) -> NoReturn:
    code = 1
    try:
        code = main(role)
    except Exception:  # noqa: BLE001 - the bottom of this process
        traceback.print_exc()
    leave(code)


if __name__ == "__main__":
    _alone(sys.argv[1])
