"""`bench drain`: an office that was 72 hours without a network, from the first event sent to an empty outbox.

Real processes: server with all roles, Mosquitto (else the embedded broker), gateway; the devices are the shipped core.
Clocked from server and broker being ready again until the gateway's outbox holds no event: each has then gone over the
broker into the ledger, and its receipt was verified by the device that signed it.
"""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from dashboard.bench._fleet import BenchDevice
from dashboard.bench._processor import name_of, processor_s
from dashboard.cli.init import create_installation
from dashboard.demo import mishaps
from dashboard.demo.processes import Company
from dashboard.demo.waiting import until
from dashboard.figures import Options, Report
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
DEVICES: Final = 20
EVENTS: Final = 100_000
PHOTOS: Final = 5_000
QUICK_EVENTS: Final = 4_000
QUICK_PHOTOS: Final = 40
PATIENCE_S: Final = 1200.0
_MOSQUITTO: Final = """\
listener {port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
max_queued_messages 0
max_inflight_messages 0
"""
"""As deploy/mosquitto, without TLS: the certificates cost one handshake, not one a message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """`in_order`: the ledger has each device's events once, ascending, from the first to the last.

    `cpu_s`: processor time of each process from the beginning of the drain until the outbox held no event.
    """

    events: int
    photos: int
    read_s: float
    events_s: float
    photos_s: float
    rss_mb: float
    broker: str
    in_order: bool
    events_left: int
    cpu_s: dict[str, float]

    @property
    def rate(self) -> float:
        return round(self.events / self.events_s, 1)

    @property
    def cpu_ms(self) -> dict[str, float]:
        """Of each process, and of all of them, per event."""
        spent = self.cpu_s | {"all": sum(self.cpu_s.values())}
        return {name: round(1000 * seconds / self.events, 3) for name, seconds in spent.items()}


def drain_events_s(*, quick: bool) -> Drain:
    """100,000 events and 5,000 photos of 20 devices; quick: 4,000 and 40. Raises: StoryFailed."""
    if quick:
        return measure(devices_count=DEVICES, count=QUICK_EVENTS, photos=QUICK_PHOTOS)
    return measure(devices_count=DEVICES, count=EVENTS, photos=PHOTOS)


def run(options: Options) -> Report:
    drained = drain_events_s(quick=options.quick)
    return Report(
        figures={
            "drain_events_s": drained.rate,
            "gateway_rss_mb": drained.rss_mb,
            "read_events_s": round(drained.events / drained.read_s, 1),
            "drain_s": round(drained.events_s, 2),
            "photos_s": round(drained.photos_s, 2),
            "cpu_ms_per_event": drained.cpu_ms,
        },
        counts={"events": drained.events, "photos": drained.photos, "devices": DEVICES, "left": drained.events_left},
        targets={"drain_events_s": (">=", 1500), "gateway_rss_mb": ("<=", 150)},
        notes=(
            f"broker: {drained.broker}; ledger in order and without a repeat: {drained.in_order}",
            "photos_s: until the last photo is at headquarters, over bulk links of 1 MB/s each",
        ),
    )


def measure(*, devices_count: int, count: int, photos: int) -> Drain:
    """Raises: StoryFailed, when something does not come to its end."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cinnabar-drain-")))
        office = _Office(folder, devices_count)
        stack.callback(office.stop)
        office.fill(count, photos)
        return office.drain(photos)


class _Office:
    def __init__(self, folder: Path, devices_count: int) -> None:
        program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/opt/homebrew/sbin")
        self._folder = folder
        self._broker_port = free_port()
        self._broker = _Broker(folder, program, self._broker_port) if program else None
        settings = Settings(
            home=folder / "server",
            installation="Bench",
            host="localhost",
            web_port=free_port(),
            public_port=free_port(),
            mqtt_port=self._broker_port,
            demo=True,
        )
        create_installation(settings, clock=SystemClock(), rng=SystemRng())
        if program:
            with (settings.home / "settings.env").open("a") as file:
                file.write(f'CINNABAR_MQTT_URL="mqtt://127.0.0.1:{self._broker_port}"\n')
        self._settings = Settings.load(settings.home)
        self._company = Company(folder)
        self._devices = [BenchDevice(folder / f"device-{number}", number) for number in range(devices_count)]
        self._enrol()

    def fill(self, count: int, photos: int) -> None:
        each = len(self._devices)
        for number, device in enumerate(self._devices):
            device.history(
                count // each + (number < count % each), photos=photos // each // 2 * 2 if each > 1 else photos
            )
            device.switch_on()

    def drain(self, photos: int) -> Drain:
        gateway = self._company.gateway
        with httpx.Client(base_url=gateway.start()["session_url"], timeout=30) as client:

            def waiting() -> dict[str, int]:
                found: dict[str, int] = client.get("api/state").json()["waiting"]
                return found

            begun = time.monotonic()
            total = sum(device.last_seq for device in self._devices)
            until("read", f"{total} events in the outbox", lambda: waiting()["events"] >= total, timeout_s=PATIENCE_S)
            read_s = time.monotonic() - begun
            if self._broker:
                self._broker.start()
            self._company.server.start()
            back, spent = time.monotonic(), self._processor_s()
            until("drain", "an outbox without events", lambda: waiting()["events"] == 0, timeout_s=PATIENCE_S)
            events_s = time.monotonic() - back
            cpu_s = {name: now - spent.get(name, 0.0) for name, now in self._processor_s().items()}
            until("photos", "an outbox without photos", lambda: waiting()["photos"] == 0, timeout_s=PATIENCE_S)
            photos_s = time.monotonic() - back
            rss = _peak_rss_mb(gateway.pid)
            left = waiting()["events"]
        return Drain(
            events=total,
            photos=photos,
            read_s=read_s,
            events_s=events_s,
            photos_s=photos_s,
            rss_mb=rss,
            broker="mosquitto" if self._broker else "embedded",
            in_order=self._in_order(),
            events_left=left,
            cpu_s=cpu_s,
        )

    def _processor_s(self) -> dict[str, float]:
        """Gateway, broker, each role of the server; devices: this process, where all of them live."""
        pids = {"gateway": self._company.gateway.pid, "devices": os.getpid()}
        if self._broker:
            pids["broker"] = self._broker.pid
        pids |= {name_of(pid).removeprefix("cinnabar-"): pid for pid in mishaps.children(self._company.server.pid)}
        return {name: processor_s(pid) for name, pid in pids.items()}

    def stop(self) -> None:
        self._company.stop()
        for device in self._devices:
            device.switch_off()
        if self._broker:
            self._broker.stop()

    def _enrol(self) -> None:
        run = Runtime.open(self._settings)
        try:
            with run.db.write() as db:
                tenant = identity.create_tenant(db, run, name="Bench")
                scope = Scope.system(tenant.id)
                made = devices.enrol_gateway(db, run, scope, gateway_id=GATEWAY, name="Bench", branch_path="/")
                for device in self._devices:
                    device.pair(db, run, scope, made.gateway)
        finally:
            run.close()
        facts: dict[str, Any] = {
            "gateway_id": GATEWAY,
            "server_url": self._settings.web_url,
            "secret": made.secret,
            "ca_file": str(self._settings.home / "tls" / "ca.pem"),
            "mqtt_url": f"mqtt://127.0.0.1:{self._broker_port}",
            "devices": [device.settings for device in self._devices],
        }
        home = self._folder / "gateway"
        home.mkdir()
        (home / "gateway.json").write_text(json.dumps(facts))

    def _in_order(self) -> bool:
        """Every device's events, each once, in the order in which it signed them."""
        run = Runtime.open(self._settings)
        try:
            found: defaultdict[str, list[int]] = defaultdict(list)
            with run.db.read() as db:
                for entry in ledger.leaves(db, first=0, last=1 << 40):
                    if entry.device_id is not None and entry.seq is not None:
                        found[entry.device_id].append(entry.seq)
        finally:
            run.close()
        return all(
            found[device.device_id][: device.last_seq] == list(range(1, len(found[device.device_id]) + 1))
            for device in self._devices
        ) and sum(map(len, found.values())) >= sum(device.last_seq for device in self._devices) - len(self._devices)


class _Broker:
    def __init__(self, folder: Path, program: str, port: int) -> None:
        self._configuration = folder / "mosquitto.conf"
        self._configuration.write_text(_MOSQUITTO.format(port=port))
        self._program, self._port = program, port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        return self._process.pid if self._process else 0

    def start(self) -> None:
        command = [self._program, "-c", str(self._configuration)]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 - found by its name
        until("broker", "Mosquitto listening", self._listens)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), timeout=1):
            return True
        return False


def _peak_rss_mb(pid: int) -> float:
    """VmHWM: the most it ever had; 0.0 where the system does not tell (not Linux)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((round(int(line.split()[1]) / 1024, 1) for line in lines if line.startswith("VmHWM:")), 0.0)
