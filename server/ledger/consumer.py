"""The ledger's MQTT 5 client: takes what gateways send, acknowledges it only after the commit, sends receipts.

paho's thread only puts deliveries into a queue; everything else happens in the ledger's own thread. A packet id belongs
to one connection, so a delivery of an earlier connection is not acknowledged: the broker sends it again.
"""

import queue
import socket
import ssl
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from server.core.client_tls import RoleLogin

CLIENT_ID: Final = "cinnabar-ledger"
"""Fixed: the broker keeps this client's session, and what arrives in it, while the ledger is away. With a certificate
it is the user name too."""
SESSION_EXPIRY_S: Final = 7 * 86_400
KEEPALIVE_S: Final = 15
EVENT, ACK, STATUS = "evt", "ack", "status"
SUBSCRIPTIONS: Final = ("seal/v1/+/up/evt/+", "seal/v1/+/up/ack/+", "seal/v1/+/status")

log = structlog.get_logger("ledger.mqtt")


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """`login`: this role's certificate; `tls`: trust alone, beside a user in the URL; neither: plain TCP."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None
    login: RoleLogin | None = None

    def prepare(self, client: mqtt.Client) -> None:
        """Before `client` connects for the first time."""
        if self.username is not None:
            client.username_pw_set(self.username, self.password)
        if self.login is not None:
            client.tls_set_context(self.login.context)
            client.on_pre_connect = lambda *_: self._renew()
        elif self.tls is not None:
            client.tls_set_context(self.tls)

    def _renew(self) -> None:
        """An exception here would silently end paho's thread."""
        try:
            if self.login is not None:
                self.login.renew()
        except Exception:
            log.exception("broker_login_not_renewed")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message as it came; `kind` is EVENT, ACK or STATUS. Its parts are not to be trusted."""

    kind: str
    gateway_id: str
    device_id: str
    payload: bytes
    packet_id: int
    connection: int


class Consumer:
    """Connects for ever in the background. `take`, `acknowledge` and `send_receipt` are for one other thread."""

    def __init__(self, address: BrokerAddress, *, receive_maximum: int, client_id: str = CLIENT_ID) -> None:
        self._address = address
        self._receive_maximum = receive_maximum
        self._inbox: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        self._connection = 0
        self._subscribed = threading.Event()
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=mqtt.MQTTv5, manual_ack=True
        )
        address.prepare(self._client)
        self._client.max_inflight_messages_set(100)
        self._client.reconnect_delay_set(1, 8)
        self._client.on_socket_open = _no_delay
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = lambda *_: self._subscribed.set()
        self._client.on_message = self._on_message

    @property
    def connected(self) -> bool:
        return self._client.is_connected()

    def start(self, *, wait_s: float = 3.0) -> None:
        """Returns when the broker took the subscriptions, or after `wait_s`; never raises for a broker that is away."""
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        properties.ReceiveMaximum = self._receive_maximum
        self._client.connect_async(
            self._address.host, self._address.port, KEEPALIVE_S, clean_start=False, properties=properties
        )
        self._client.loop_start()
        if not self._subscribed.wait(wait_s):
            log.warning("broker_away", host=self._address.host, port=self._address.port)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def watch(self) -> None:
        """Start the network thread again if it died; does nothing while it lives."""
        if self._client.loop_start() == mqtt.MQTT_ERR_SUCCESS:
            log.error("mqtt_thread_was_dead")

    def take(self, *, timeout_s: float) -> Delivery | None:
        """The oldest delivery not yet taken; None after `timeout_s`."""
        try:
            return self._inbox.get(timeout=timeout_s)
        except queue.Empty:
            return None

    def acknowledge(self, deliveries: Iterable[Delivery]) -> None:
        """Tell the broker that these need not come again; only after what they carry is durable."""
        for delivery in deliveries:
            if delivery.connection == self._connection and delivery.packet_id:
                self._client.ack(delivery.packet_id, 1)

    def send_receipt(self, gateway_id: str, device_id: str, data: bytes) -> bool:
        """Best effort; False when there is no connection: the receipt is made again later."""
        if not self._client.is_connected():
            return False
        return self._client.publish(f"seal/v1/{gateway_id}/down/receipt/{device_id}", data, qos=1).rc == 0

    def _on_connect(
        self,
        client: mqtt.Client,
        _userdata: object,
        flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            log.warning("broker_refused", reason=str(reason))
            return
        self._connection += 1
        client.subscribe([(topic, SubscribeOptions(qos=1)) for topic in SUBSCRIPTIONS])
        log.info("broker_connected", session_present=flags.session_present, connection=self._connection)

    def _on_message(self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        """An exception here would silently end paho's thread, so nothing gets out."""
        try:
            self._inbox.put(self._delivery(message))
        except Exception:
            log.exception("message_unreadable", packet_id=message.mid)
            self._client.ack(message.mid, message.qos)

    def _delivery(self, message: mqtt.MQTTMessage) -> Delivery:
        """A topic that our subscriptions match: seal/v1/GATEWAY/up/KIND/DEVICE or seal/v1/GATEWAY/status."""
        parts = message.topic.split("/")
        status = len(parts) == 4
        return Delivery(
            kind=STATUS if status else parts[4],
            gateway_id=parts[2],
            device_id="" if status else parts[5],
            payload=bytes(message.payload),
            packet_id=message.mid if message.qos else 0,
            connection=self._connection,
        )


def _no_delay(_client: mqtt.Client, _userdata: object, sock: object) -> None:
    """Nagle's algorithm and delayed acknowledgement together cost 88 ms a message."""
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
