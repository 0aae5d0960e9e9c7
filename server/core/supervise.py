"""The supervisor behind `cinnabar serve`: one child process per role, restarted when it dies, stopped in order.

It imports nothing heavy: the roles' libraries are only in the roles' processes.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from server.core.role_process import BROKER, EX_CONFIG, ROLES
from server.core.settings import Settings

READY_TIMEOUT_S: Final = 60.0
"""Longest start of one role on a loaded 2-core machine; measured about 2 s."""
STOP_TIMEOUT_S: Final = 10.0
FIRST_BACKOFF_S: Final = 0.25
LONGEST_BACKOFF_S: Final = 10.0
STEADY_AFTER_S: Final = 60.0
"""A role that ran this long starts again without waiting."""


class RoleFailed(Exception):
    """A role cannot start, and trying again will not help."""


@dataclass(slots=True)
class _Role:
    name: str
    process: subprocess.Popen[bytes] | None = None
    ready_fd: int = -1
    ready: bool = False
    started_at: float = 0.0
    backoff_s: float = 0.0
    restart_at: float = field(default=0.0)


class Supervisor:
    """Runs roles until `stop()` or a signal. Not thread-safe, except `stop`."""

    def __init__(self, settings: Settings, roles: Sequence[str], *, on_restart: Callable[[str], None]) -> None:
        self._settings = settings
        wanted = [name for name in ROLES if name in roles and not (name == BROKER and settings.mqtt_url)]
        self._roles = [_Role(name) for name in wanted]
        self._on_restart = on_restart
        self._stopping = False
        self._selector = selectors.DefaultSelector()
        self._alive_read, self._alive_write = os.pipe()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._selector.register(self._wake_read, selectors.EVENT_READ)

    @property
    def pids(self) -> dict[str, int]:
        return {role.name: role.process.pid for role in self._roles if role.process is not None}

    def migrate(self) -> None:
        """Bring the database up to date, in a process that ends and gives its memory back.

        Raises: RoleFailed.
        """
        done = subprocess.run(
            [sys.executable, "-m", "server.migrations", "upgrade"], env=self._environment(), cwd=_ROOT, check=False
        )
        if done.returncode:
            raise RoleFailed("the database could not be brought up to date")

    def start(self) -> None:
        """Start the broker, then the others together; returns when all are ready.

        Raises: RoleFailed; what had started is stopped again.
        """
        try:
            first = [role for role in self._roles if role.name == BROKER]
            for group in (first, [role for role in self._roles if role.name != BROKER]):
                for role in group:
                    self._spawn(role)
                for role in group:
                    self._wait_ready(role)
        except RoleFailed:
            self._stop_all()
            raise

    def watch(self) -> None:
        """Restart roles that die, until `stop`; then end them all.

        Raises: RoleFailed.
        """
        try:
            while not self._stopping:
                self._turn(1.0)
                for role in self._roles:
                    self._look_after(role)
        finally:
            self._stop_all()

    def stop(self, *_signal: object) -> None:
        """Ask `watch` or `start` to end everything; callable from a signal handler or another thread."""
        self._stopping = True
        with contextlib.suppress(BlockingIOError):
            os.write(self._wake_write, b"x")

    def _turn(self, seconds: float) -> None:
        """Wait for something to happen: a role says ready, a role's pipe closes, or `stop`."""
        for key, _events in self._selector.select(seconds):
            if key.fd == self._wake_read:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._wake_read, 100)
                continue
            role: _Role = key.data
            if os.read(key.fd, 100):
                role.ready = True
            else:
                self._close_ready(role)

    def _wait_ready(self, role: _Role) -> None:
        deadline = time.monotonic() + READY_TIMEOUT_S
        while not role.ready and not self._stopping:
            if time.monotonic() > deadline:
                raise RoleFailed(f"{role.name} was not ready after {READY_TIMEOUT_S:.0f} s")
            self._turn(0.2)
            code = None if role.process is None else role.process.poll()
            if code is not None:
                raise RoleFailed(f"{role.name} could not start (exit code {code}); the reason stands above")

    def _look_after(self, role: _Role) -> None:
        now = time.monotonic()
        if role.process is not None:
            code = role.process.poll()
            if code is None:
                return
            if code == EX_CONFIG:
                raise RoleFailed(f"{role.name} cannot run; the reason stands above")
            steady = now - role.started_at > STEADY_AFTER_S
            role.backoff_s = FIRST_BACKOFF_S if steady or not role.backoff_s else role.backoff_s * 2
            role.backoff_s = min(role.backoff_s, LONGEST_BACKOFF_S)
            role.restart_at = now + role.backoff_s
            role.process, role.ready = None, False
            self._on_restart(role.name)
        if now >= role.restart_at:
            self._spawn(role)

    def _spawn(self, role: _Role) -> None:
        self._close_ready(role)
        read_end, write_end = os.pipe()
        environment = self._environment() | {
            "CINNABAR_READY_FD": str(write_end),
            "CINNABAR_ALIVE_FD": str(self._alive_read),
        }
        role.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "server.core.role_process", role.name],
            env=environment,
            cwd=_ROOT,
            stdin=subprocess.DEVNULL,
            pass_fds=(write_end, self._alive_read),
            start_new_session=True,  # a Ctrl-C at the terminal reaches the supervisor alone, which stops them in order
        )
        os.close(write_end)
        role.ready_fd, role.ready, role.started_at = read_end, False, time.monotonic()
        self._selector.register(read_end, selectors.EVENT_READ, role)

    def _stop_all(self) -> None:
        """Last started, first stopped."""
        deadline = time.monotonic() + STOP_TIMEOUT_S
        for role in reversed(self._roles):
            process, role.process = role.process, None
            if process is not None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(max(0.1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            self._close_ready(role)

    def _close_ready(self, role: _Role) -> None:
        if role.ready_fd >= 0:
            self._selector.unregister(role.ready_fd)
            os.close(role.ready_fd)
            role.ready_fd = -1

    def _environment(self) -> dict[str, str]:
        """Ours, with every setting spelled out, so that all roles see the same ones."""
        spelled = {
            f"CINNABAR_{name.upper()}": str(value)
            for name, value in self._settings.model_dump().items()
            if name != "key_passphrase" and value is not None
        }
        return {**os.environ, **spelled}


_ROOT: Final = Path(__file__).parents[2]
