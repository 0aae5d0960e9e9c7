"""TCP ports on loopback: find a free one, and check that it is this process that listens on it."""

import socket
import sys
import threading
from pathlib import Path
from typing import Final

WAIT_S: Final = 15.0
_STEP_S: Final = 0.02


class NotListening(Exception):
    """Nothing listens there in time, or another process does."""


def free_port(host: str = "127.0.0.1") -> int:
    """A port that was free a moment ago."""
    with socket.create_server((host, 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def wait_until_listening(host: str, port: int, *, stop: threading.Event, seconds: float = WAIT_S) -> None:
    """Return once this process accepts connections on the port.

    Raises: NotListening.
    """
    for _try in range(int(seconds / _STEP_S)):
        try:
            with socket.create_connection((host, port), timeout=1):
                if not owns(port):
                    raise NotListening(f"port {port} belongs to another process")
                return
        except OSError:
            if stop.wait(_STEP_S):
                return
    raise NotListening(f"nothing listens on {host}:{port}")


def owns(port: int) -> bool:
    """Whether a listening socket of this process has `port`; True where the system cannot tell (not Linux)."""
    if sys.platform != "linux":
        return True
    mine = {_target(entry) for entry in Path("/proc/self/fd").iterdir()}
    for table in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        if not Path(table).exists():
            continue
        for line in Path(table).read_text().splitlines()[1:]:
            fields = line.split()
            local, state, inode = fields[1], fields[3], fields[9]
            if state == "0A" and int(local.rsplit(":", 1)[1], 16) == port and f"socket:[{inode}]" in mine:
                return True
    return False


def _target(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:  # closed while we looked
        return ""
