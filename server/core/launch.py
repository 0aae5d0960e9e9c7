"""How a role's process comes into being: forked from the supervisor, which has imported the libraries once.

A role that imports them itself costs 2 s of processor time and 80 MB; five of them, on two cores, start in 10 s. A
fork shares both. It is safe here because the parent has one thread and holds nothing but imported modules: no key, no
database connection, no socket, no event loop (docs/decisions/0013-forked-roles.md). Elsewhere than on Linux, and for
the broker, which needs none of those libraries, a role is a fresh interpreter.
"""

import contextlib
import ctypes
import gc
import importlib
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, NoReturn, Protocol

from server.core import role_process
from server.core.role_process import BROKER

LINUX: Final = sys.platform == "linux"
"""macOS: its system libraries may not be used after a fork without exec."""
POLL_S: Final = 0.01
_ROOT: Final = Path(__file__).parents[2]
_NAME_BYTES: Final = 15
"""Longest name of a process that Linux keeps (proc(5), /proc/PID/comm)."""


class Child(Protocol):
    """A role's process, as `subprocess.Popen` shows one."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None:
        """Its exit code, negative for a signal; None while it runs."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Raises: subprocess.TimeoutExpired."""
        ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


class Forked:
    """A `Child` made by `os.fork`."""

    def __init__(self, pid: int) -> None:
        self.pid: Final = pid
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self._code = os.waitstatus_to_exitcode(status)
        return self._code

    def wait(self, timeout: float | None = None) -> int:
        if timeout is None and self._code is None:
            self._code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        deadline = time.monotonic() + (timeout or 0.0)
        while (code := self.poll()) is None:
            if timeout is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(f"pid {self.pid}", timeout)
            select.select([], [], [], POLL_S)
        return code

    def terminate(self) -> None:
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        self._send(signal.SIGKILL)

    def _send(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)


def can_fork() -> bool:
    """Not with a second thread, Python's or a library's: its locks would be copied as they are, held."""
    return LINUX and len(list(Path("/proc/self/task").iterdir())) == 1


def preload(roles: Iterable[str]) -> None:
    """Import what these roles will need, so that every fork has it. What is missing, the role itself will name."""
    if not LINUX:
        return
    for role in roles:
        for path in role_process.NEEDS.get(role, ()):
            module, _sep, function = path.partition(":")
            with contextlib.suppress(ImportError), _unseen("rich"):
                imported = importlib.import_module(module)
                if function:
                    getattr(imported, function)()
    gc.collect()
    gc.freeze()  # the collector of a child leaves these objects alone, so their pages stay shared


@contextlib.contextmanager
def _unseen(library: str) -> Iterator[None]:
    """Import as if `library` were not installed. structlog loads rich where it can, to draw tracebacks that our logs
    never show: 5 MB in each role.
    """
    if library in sys.modules:
        yield
        return
    sys.modules[library] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[library]


def start(
    role: str, environment: Mapping[str, str], *, keep: Sequence[int] = (), close: Callable[[], None] = lambda: None
) -> Child:
    """The process of `role`, with `environment`. `keep`: descriptors that a new interpreter gets as well; `close`
    closes, in a forked one, what belongs to the supervisor alone.
    """
    if role != BROKER and can_fork():
        return fork(lambda: role_process.main(role), f"cinnabar-{role}", environment, close=close)
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-m", "server.core.role_process", role],
        env=environment,
        cwd=_ROOT,
        stdin=subprocess.DEVNULL,
        pass_fds=keep,
        start_new_session=True,  # a Ctrl-C at the terminal reaches the supervisor alone, which stops them in order
    )


def fork(work: Callable[[], int], name: str, environment: Mapping[str, str], *, close: Callable[[], None]) -> Forked:
    """Run `work` in a copy of this process, if it `can_fork`; its answer is the exit code."""
    sys.stdout.flush()
    sys.stderr.flush()
    # A signal in between would run the supervisor's handler in the child.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGINT})
    try:
        pid = os.fork()
        if pid == 0:
            _become(work, name, environment, close)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return Forked(pid)


def _return_memory() -> None:
    """Let glibc give large blocks back at once: photos pass through a role by the megabyte, on many threads.

    mallopt(3): M_ARENA_MAX 2, and a fixed M_MMAP_THRESHOLD, which grows to 32 MB by itself otherwise.
    """
    with contextlib.suppress(AttributeError, OSError):  # another C library
        libc = ctypes.CDLL(None)
        libc.mallopt(-8, 2)
        libc.mallopt(-3, 256 * 1024)


def _become(work: Callable[[], int], name: str, environment: Mapping[str, str], close: Callable[[], None]) -> NoReturn:
    """The child: it never returns into the supervisor's code. The two signals stay blocked until it waits for them."""
    code = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        close()
        os.setsid()
        os.chdir(_ROOT)
        nothing = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nothing, 0)
        os.close(nothing)
        os.environ.clear()
        os.environ.update(environment)
        _return_memory()
        Path("/proc/self/comm").write_text(name[:_NAME_BYTES])
        code = work()
    except BaseException:  # noqa: BLE001 - the bottom of this process
        traceback.print_exc()
    role_process.leave(code)
