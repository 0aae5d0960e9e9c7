"""The gateway's log: lines on stderr for the service manager, the last of them in HOME/logs for a support bundle."""

import os
import sys
import threading
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any, Final, TextIO

import structlog

MAX_BYTES: Final = 1_000_000
"""Of one file; the one before it stays as gateway.log.1."""
SECRET_WORDS: Final = ("secret", "password", "pin", "token", "authorization", "private_key", "passphrase")


class LogFile:
    """Lines go to stderr and into a file that begins anew when it is full. A disk that is full loses lines, no more."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = path
        self._turn = threading.Lock()
        self._file = self._open()

    def write(self, text: str) -> int:
        with self._turn:
            sys.stderr.write(text)
            try:
                if self._file.tell() > MAX_BYTES:
                    self._file.close()
                    self._path.replace(self._path.with_name(self._path.name + ".1"))
                    self._file = self._open()
                self._file.write(text)
                self._file.flush()
            except OSError as error:
                sys.stderr.write(f"the log file takes no more: {error.strerror}\n")
        return len(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def close(self) -> None:
        with self._turn:
            self._file.close()

    def _open(self) -> TextIO:
        return os.fdopen(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a", encoding="utf-8")


def configure(home: Path | None) -> LogFile | None:
    """Stdout has answers and the ready line only. Without `home` nothing is kept, and no file returned."""
    file = LogFile(home / "logs" / "gateway.log") if home is not None else None
    target: Any = file or sys.stderr
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            _without_secrets,
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(target),
    )
    return file


def is_secret(name: str) -> bool:
    """Whether a field of this name may hold something that opens a door."""
    return any(word in name.lower().split("_") or word == name.lower() for word in SECRET_WORDS)


def _without_secrets(_logger: object, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: "[removed]" if is_secret(name) else value for name, value in line.items()}
