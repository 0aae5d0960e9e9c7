"""The web role's MQTT client: sends the down outbox, hears what gateways and devices say about themselves.

The table is the truth: a message lost by the broker is sent again until the gateway says that it reached the device.
paho runs its own thread and dies silently with the first exception in a callback, so every callback is wrapped.
"""

import json
import socket
import threading
from collections.abc import Callable
from typing import Any, Final

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from server.core.runtime import Runtime
from server.devices import outbox
from server.devices.live import LiveDevices
from server.devices.schemas import DownKind

CLIENT_ID: Final = "cinnabar-web"
"""Its user name at the broker too; another one than the ledger's, since a broker lets each user in once."""
SWEEP_S: Final = 1.0
"""How often rows are looked for that another process wrote, or that need a second try."""
PREFIX: Final = "seal/v1"
MAX_WORDS: Final = 8192
"""Longest JSON a gateway may say about a device or itself, in bytes."""

log = structlog.get_logger(__name__)


class Downlink:
    """Start once in the web role. `live` is fed with what arrives."""

    def __init__(
        self,
        run: Runtime,
        live: LiveDevices,
        *,
        host: str,
        port: int,
        client_id: str = CLIENT_ID,
        configure: Callable[[Client], None] | None = None,
    ) -> None:
        self._run = run
        self._live = live
        self._address = (host, port)
        self._kick = threading.Event()
        self._stop = threading.Event()
        self._connected = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTProtocolVersion.MQTTv5)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.on_socket_open = _no_delay
        self._client.reconnect_delay_set(min_delay=1, max_delay=10)
        if configure is not None:
            configure(self._client)
        self._thread = threading.Thread(target=self._send_loop, name="downlink", daemon=True)

    def start(self) -> None:
        """Connects in the background and keeps trying; nothing is lost meanwhile."""
        outbox.on_new_message(self._run.db, self._kick.set)
        host, port = self._address
        # To a broker on this machine also from this machine's loopback: the client then listens to nobody else.
        self._client.connect_async(host, port, keepalive=20, bind_address=host if host.startswith("127.") else "")
        self._client.loop_start()
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._kick.set()
        if self._thread.is_alive():
            self._thread.join(timeout=5)
        self._client.disconnect()
        self._client.loop_stop()

    def wait_connected(self, timeout_s: float) -> bool:
        return self._connected.wait(timeout_s)

    def _send_loop(self) -> None:
        while not self._stop.is_set():
            self._kick.wait(SWEEP_S)
            self._kick.clear()
            if not self._connected.is_set():
                continue
            try:
                self._send_due()
            except Exception:  # a locked database, a closing broker: the rows stay, the next sweep tries again
                log.exception("downlink_sweep_failed")

    def _send_due(self) -> None:
        with self._run.db.read() as db:
            messages = outbox.due(db, self._run.now())
        sent = []
        for message in messages:
            topic = f"{PREFIX}/{message.gateway_id}/down/{message.kind}/{message.device_id}"
            if self._client.publish(topic, message.payload, qos=1).rc == 0:
                sent.append(message)
        if sent:
            with self._run.db.write() as db:
                outbox.mark_sent(db, self._run.now(), sent)

    def _on_connect(
        self, client: Client, _data: object, _flags: ConnectFlags, reason: ReasonCode, _properties: Properties | None
    ) -> None:
        if reason.is_failure:
            log.warning("downlink_refused", reason=str(reason))
            return
        for topic in (f"{PREFIX}/+/up/state/+", f"{PREFIX}/+/up/ack/+", f"{PREFIX}/+/status"):
            client.subscribe(topic, qos=1)
        self._connected.set()
        self._kick.set()

    def _on_disconnect(
        self, _client: Client, _data: object, _flags: DisconnectFlags, _reason: ReasonCode, _props: Properties | None
    ) -> None:
        self._connected.clear()

    def _on_message(self, _client: Client, _data: object, message: MQTTMessage) -> None:
        try:
            self._hear(message.topic.split("/"), bytes(message.payload))
        except Exception:  # hostile or broken words must not end paho's thread
            log.warning("downlink_bad_message", topic=message.topic, exc_info=True)

    def _hear(self, topic: list[str], payload: bytes) -> None:
        if len(payload) > MAX_WORDS:
            log.warning("downlink_too_long", topic="/".join(topic), size=len(payload))
            return
        if not payload:  # a retained status that was cleared
            return
        words: dict[str, Any] = json.loads(payload)
        match topic:
            case ["seal", "v1", gateway_id, "up", "state", device_id]:
                self._live.hear_device(gateway_id, device_id, words)
            case ["seal", "v1", gateway_id, "status"]:
                self._live.hear_gateway(gateway_id, words)
            case ["seal", "v1", _, "up", "ack", _] if words.get("kind") == DownKind.RECEIPT:
                return  # the ledger's own; a write here for each would only stand in its way
            case ["seal", "v1", gateway_id, "up", "ack", device_id]:
                with self._run.db.write() as db:
                    outbox.mark_arrived(
                        db,
                        self._run.now(),
                        gateway_id=gateway_id,
                        device_id=device_id,
                        digest=bytes.fromhex(words["sha256"]),
                    )
            case _:
                pass


def _no_delay(_client: Client, _data: object, sock: Any) -> None:  # noqa: ANN401 - paho's own socket kinds
    """Nagle and delayed acknowledgement cost 88 ms a message, measured; without it 0.7 ms."""
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
