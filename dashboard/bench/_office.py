"""An office of one gateway and many devices with a history, a server and a broker: all real processes but the devices.

Without Mosquitto on the machine the server's embedded broker serves.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any, Final

from dashboard.bench._fleet import BenchDevice
from dashboard.cli.init import create_installation
from dashboard.demo import mishaps
from dashboard.demo.processes import Company
from dashboard.demo.waiting import until
from server.core.clock import SystemClock
from server.core.ports import free_port
from server.core.rng import SystemRng
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.core.settings import Settings
from server.devices import service as devices
from server.identity import service as identity
from server.ledger import service as ledger

GATEWAY: Final = "gw-bench"
LISTENS_S: Final = 60.0
"""For Mosquitto on a machine that is busy with everything else."""
_MOSQUITTO: Final = """\
listener {port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
max_queued_messages 0
max_inflight_messages 0
"""
"""As deploy/mosquitto, without TLS: the certificates cost one handshake, not one a message."""
_PERSISTENT: Final = """\
persistence true
persistence_location {folder}/
autosave_interval 1
"""


class Office:
    """`fill`, then start gateway, broker and server in the order that the story wants; `stop` at the end."""

    def __init__(self, folder: Path, devices_count: int, *, persistent: bool = False, database_url: str = "") -> None:
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/opt/homebrew/sbin")
        port = free_port()
        self.broker = Mosquitto(folder, program, port, persistent=persistent) if program else None
        settings = Settings(
            home=folder / "server",
            installation="Bench",
            host="localhost",
            web_port=free_port(),
            public_port=free_port(),
            mqtt_port=port,
            demo=True,
        )
        if database_url:
            settings = settings.model_copy(update={"database_url": database_url})
        create_installation(settings, clock=SystemClock(), rng=SystemRng())
        with (settings.home / "settings.env").open("a") as file:
            if program:
                file.write(f'CINNABAR_MQTT_URL="mqtt://127.0.0.1:{port}"\n')
            if database_url:
                file.write(f'CINNABAR_DATABASE_URL="{database_url}"\n')
        self.settings = Settings.load(settings.home)
        self.company = Company(folder)
        self.devices = [BenchDevice(folder / f"device-{number}", number) for number in range(devices_count)]
        self._enrol(folder, port)

    @property
    def last_seqs(self) -> dict[str, int]:
        """Device id -> number of its newest event."""
        return {device.device_id: device.last_seq for device in self.devices}

    def fill(self, count: int, photos: int) -> None:
        """`count` events more over all devices, with `photos` pictures among them."""
        each = len(self.devices)
        for number, device in enumerate(self.devices):
            device.history(
                count // each + (number < count % each), photos=photos // each // 2 * 2 if each > 1 else photos
            )
            device.switch_on()

    def wipe_broker(self) -> None:
        """Kill -9, and nothing that it kept is there when it serves again. Raises: StoryFailed."""
        if self.broker is not None:
            self.broker.wipe()
        else:  # it keeps everything in memory, and its supervisor starts it again
            os.kill(mishaps.role_process(self.company.server.pid, "broker"), signal.SIGKILL)

    def stop(self) -> None:
        self.company.stop()
        for device in self.devices:
            device.switch_off()
        if self.broker:
            self.broker.stop()

    def in_ledger(self) -> dict[str, list[int]]:
        """Device id -> numbers of its events, in the order of the log."""
        run = Runtime.open(self.settings)
        try:
            found: defaultdict[str, list[int]] = defaultdict(list)
            with run.db.read() as db:
                for entry in ledger.leaves(db, first=0, last=1 << 40):
                    if entry.device_id is not None and entry.seq is not None:
                        found[entry.device_id].append(entry.seq)
        finally:
            run.close()
        return dict(found)

    def _enrol(self, folder: Path, port: int) -> None:
        run = Runtime.open(self.settings)
        try:
            with run.db.write() as db:
                tenant = identity.create_tenant(db, run, name="Bench")
                scope = Scope.system(tenant.id)
                made = devices.enrol_gateway(db, run, scope, gateway_id=GATEWAY, name="Bench", branch_path="/")
                for device in self.devices:
                    device.pair(db, run, scope, made.gateway)
        finally:
            run.close()
        facts: dict[str, Any] = {
            "gateway_id": GATEWAY,
            "server_url": self.settings.web_url,
            "secret": made.secret,
            "ca_file": str(self.settings.home / "tls" / "ca.pem"),
            "mqtt_url": f"mqtt://127.0.0.1:{port}",
            "devices": [device.settings for device in self.devices],
        }
        home = folder / "gateway"
        home.mkdir()
        (home / "gateway.json").write_text(json.dumps(facts))


class Mosquitto:
    """The broker as a child. `persistent`: it writes its queues to a folder every second."""

    def __init__(self, folder: Path, program: str, port: int, *, persistent: bool) -> None:
        self._configuration, self._kept = folder / "mosquitto.conf", folder / "mosquitto"
        more = _PERSISTENT.format(folder=self._kept) if persistent else ""
        self._configuration.write_text(_MOSQUITTO.format(port=port) + more)
        self._program, self._port, self._persistent = program, port, persistent
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def start(self) -> None:
        if self._persistent:
            self._kept.mkdir(exist_ok=True)
            self._kept.chmod(0o777)  # started by root, Mosquitto becomes another user
        command = [self._program, "-c", str(self._configuration)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 - found by its name
        until("broker", "Mosquitto listening", self._listens, timeout_s=LISTENS_S)

    def wipe(self) -> None:
        """Kill -9, its folder removed, started again."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        shutil.rmtree(self._kept, ignore_errors=True)
        self.start()

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
            return True
        return False
