"""MQTT 5 to headquarters: paho in its own thread behind `Uplink`. A carrier, never a store (design: D5, D6)."""

import json
import socket
import ssl
from collections.abc import Callable
from typing import Final, Protocol

import paho.mqtt.client as mqtt
import structlog
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from gateway.clock import Clock
from gateway.settings import GatewaySettings
from gateway.uplink.certificate import BoxLogin, trust_context

SESSION_EXPIRY_S: Final = 86_400
KEEPALIVE_S: Final = 15
WILL_DELAY_S: Final = 5
IN_FLIGHT: Final = 1024
"""Not yet acknowledged by the broker: at 50 ms there and back, 20,000 a second. Whoever sends more is told to wait, and
keeps it in the outbox. All of them are on their way: paho looks through its queue at each acknowledgement, which was a
quarter of this process's time while an office sent what had waited for days."""
DOWN_KINDS: Final = ("token", "permit", "receipt", "policy")

OnDown = Callable[[str, str, bytes], None]
"""(kind, device id, signed bytes), in the network thread."""

log = structlog.get_logger("gateway.mqtt")


class Uplink(Protocol):
    """Best effort upwards; whoever sends keeps the original until a receipt came."""

    @property
    def connected(self) -> bool: ...

    def event(self, device_id: str, signed: bytes) -> bool:
        """False when it could not even be queued."""
        ...

    def state(self, device_id: str, state: dict[str, object]) -> None: ...

    def delivered(self, device_id: str, *, kind: str, sha256: str) -> None: ...


class MqttUplink:
    """`on_connected` and `on_down` are called in the network thread."""

    def __init__(
        self,
        settings: GatewaySettings,
        *,
        birth: int,
        session_url: str,
        clock: Clock,
        on_down: OnDown,
        on_connected: Callable[[], None],
    ) -> None:
        self._gateway = settings.gateway_id
        self._birth = birth
        self._session_url = session_url
        self._clock = clock
        self._on_down = on_down
        self._on_connected = on_connected
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=settings.gateway_id, protocol=mqtt.MQTTv5, reconnect_on_failure=True
        )
        if settings.uses_certificate:
            self._login = BoxLogin(settings)
            self._client.tls_set_context(self._login.context)
            self._client.on_pre_connect = lambda *_: self._renew_login()
        else:
            self._client.username_pw_set(settings.mqtt_username or settings.gateway_id, settings.mqtt_password)
            if settings.broker_tls:
                self._client.tls_set_context(trust_context(settings))
        self._client.max_inflight_messages_set(0)  # no limit of its own, so nothing queues
        self._client.max_queued_messages_set(IN_FLIGHT)
        self._client.reconnect_delay_set(1, 4)
        self._client.on_socket_open = _no_delay
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.will_set(self._topic("status"), self._status("lost"), qos=1, retain=True, properties=_will_delay())
        self._host, self._port = settings.broker_address

    def start(self) -> None:
        """Connects in the background and keeps trying; never raises for a broker that is away."""
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = SESSION_EXPIRY_S
        self._client.connect_async(self._host, self._port, KEEPALIVE_S, clean_start=False, properties=properties)
        self._client.loop_start()

    def stop(self) -> None:
        if self._client.is_connected():
            self._client.publish(self._topic("status"), self._status("lost"), qos=1, retain=True).wait_for_publish(2)
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def connected(self) -> bool:
        return self._client.is_connected()

    def event(self, device_id: str, signed: bytes) -> bool:
        if not self._client.is_connected():
            return False
        return self._client.publish(self._topic(f"up/evt/{device_id}"), signed, qos=1).rc == mqtt.MQTT_ERR_SUCCESS

    def state(self, device_id: str, state: dict[str, object]) -> None:
        if self._client.is_connected():
            self._client.publish(self._topic(f"up/state/{device_id}"), json.dumps(state), qos=0)

    def delivered(self, device_id: str, *, kind: str, sha256: str) -> None:
        if self._client.is_connected():
            payload = json.dumps({"kind": kind, "sha256": sha256})
            self._client.publish(self._topic(f"up/ack/{device_id}"), payload, qos=1)

    def _renew_login(self) -> None:
        """An exception here would silently end paho's thread."""
        try:
            self._login.reload()
        except (OSError, ssl.SSLError) as error:
            log.warning("certificate_unreadable", error=str(error))

    def _topic(self, rest: str) -> str:
        return f"seal/v1/{self._gateway}/{rest}"

    def _status(self, state: str) -> str:
        return json.dumps(
            {"state": state, "birth": self._birth, "at_ms": self._clock.now_ms(), "session_url": self._session_url}
        )

    def _on_connect(
        self,
        client: mqtt.Client,
        _userdata: object,
        _flags: mqtt.ConnectFlags,
        reason: ReasonCode,
        _properties: Properties | None,
    ) -> None:
        if reason.is_failure:
            log.warning("broker_refused", reason=str(reason))
            return
        client.subscribe([(self._topic(f"down/{kind}/+"), SubscribeOptions(qos=1)) for kind in DOWN_KINDS])
        client.publish(self._topic("status"), self._status("ready"), qos=1, retain=True)
        self._on_connected()

    def _on_message(self, _client: mqtt.Client, _userdata: object, message: mqtt.MQTTMessage) -> None:
        """An exception here would silently end paho's thread, so nothing gets out."""
        parts = message.topic.split("/")
        try:
            self._on_down(parts[-2], parts[-1], bytes(message.payload))
        except Exception:
            log.exception("down_message_failed", topic=message.topic)


def _no_delay(_client: mqtt.Client, _userdata: object, sock: object) -> None:
    """Nagle's algorithm and delayed acknowledgement together cost 88 ms a message."""
    if isinstance(sock, socket.socket):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _will_delay() -> Properties:
    properties = Properties(PacketTypes.WILLMESSAGE)  # type: ignore[no-untyped-call]
    properties.WillDelayInterval = WILL_DELAY_S
    return properties
