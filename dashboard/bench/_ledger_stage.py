"""The ledger role as a process of its own behind a real Mosquitto, and its CPU time as the kernel counts it."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from dashboard.bench._ledger_events import Fleet, Sent
from dashboard.figures import CannotRun
from firmware_protocol import orders
from firmware_protocol.cose import keyring
from firmware_protocol.orders import Receipt
from server.core.db import Database
from server.core.keystore import KeyStore
from server.core.ports import free_port
from server.core.rng import SystemRng
from server.core.signer import Purpose
from server.migrations import migrate

PASSPHRASE: Final = "a bench keeps nothing"  # noqa: S105 - guards keys that die with the run
ENOUGH_S: Final = 600.0
_TICKS: Final = os.sysconf("SC_CLK_TCK")
BROKER: Final = """\
listener {port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
max_queued_messages 0
max_inflight_messages 0
log_dest none
user root
"""


@contextlib.contextmanager
def mosquitto(folder: Path) -> Iterator[int]:
    """A broker on the port that is given. Raises: CannotRun."""
    program = shutil.which("mosquitto", path="/usr/sbin:/usr/bin:/usr/local/sbin:/opt/homebrew/sbin")
    if program is None:
        raise CannotRun("Mosquitto is not installed")
    port = free_port()
    settings = folder / "mosquitto.conf"
    settings.write_text(BROKER.format(port=port))
    with ending(subprocess.Popen([program, "-c", str(settings)])):  # noqa: S603 - our own arguments
        yield port


@contextlib.contextmanager
def ending(process: subprocess.Popen[Any]) -> Iterator[None]:
    """Killed when the block ends, if it has not ended by itself."""
    try:
        yield
    finally:
        process.kill()
        process.wait()


class Role:
    """One ledger with its own keys and database. `url`: of an empty database; else a SQLite file in `folder`."""

    def __init__(self, folder: Path, port: int, *, url: str = "") -> None:
        folder.mkdir(parents=True)
        self._port = port
        self.url = url or f"sqlite:///{folder / 'data.db'}"
        self.database = Database(self.url)
        migrate(self.database)
        keys = KeyStore.create(folder / "keys", PASSPHRASE.encode(), SystemRng())
        self.receipt_key = keys.public_key(Purpose.RECEIPT)
        self.checkpoint_signer = keys.signer(Purpose.CHECKPOINT)
        self.entry_signer = keys.signer(Purpose.ENTRY)
        self._settings = {
            "CINNABAR_HOME": str(folder),
            "CINNABAR_KEY_PASSPHRASE": PASSPHRASE,
            "CINNABAR_LOG_LEVEL": "WARNING",
            "CINNABAR_DATABASE_URL": self.url,
            "CINNABAR_MQTT_URL": f"mqtt://127.0.0.1:{port}",
        }
        self._process: subprocess.Popen[bytes] | None = None
        self._gateway: Gateway | None = None

    def gateway(self) -> "Gateway":
        """The one gateway of this ledger, connected."""
        self._gateway = Gateway(self._port, self.receipt_key)
        return self._gateway

    def start(self) -> float:
        """Seconds until it serves."""
        begun = time.perf_counter()
        ours, theirs = os.pipe()
        command = [sys.executable, "-m", "server.core.role_process", "ledger"]
        environment = os.environ | self._settings | {"CINNABAR_READY_FD": str(theirs)}
        self._process = subprocess.Popen(command, env=environment, pass_fds=[theirs])  # noqa: S603 - our own arguments
        os.close(theirs)
        with os.fdopen(ours, "rb") as pipe:
            if pipe.readline() != b"ready\n":
                raise CannotRun("the ledger role ended before it was ready")
        return time.perf_counter() - begun

    def stop(self) -> None:
        if self._process:
            self._process.terminate()
            self._process.wait(ENOUGH_S)
            self._process = None

    def close(self) -> None:
        """Gateway, process and database."""
        if self._gateway:
            self._gateway.stop()
        self.stop()
        self.database.close()

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Stopped while the block runs, so that a backlog waits for it at the broker."""
        os.kill(self._pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._pid, signal.SIGCONT)

    def cpu_s(self) -> float:
        """User and system time so far."""
        return cpu_of(self._pid)

    def rss_mb(self) -> float:
        """The most memory it ever held, in MiB."""
        lines = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024

    @property
    def _pid(self) -> int:
        if self._process is None:
            raise CannotRun("the ledger role does not run")
        return self._process.pid


def cpu_of(pid: int) -> float:
    """Seconds of a process, with those of its children that ended. Raises: CannotRun, where there is no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError as error:
        raise CannotRun("this bench reads CPU time from /proc, which only Linux has") from error
    return sum(int(field) for field in fields[11:15]) / _TICKS


class Gateway:
    """Publishes events, takes receipts and acknowledges them; remembers when each event was covered."""

    def __init__(self, port: int, receipt_key: bytes = b"") -> None:
        self._keys = keyring(receipt_key) if receipt_key else {}
        self._covered: dict[str, list[tuple[int, float]]] = {}
        self._lock = threading.Condition()
        self._up_to: dict[str, int] = {}
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="gw-bench", protocol=mqtt.MQTTv5)
        self._client.max_inflight_messages_set(2_000)
        subscribed = threading.Event()
        self._client.on_connect = lambda client, *_: client.subscribe("seal/v1/gw-bench/down/receipt/+", qos=1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = self._on_receipt
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.ReceiveMaximum = 10_000
        self._client.connect("127.0.0.1", port, properties=properties)
        self._client.loop_start()
        if not subscribed.wait(ENOUGH_S):
            raise CannotRun("the broker does not answer")

    def publish(self, sent: Sent) -> mqtt.MQTTMessageInfo:
        return self._client.publish(f"seal/v1/gw-bench/up/evt/{sent.device_id}", sent.data, qos=1)

    def publish_all(self, sent: Sequence[Sent]) -> None:
        """Returns when the broker has them all."""
        for info in [self.publish(one) for one in sent]:
            info.wait_for_publish(ENOUGH_S)

    def wait_for(self, last: dict[str, int]) -> None:
        """Until each device has a receipt up to its number. Raises: CannotRun, when they do not come."""

        def all_there() -> bool:
            return all(self._up_to.get(device, 0) >= seq for device, seq in last.items())

        with self._lock:
            if not self._lock.wait_for(all_there, timeout=ENOUGH_S):
                raise CannotRun("receipts are missing")

    def covered_at(self, sent: Sent) -> float:
        """When (perf_counter) the first receipt came that covers the event."""
        return next(at for up_to, at in self._covered[sent.device_id] if up_to >= sent.seq)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_receipt(self, client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        at = time.perf_counter()
        receipt = orders.verify(Receipt, bytes(message.payload), keys=self._keys)
        said = {"kind": "receipt", "sha256": hashlib.sha256(message.payload).hexdigest()}
        client.publish(f"seal/v1/gw-bench/up/ack/{receipt.device_id}", json.dumps(said), qos=1)
        with self._lock:
            self._covered.setdefault(receipt.device_id, []).append((receipt.up_to_seq, at))
            self._up_to[receipt.device_id] = max(receipt.up_to_seq, self._up_to.get(receipt.device_id, 0))
            self._lock.notify_all()


def last_numbers(sent: Sequence[Sent]) -> dict[str, int]:
    return {one.device_id: one.seq for one in sent}


def write_keys(folder: Path, fleet: Fleet) -> None:
    """For the peers: which key signs under which key id."""
    keys = {kid.hex(): key.hex() for kid, key in keyring(*(device.public_key for device in fleet.devices)).items()}
    (folder / "keys.json").write_text(json.dumps(keys))
