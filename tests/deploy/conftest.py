"""A Mosquitto that runs the very files of deploy/, with certificates of a real installation."""

import datetime as dt
import os
import queue
import re
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import paho.mqtt.client as mqtt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from dashboard.cli.broker import write_files
from dashboard.cli.init import create_installation
from server.core import client_tls, keyfile
from server.core.clock import SystemClock
from server.core.ports import free_port
from server.core.rng import SystemRng
from server.core.runtime import Runtime
from server.core.settings import Settings
from tests.fixtures.mosquitto import Mosquitto

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ENOUGH_S = 20.0


def shipped_configuration(folder: Path, port: int) -> str:
    """deploy/mosquitto/mosquitto.conf with nothing changed but where it listens, keeps its files and logs."""
    (folder / "acl").write_text((DEPLOY / "mosquitto" / "acl").read_text())
    text = (DEPLOY / "mosquitto" / "mosquitto.conf").read_text()
    for shipped, here in (
        ("/etc/mosquitto/cinnabar/", f"{folder}/"),
        ("persistence_location /var/lib/mosquitto/", f"persistence_location {folder}/"),
        ("listener 8883", f"listener {port} 127.0.0.1"),
        ("log_dest syslog", "log_dest stderr"),
    ):
        assert shipped in text, shipped
        text = text.replace(shipped, here)
    # A broker started by root would change to the user mosquitto, who may not read a test's folder.
    return text + ("user root\n" if os.geteuid() == 0 else "")


class ShippedMosquitto(Mosquitto):
    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._configuration.write_text(shipped_configuration(folder, self.port))


@dataclass(frozen=True)
class Site:
    run: Runtime
    broker: ShippedMosquitto
    folder: Path

    def login(self, name: str, *, now: dt.datetime | None = None, run: Runtime | None = None) -> Path:
        """A PEM file with a certificate for `name` and its key; `run`: whose authority signs it."""
        authority = run or self.run
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = client_tls.issue(
            authority.settings,
            authority.keys,
            name=name,
            public_key=key.public_key(),
            now=now or authority.now(),
            lifetime=client_tls.GATEWAY_LIFETIME,
        )
        path = self.folder / f"login-{os.urandom(4).hex()}.pem"
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + keyfile.plain_pem(key))
        return path

    def client(self, name: str, login: Path | None, **changes: Any) -> "Client":
        return Client(self, name, login, **changes)


def new_installation(home: Path, **changes: Any) -> Runtime:
    settings = Settings(home=home, installation="Test", host="localhost", **changes)
    create_installation(settings, clock=SystemClock(), rng=SystemRng())
    return Runtime.open(Settings.load(home).model_copy(update=changes))


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    files = folder / "mosquitto"
    files.mkdir()
    broker = ShippedMosquitto(files)
    run = new_installation(folder / "server", mqtt_url=f"mqtts://localhost:{broker.port}", web_port=free_port())
    write_files(run, files)
    broker.start()
    yield Site(run, broker, folder)
    broker.kill()
    run.close()


class Client:
    """An MQTT 5 client whose every answer from the broker can be waited for."""

    def __init__(self, site: Site, client_id: str, login: Path | None, *, clean: bool = True) -> None:
        self.said: queue.Queue[tuple[str, object]] = queue.Queue()
        self.heard: list[tuple[str, bytes]] = []
        context = ssl.create_default_context(cafile=str(site.run.settings.home / "tls" / "ca.pem"))
        if login is not None:
            context.load_cert_chain(login)
        self._client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5, reconnect_on_failure=False
        )
        self._client.tls_set_context(context)
        self._client.on_connect = lambda *facts: self.said.put(("connect", facts[3]))
        self._client.on_disconnect = lambda *facts: self.said.put(("disconnect", facts[3]))
        self._client.on_publish = lambda *facts: self.said.put(("publish", facts[3]))
        self._client.on_subscribe = lambda *facts: self.said.put(("subscribe", facts[3][0]))
        self._client.on_message = self._hear
        self._port = site.broker.port
        self._clean = clean

    def __enter__(self) -> Self:
        """Raises: ssl.SSLError, OSError, when the handshake already fails."""
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 0 if self._clean else 60
        here = "127.0.0.1"
        self._client.connect(here, self._port, bind_address=here, clean_start=self._clean, properties=properties)
        self._client.loop_start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def answer(self, kind: str) -> ReasonCode:
        """The broker's next answer of this kind. Raises: queue.Empty."""
        while True:
            found, reason = self.said.get(timeout=ENOUGH_S)
            if found == kind:
                assert isinstance(reason, ReasonCode)
                return reason

    def publish(self, topic: str, payload: bytes = b"x") -> ReasonCode:
        self._client.publish(topic, payload, qos=1)
        return self.answer("publish")

    def subscribe(self, topic: str) -> ReasonCode:
        self._client.subscribe(topic, qos=1)
        return self.answer("subscribe")

    def _hear(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        self.heard.append((message.topic, bytes(message.payload)))
        self.said.put(("message", message.topic))

    def hear(self) -> str:
        """The topic of the next message."""
        while True:
            found, topic = self.said.get(timeout=ENOUGH_S)
            if found == "message":
                return str(topic)


def directives(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z_]+) (.*)$", text, re.MULTILINE))
