"""The ledger role as a process, on the embedded broker and on Mosquitto, killed with -9 in the middle of a stream."""

import contextlib
import hashlib
import json
import os
import queue
import random
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from pydantic import SecretStr

from dashboard.cli import fsck
from firmware_protocol import events, orders
from firmware_protocol.cose import keyring
from firmware_protocol.orders import Receipt
from server.core.clock import FixedClock
from server.core.keystore import KeyStore
from server.core.ports import free_port
from server.core.rng import SystemRng
from server.core.settings import Settings
from server.core.signer import Purpose
from server.ledger import merkle, service
from server.ledger.checkpoint import VerifierKey
from server.ledger.proof import verify as verify_proof
from tests.fixtures.databases import new_database
from tests.fixtures.mosquitto import Mosquitto
from tests.server.ledger.conftest import SCOPE, TENANT, Device

ENOUGH_S = 20.0
PASSPHRASE = "a passphrase of a test"


class Role:
    """One role in its own process, as the supervisor starts it."""

    def __init__(self, name: str, settings: dict[str, str]) -> None:
        self.name = name
        self._settings = settings
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        ours, theirs = os.pipe()
        command = [sys.executable, "-m", "server.core.role_process", self.name]
        environment = os.environ | self._settings | {"CINNABAR_READY_FD": str(theirs)}
        self._process = subprocess.Popen(command, env=environment, pass_fds=[theirs])
        os.close(theirs)
        with os.fdopen(ours, "rb") as pipe:
            assert pipe.readline() == b"ready\n", f"{self.name} ended before it was ready"

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self._process:
            self._process.send_signal(number)
            self._process.wait(ENOUGH_S)
            self._process = None


class Gateway:
    """Publishes events and acknowledges receipts; a QoS 1 client with a session, as the real one."""

    def __init__(self, port: int, receipt_key: bytes) -> None:
        self._keys = keyring(receipt_key)
        self.receipts: queue.Queue[Receipt] = queue.Queue()
        self.seen: list[Receipt] = []
        self._connected = threading.Event()
        self._client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="gw-1", protocol=mqtt.MQTTv5)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._connected.set()
        self._client.on_message = self._on_message
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = 3600
        self._client.connect("127.0.0.1", port, bind_address="127.0.0.1", clean_start=False, properties=properties)
        self._client.loop_start()
        assert self._connected.wait(ENOUGH_S)

    def publish(self, device: Device, *signed: bytes) -> None:
        for event in signed:
            self._client.publish(f"seal/v1/gw-1/up/evt/{device.device_id}", event, qos=1)

    def receipt_up_to(self, seq: int, *, timeout_s: float = ENOUGH_S) -> Receipt:
        """Waits for a receipt that covers `seq`. Raises: queue.Empty."""
        while True:
            receipt = self.receipts.get(timeout=timeout_s)
            if receipt.up_to_seq >= seq:
                return receipt

    def publish_until_receipt(self, device: Device, signed: list[bytes]) -> None:
        """As a gateway does: without a receipt for a while, everything goes up again."""
        for _ in range(10):
            self.publish(device, *signed)
            with contextlib.suppress(queue.Empty):
                self.receipt_up_to(len(signed), timeout_s=3)
                return
        raise AssertionError("no receipt for all events")

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _on_connect(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe("seal/v1/gw-1/down/receipt/+", qos=1)

    def _on_message(self, client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        receipt = orders.verify(Receipt, message.payload, keys=self._keys)
        said = {"kind": "receipt", "sha256": hashlib.sha256(message.payload).hexdigest()}
        client.publish(f"seal/v1/gw-1/up/ack/{receipt.device_id}", json.dumps(said), qos=1)
        self.seen.append(receipt)
        self.receipts.put(receipt)


class Installation:
    """Keys, database and a broker; the ledger role is started by the test."""

    def __init__(self, home: Path, broker: Mosquitto | None) -> None:
        self.port = broker.port if broker else free_port()
        self.home = home
        settings = {
            "CINNABAR_HOME": str(home),
            "CINNABAR_KEY_PASSPHRASE": PASSPHRASE,
            "CINNABAR_LOG_LEVEL": "WARNING",
            "CINNABAR_MQTT_URL": f"mqtt://127.0.0.1:{self.port}" if broker else "",
            "CINNABAR_MQTT_PORT": str(self.port),
        }
        keys = KeyStore.create(home / "keys", PASSPHRASE.encode(), SystemRng())
        self.checkpoint_key = keys.public_key(Purpose.CHECKPOINT)
        self.receipt_key = keys.public_key(Purpose.RECEIPT)
        self.database = new_database(f"sqlite:///{home / 'data.db'}")
        self.ledger = Role("ledger", settings)
        self._embedded = None if broker else Role("broker", settings)
        if self._embedded:
            self._embedded.start()

    def close(self) -> None:
        self.ledger.kill()
        if self._embedded:
            self._embedded.kill()
        self.database.close()

    def check_all(self, signed: list[bytes]) -> None:
        """Every event is a leaf exactly once and has a proof under the log's key."""
        with self.database.read() as db:
            rows = service.leaves(db, first=0, last=1 << 40)
            assert sorted(row.seq or 0 for row in rows) == list(range(1, len(signed) + 1))
            assert {row.leaf for row in rows} == set(signed)
            key = VerifierKey(name=service.checkpoint(db).origin, public_key=self.checkpoint_key)
            for leaf in signed[::50]:
                found = service.proof(db, merkle.leaf_hash(leaf))
                assert found
                verify_proof(found.text(), leaf=leaf, key=key)
            assert service.set_aside(db, SCOPE) == []
        settings = Settings(home=self.home, key_passphrase=SecretStr(PASSPHRASE))
        found = fsck.check(settings)
        assert (found.size, found.problems) == (len(signed), [])


@pytest.fixture(params=["embedded", "mosquitto"])
def installation(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Installation]:
    broker = request.getfixturevalue("mosquitto") if request.param == "mosquitto" else None
    made = Installation(tmp_path / "home", broker)
    yield made
    made.close()


def enrol(installation: Installation, device: Device) -> None:
    with installation.database.write() as db:
        service.register_device_key(
            db,
            device_id=device.device_id,
            generation=1,
            public_key=device.public_key,
            tenant_id=TENANT,
            branch_path="/",
            now=FixedClock().now(),
        )


def test_ledger_killed_in_mid_stream_loses_nothing_and_stores_nothing_twice(
    installation: Installation, rng: random.Random
) -> None:
    device = Device(rng)
    enrol(installation, device)
    signed = device.many(400)
    kill_at = rng.randrange(1, 150)
    installation.ledger.start()
    gateway = Gateway(installation.port, installation.receipt_key)
    gateway.publish(device, *signed[:200])
    gateway.receipt_up_to(kill_at)
    installation.ledger.kill()
    gateway.publish(device, *signed[200:])
    installation.ledger.start()
    last = gateway.receipt_up_to(400)
    gateway.stop()
    assert last.chain_hash == events.chain_hash(signed[-1])
    covered = [receipt.up_to_seq for receipt in gateway.seen]
    assert covered == sorted(covered)
    assert all(receipt.chain_hash == events.chain_hash(signed[receipt.up_to_seq - 1]) for receipt in gateway.seen)
    installation.check_all(signed)


def test_broker_killed_in_mid_stream_costs_only_a_second_sending(
    mosquitto: Mosquitto, tmp_path: Path, rng: random.Random
) -> None:
    installation = Installation(tmp_path / "home", mosquitto)
    device = Device(rng)
    enrol(installation, device)
    signed = device.many(200)
    installation.ledger.start()
    gateway = Gateway(installation.port, installation.receipt_key)
    gateway.publish(device, *signed[:100])
    gateway.receipt_up_to(1)
    mosquitto.kill()
    mosquitto.start()
    gateway.publish_until_receipt(device, signed)  # the ledger may subscribe to the new broker after the first sending
    gateway.stop()
    installation.check_all(signed)
    installation.ledger.kill(signal.SIGTERM)
    with installation.database.read() as db:
        assert service.device_heads(db, SCOPE)[0].prefix_seq == 200
    installation.close()
