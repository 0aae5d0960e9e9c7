"""The child: `python -m server.jobs.sandbox_child MODULE...`. Reads calls on stdin, answers on what was stdout.

One message each way: 8 bytes length, then `plain.Codec` bytes. It ends when stdin closes.
"""

import ctypes.util
import os
import resource
import sys
from typing import IO, Final

from server.jobs import jail
from server.jobs.plain import Codec, NotPlain

LIBRARIES: Final = ("zbar",)
"""Shared libraries of the system that our Python packages load by name: pyzbar."""


def serve(modules: list[str]) -> None:
    calls = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)  # a library that prints must not write between the answers
    os.dup2(silence, 2)  # nor trip over the file size limit when our log is a file, nor put a document's text there
    _find_libraries()
    held = jail.apply()
    codec = Codec(modules)
    _send(answers, codec.dumps(["ready", held]))
    while header := calls.read(8):
        _send(answers, _answer(codec, calls.read(int.from_bytes(header, "big"))))


def _find_libraries() -> None:
    """Look up now what `ctypes` would look up later by starting ldconfig, which a jailed process may not do."""
    found = {name: ctypes.util.find_library(name) for name in LIBRARIES}
    ctypes.util.find_library = found.get  # type: ignore[assignment]


def _answer(codec: Codec, message: bytes) -> bytes:
    try:
        path, arguments, cpu_s = codec.loads(message)
        _allow_cpu(cpu_s)
        result = codec.resolve(path)(*arguments)
        return codec.dumps(["result", result])
    except Exception as error:  # noqa: BLE001 - the decoder throws anything; that is why it runs here
        try:
            return codec.dumps(["raised", error])
        except NotPlain:
            return codec.dumps(["failed", type(error).__name__, str(error)[:500]])


def _allow_cpu(seconds: float) -> None:
    """A second stop besides the parent's deadline: SIGXCPU ends a child that has used its time."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime + seconds) + 2
    _soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, hard))


def _send(stream: IO[bytes], data: bytes) -> None:
    stream.write(len(data).to_bytes(8, "big") + data)
    stream.flush()


if __name__ == "__main__":
    serve(sys.argv[1:])
