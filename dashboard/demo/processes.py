"""The real processes of a story: server, device, gateway, each started as its user would start it."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from dashboard.cli import ROOT
from dashboard.demo.waiting import StoryFailed

READY_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 10.0


class Process:
    """One child whose first line on stdout is a JSON object that says it is ready. Its log goes to `log`."""

    def __init__(self, name: str, arguments: Sequence[str], *, log: Path, env: dict[str, str] | None = None) -> None:
        self.name = name
        self._arguments = [sys.executable, *arguments]
        self._log = log
        self._env = os.environ | {"PYTHONPATH": str(ROOT)} | (env or {})
        self._child: subprocess.Popen[str] | None = None
        self.ready: dict[str, Any] = {}

    @property
    def pid(self) -> int:
        return self._child.pid if self._child else 0

    def add(self, option: str) -> None:
        """One more word on the command line, from the next start on."""
        self._arguments.append(option)

    def start(self) -> dict[str, Any]:
        """Raises: StoryFailed, when it ends or stays silent."""
        self._hang_up()
        with self._log.open("ab") as log:
            self._child = subprocess.Popen(  # noqa: S603 - our own modules
                self._arguments, stdout=subprocess.PIPE, stderr=log, text=True, env=self._env, start_new_session=True
            )
        self.ready = self._first_line(self._child)
        return self.ready

    def kill(self) -> None:
        """Kill -9, the process alone: what it started must cope."""
        if self._child is not None and self._child.poll() is None:
            os.kill(self._child.pid, signal.SIGKILL)
            self._child.wait()

    def stop(self) -> None:
        """Ask, then insist; its whole group goes with it."""
        child = self._child
        if child is None:
            return
        if child.poll() is None:
            child.terminate()
            try:
                child.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                child.kill()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()
        self._hang_up()

    def _hang_up(self) -> None:
        if self._child is not None and self._child.stdout is not None:
            self._child.stdout.close()

    def _first_line(self, child: subprocess.Popen[str]) -> dict[str, Any]:
        lines: list[str] = []

        def read() -> None:
            if child.stdout is not None:
                lines.append(child.stdout.readline())

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        reader.join(READY_TIMEOUT_S)
        try:
            answer: dict[str, Any] = json.loads(lines[0])
        except (IndexError, ValueError) as error:
            tail = self._log.read_text(errors="replace")[-2000:] if self._log.exists() else ""
            raise StoryFailed(f"start {self.name}", f"it did not get ready. Its last words:\n{tail}") from error
        return answer


class Company:
    """Server, device and gateway of one story, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "server"
        logs = folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        self.server = Process(
            "server", ["-m", "dashboard.cli", "serve", "--json", "--home", str(self.home)], log=logs / "server.log"
        )
        self.device = Process(
            "device", ["-m", "device_sim.cli", "run", "--home", str(folder / "device")], log=logs / "device.log"
        )
        self.gateway = Process(
            "gateway", ["-m", "gateway.cli", "run", "--home", str(folder / "gateway")], log=logs / "gateway.log"
        )

    def write_gateway(self, *, gateway_id: str, secret: str, listen: str = "127.0.0.1:0") -> None:
        """HOME/gateway.json, from what server and device said when they were ready."""
        home = self.folder / "gateway"
        home.mkdir(exist_ok=True)
        settings = {
            "gateway_id": gateway_id,
            "server_url": self.server.ready["web"],
            "secret": secret,
            "ca_file": str(self.home / "tls" / "ca.pem"),
            "mqtt_url": f"mqtt://{self.server.ready['mqtt']}",
            "listen": listen,
            "demo": True,
            "devices": [
                {
                    "control": str(self.folder / "device" / "control"),
                    "bulk": self.device.ready["bulk"],
                    "device_id": self.device.ready["device_id"],
                }
            ],
        }
        path = home / "gateway.json"
        path.write_text(json.dumps(settings, indent=1))
        path.chmod(0o600)

    def stop(self) -> None:
        for process in (self.gateway, self.device, self.server):
            process.stop()
