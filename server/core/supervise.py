"""The supervisor behind `cinnabar serve`: one child process per role, restarted when it dies, stopped in order.

It imports what the roles share, once, and forks them (`server.core.launch`); it opens none of it.
"""

import contextlib
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from server.core import launch
from server.core.launch import Child
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
    process: Child | None = None
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

    def start(self) -> None:
        """Start the broker, bring the database up to date, start the others together; returns when all are ready.

        Raises: RoleFailed, as soon as one has failed; what had started is stopped again.
        """
        first = [role for role in self._roles if role.name == BROKER]
        others = [role for role in self._roles if role.name != BROKER]
        try:
            for role in first:
                self._spawn(role)
            launch.preload(role.name for role in others[:1])  # while the broker starts
            self._migrate()
            self._wait_ready(first)
            for role in others:
                launch.preload([role.name])  # after the roles before it, which need not carry it
                self._spawn(role)
            self._wait_ready(self._roles)
        except RoleFailed:
            self._give_up()
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

    def _migrate(self) -> None:
        """In a process that ends and takes its database connection and memory with it. Raises: RoleFailed."""
        if launch.can_fork():
            migrating = launch.fork(_migrate, "cinnabar-schema", self._environment(), close=self._close_in_child)
            code = migrating.wait()
        else:
            command = [sys.executable, "-m", "server.migrations", "upgrade"]
            code = subprocess.run(command, env=self._environment(), cwd=_ROOT, check=False).returncode  # noqa: S603
        if code:
            raise RoleFailed("the database could not be brought up to date")

    def _wait_ready(self, roles: Sequence[_Role]) -> None:
        """Until all of them are ready; a role that ends closes its pipe, so its failure is seen at once."""
        deadline = time.monotonic() + READY_TIMEOUT_S
        while (waiting := [role for role in roles if not role.ready]) and not self._stopping:
            if time.monotonic() > deadline:
                raise RoleFailed(f"{waiting[0].name} was not ready after {READY_TIMEOUT_S:.0f} s")
            self._turn(0.2)
            for role in waiting:
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
        try:
            role.process = launch.start(
                role.name,
                environment,
                keep=(write_end, self._alive_read),
                close=lambda: self._close_in_child(read_end),
            )
        finally:
            os.close(write_end)
        role.ready_fd, role.ready, role.started_at = read_end, False, time.monotonic()
        self._selector.register(read_end, selectors.EVENT_READ, role)

    def _give_up(self) -> None:
        """End what is still starting without waiting for it: every role bears being killed at any moment."""
        for role in self._roles:
            if role.process is not None and not role.ready:
                role.process.kill()
        self._stop_all()

    def _stop_all(self) -> None:
        """All at once, the broker last."""
        deadline = time.monotonic() + STOP_TIMEOUT_S
        first = [role for role in self._roles if role.name != BROKER]
        for group in (first, [role for role in self._roles if role.name == BROKER]):
            running = [role.process for role in group if role.process is not None]
            for process in running:
                process.terminate()
            for process in running:
                try:
                    process.wait(max(0.1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            for role in group:
                role.process = None
                self._close_ready(role)

    def _close_in_child(self, *more: int) -> None:
        """In a forked role: let go of what is the supervisor's. A writing end kept open would hide that it died."""
        self._selector.close()
        others = [role.ready_fd for role in self._roles if role.ready_fd >= 0]
        for descriptor in (self._alive_write, self._wake_read, self._wake_write, *others, *more):
            os.close(descriptor)

    def _close_ready(self, role: _Role) -> None:
        if role.ready_fd >= 0:
            self._selector.unregister(role.ready_fd)
            os.close(role.ready_fd)
            role.ready_fd = -1

    def _environment(self) -> dict[str, str]:
        """Ours, with every setting spelled out, so that all roles see the same ones."""
        spelled = {
            f"CINNABAR_{name.upper()}": json.dumps(value, default=str) if isinstance(value, tuple) else str(value)
            for name, value in self._settings.model_dump().items()
            if name != "key_passphrase" and value is not None
        }
        return {**os.environ, **spelled}


def _migrate() -> int:
    from server.core.runtime import named

    named("server.migrations:upgrade")()  # named, not imported: it stands above core
    return 0


_ROOT: Final = Path(__file__).parents[2]
