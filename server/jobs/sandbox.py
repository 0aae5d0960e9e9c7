"""Warm, sandboxed child processes for work on PDFs and images, in two lanes.

The interactive lane is for a person who waits; the background lane for jobs, so that a long job never stands before a
short question. A child that is late or dies is killed and replaced; the caller gets a clear error, the server goes on.
A child imports a heavy library at the first call that needs it, so an idle server stays small.
"""

import contextlib
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from server.core.errors import ServerError, Unavailable
from server.core.i18n import N_
from server.jobs.plain import Codec, NotPlain

FUNCTION_MODULES: Final = (
    "server.eseals.intake",
    "server.eseals.normalising",
    "server.eseals.pages",
    "server.inspection.vision",
    "server.inspection.tasks",
)
"""The only modules whose functions a child runs."""
VALUE_MODULES: Final = (
    *FUNCTION_MODULES,
    "server.eseals",
    "server.inspection",
    "server.core.errors",
    "firmware_protocol",
)
"""Modules whose dataclasses, enums and exceptions may be arguments or results."""
START_TIMEOUT_S: Final = 20.0
"""Longest start of a child on a busy machine; measured 0.1 s idle."""
MAX_ANSWER_BYTES: Final = 512 * 1024 * 1024
"""Longest answer read from a child: a page of 40 megapixels in colour is 120 MB."""


class WorkerTimeout(Unavailable):
    """The work took longer than its deadline; the child was killed. Fact: `timeout_s`."""

    happened = N_("This file took too long to read (more than %(timeout_s)s s) and was put aside.")
    safe = N_("Nothing was changed by this step.")
    next_step = N_("Save or scan the file again more simply, then send it again.")


class WorkerCrashed(Unavailable):
    """The child died: out of memory, or a fault in a library. Fact: `exit_code`."""

    happened = N_("This file could not be read: the reader gave up on it.")
    safe = N_("Nothing was changed by this step.")
    next_step = N_("Save or scan the file again more simply, then send it again.")


class WorkerFailed(ServerError):
    """The function raised something that is not an error of an allowed module. Facts: `kind`, `message`."""

    happened = N_("This file could not be read.")


class Lane(StrEnum):
    INTERACTIVE = "interactive"
    BACKGROUND = "background"


class Workers:
    """The `Workers` of `server.core.runtime`. Thread-safe: one call at a time per lane, others wait their turn."""

    def __init__(
        self,
        *,
        functions: Sequence[str] = FUNCTION_MODULES,
        values: Sequence[str] = VALUE_MODULES,
        readable: Sequence[Path] = (),
    ) -> None:
        self._functions = Codec(functions)
        modules = tuple(dict.fromkeys((*functions, *values)))
        self._lanes = {lane: _Child(modules, readable) for lane in Lane}

    def call(
        self,
        function: Callable[..., Any] | str,
        *args: Any,  # noqa: ANN401 - plain data of any shape
        timeout_s: float,
        lane: str = Lane.INTERACTIVE,
    ) -> Any:  # noqa: ANN401 - the function's result
        """Run `function` (or "module:name", which spares the caller the import) with plain `args`; its result.

        Errors of allowed modules are raised here as they were raised there.
        Raises: NotPlain (function or values not allowed), WorkerTimeout, WorkerCrashed, WorkerFailed.
        """
        path = function if isinstance(function, str) else self._functions.name_of(function)
        if not self._functions.allowed(path.partition(":")[0]):
            raise NotPlain(f"{path} is not on the allow-list")
        return self._lanes[Lane(lane)].call(path, args, timeout_s)

    def warm(self, lane: Lane = Lane.INTERACTIVE) -> list[str]:
        """Start the lane's child now; returns the sandbox steps that hold on this system."""
        return self._lanes[lane].warm()

    def close(self) -> None:
        """End the children; a call in progress fails."""
        for child in self._lanes.values():
            child.kill()


class _Child:
    """One lane: at most one process, started when needed."""

    def __init__(self, modules: Sequence[str], readable: Sequence[Path]) -> None:
        self._codec = Codec(modules)
        self._command = [sys.executable, "-m", "server.jobs.sandbox_child", *modules]
        self._environment = _environment(readable)
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._held: list[str] = []
        self._calls = 0  # of the process that runs now

    def warm(self) -> list[str]:
        with self._turn:
            self._started()
            return self._held

    def call(self, path: str, args: tuple[Any, ...], timeout_s: float) -> Any:  # noqa: ANN401
        request = self._codec.dumps([path, list(args), timeout_s])
        deadline = time.monotonic() + timeout_s
        if not self._turn.acquire(timeout=timeout_s):
            raise WorkerTimeout(timeout_s=timeout_s)
        try:
            worn = self._calls > 0
            try:
                answer = self._ask(request, deadline, timeout_s)
            except WorkerCrashed:
                if not worn:
                    raise
                answer = self._ask(request, deadline, timeout_s)  # files before it wore the child out, not this one
        finally:
            self._turn.release()
        match answer:
            case ["result", result]:
                return result
            case ["raised", Exception() as error]:
                raise error
            case ["failed", str(kind), str(message)]:
                raise WorkerFailed(kind=kind, message=message)
        self.kill()
        raise WorkerCrashed(exit_code=None)

    def _ask(self, request: bytes, deadline: float, timeout_s: float) -> Any:  # noqa: ANN401 - plain data
        process = self._started()
        self._calls += 1
        deadline = max(deadline, time.monotonic() + min(timeout_s, 1.0))  # a fresh start is not the file's fault
        return self._exchange(process, request, deadline, timeout_s)

    def kill(self) -> None:
        self._calls = 0
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with contextlib.suppress(OSError):  # unsent bytes to a dead child
                        stream.close()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self.kill()
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._environment,
            cwd=Path(__file__).parents[2],
            start_new_session=True,
        )
        self._process = process
        match self._exchange(process, b"", time.monotonic() + START_TIMEOUT_S, START_TIMEOUT_S):
            case ["ready", [*held]]:
                self._held = list(held)
        return process

    def _exchange(self, process: subprocess.Popen[bytes], request: bytes, deadline: float, timeout_s: float) -> Any:  # noqa: ANN401 - plain data
        """Send `request` (if any) and read one answer, writing and reading at once so that no pipe can fill up."""
        try:
            data = _talk(process, request, deadline)
        except TimeoutError as error:
            self.kill()
            raise WorkerTimeout(timeout_s=timeout_s) from error
        except (OSError, EOFError) as error:
            code = process.wait() if process.poll() is None and self._gone(process) else process.poll()
            self.kill()
            raise WorkerCrashed(exit_code=code) from error
        try:
            return self._codec.loads(data)
        except NotPlain as error:
            self.kill()
            raise WorkerCrashed(exit_code=None) from error

    @staticmethod
    def _gone(process: subprocess.Popen[bytes]) -> bool:
        process.kill()
        return True


def _talk(process: subprocess.Popen[bytes], request: bytes, deadline: float) -> bytes:
    """Raises: TimeoutError, EOFError (the child closed), OSError (broken pipe)."""
    if process.stdin is None or process.stdout is None:
        raise EOFError
    out = memoryview(len(request).to_bytes(8, "big") + request if request else b"")
    source, sink = process.stdout.fileno(), process.stdin.fileno()
    os.set_blocking(sink, False)
    received = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(source, selectors.EVENT_READ)
        if out:
            selector.register(sink, selectors.EVENT_WRITE)
        while len(received) < 8 or len(received) < 8 + _announced(received):
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            for key, _events in selector.select(left):
                if key.fd == sink:
                    out = out[os.write(sink, out[: 1 << 16]) :]
                    if not out:
                        selector.unregister(sink)
                else:
                    chunk = os.read(source, 1 << 20)
                    if not chunk:
                        raise EOFError
                    received += chunk
    return bytes(received[8:])


def _announced(received: bytearray) -> int:
    size = int.from_bytes(received[:8], "big")
    if size > MAX_ANSWER_BYTES:
        raise EOFError("the child announced more than any answer may have")
    return size


def _environment(readable: Sequence[Path]) -> Mapping[str, str]:
    """Nothing of ours: no passphrase, no settings."""
    environment = {
        name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH") if name in os.environ
    }
    environment |= {"PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(map(str, (Path(__file__).parents[2], *readable)))
    environment["CINNABAR_SANDBOX_READ"] = os.pathsep.join(map(str, readable))
    return environment
