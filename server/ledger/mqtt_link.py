"""One connection to the broker: made and greeted with patience, then read and written without waiting.

`dial` blocks and is for a thread of its own; a `Link` belongs to the ledger's thread and never blocks it.
"""

import contextlib
import select
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from server.core.client_tls import RoleLogin
from server.core.clock import Clock
from server.ledger import mqtt_packets
from server.ledger.mqtt_packets import BadPacket, Connack, Connect, Disconnect, Packet, Pingresp, Publish, Suback

if TYPE_CHECKING:
    import paho.mqtt.client as mqtt

HANDSHAKE_S: Final = 10.0
"""Longest wait for the broker's next bytes, and for its whole greeting, while a connection is made."""
_READ: Final = 1 << 18
_SUBSCRIBE_ID: Final = 0xFFFF
"""Receipts use the packet identifiers below it."""

log = structlog.get_logger("ledger.mqtt")


class LinkLost(Exception):
    """The connection is gone, or was never there; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """`login`: this role's certificate; `tls`: trust alone, beside a user in the URL; neither: plain TCP."""

    host: str
    port: int
    username: str | None = None
    password: str | None = None
    tls: ssl.SSLContext | None = None
    login: RoleLogin | None = None

    def open(self) -> socket.socket:
        """Raises: OSError."""
        if self.login is not None:
            self.login.renew()
        context = self.login.context if self.login is not None else self.tls
        plain = socket.create_connection((self.host, self.port), HANDSHAKE_S)
        try:
            # Nagle's algorithm and delayed acknowledgement together cost 88 ms a message.
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return plain if context is None else context.wrap_socket(plain, server_hostname=self.host)
        except BaseException:
            plain.close()
            raise

    def prepare(self, client: "mqtt.Client") -> None:
        """For a part that still speaks through paho: before `client` connects for the first time."""
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


def dial(address: BrokerAddress, connect: Connect, filters: Sequence[str], clock: Clock) -> "Link":
    """A link whose session the broker has confirmed.

    Subscriptions are only asked for: the embedded broker answers after it has had room for a session's old messages.
    Raises: LinkLost, OSError.
    """
    sock = address.open()
    try:
        return _greet(sock, connect, filters, clock)
    except BadPacket as error:
        sock.close()
        raise LinkLost(f"the broker does not speak MQTT 5: {error}") from error
    except BaseException:
        sock.close()
        raise


def _greet(sock: socket.socket, connect: Connect, filters: Sequence[str], clock: Clock) -> "Link":
    """Raises: LinkLost, BadPacket, OSError."""
    sock.settimeout(HANDSHAKE_S)
    reader, early = mqtt_packets.Reader(), list[Packet]()
    until = clock.monotonic() + HANDSHAKE_S  # who sends a byte now and then would be waited for without end
    sock.sendall(connect.packet())
    while not early:
        early += reader.feed(_received(sock))
        if not early and clock.monotonic() >= until:
            raise LinkLost(f"the broker did not greet within {HANDSHAKE_S:.0f} s")
    first = early.pop(0)
    if not isinstance(first, Connack):
        raise LinkLost(f"the broker answered {type(first).__name__} to CONNECT")
    if first.reason >= mqtt_packets.REFUSED:
        raise LinkLost(f"the broker refused the connection: reason {first.reason:#04x} {first.detail}")
    sock.sendall(mqtt_packets.subscribe(_SUBSCRIBE_ID, filters))
    link = Link(sock, reader, first, keepalive_s=first.keepalive_s or connect.keepalive_s, clock=clock)
    link.understand(early)
    return link


def _received(sock: socket.socket) -> bytes:
    data = sock.recv(_READ)
    if not data:
        raise LinkLost("the broker closed the connection")
    return data


class Link:
    """An established connection. Every method raises LinkLost once it is gone. Not thread-safe."""

    def __init__(
        self, sock: socket.socket, reader: mqtt_packets.Reader, connack: Connack, *, keepalive_s: int, clock: Clock
    ) -> None:
        self.session_present = connack.session_present
        self.subscribed = False
        self.receive_maximum = connack.receive_maximum
        self.messages: list[Publish] = []
        self.answered: list[int] = []  # packet identifiers of what the broker now has
        self._sock = sock
        self._reader = reader
        self._clock = clock
        self._keepalive_s = keepalive_s
        self._outgoing = bytearray()
        self._heard_at = self._sent_at = clock.monotonic()
        self._asked_at: float | None = None
        self._sock.setblocking(False)
        self._poll = select.poll()
        self._poll.register(sock, select.POLLIN)

    def wait(self, timeout_s: float) -> None:
        """Until something can be read, or `timeout_s` has passed."""
        self._poll.poll(timeout_s * 1_000)

    def read(self) -> None:
        """Whatever has come: into `messages` and `answered`."""
        try:
            data = self._sock.recv(_READ)
            if isinstance(self._sock, ssl.SSLSocket):
                while waiting := self._sock.pending():  # decrypted already: no poll would tell
                    data += self._sock.recv(waiting)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            raise LinkLost(f"reading failed: {error}") from error
        if not data:
            raise LinkLost("the broker closed the connection")
        self._heard_at, self._asked_at = self._clock.monotonic(), None
        try:
            self.understand(self._reader.feed(data))
        except BadPacket as error:
            raise LinkLost(f"the broker does not speak MQTT 5: {error}") from error

    def understand(self, packets: Sequence[Packet]) -> None:
        """Raises: LinkLost, BadPacket."""
        for packet in packets:
            match packet:
                case Publish():
                    self.messages.append(packet)
                case mqtt_packets.Puback():
                    if packet.reason >= mqtt_packets.REFUSED:
                        log.warning("receipt_refused", reason=hex(packet.reason))
                    self.answered.append(packet.packet_id)
                case Suback():
                    refused = [reason for reason in packet.reasons if reason >= mqtt_packets.REFUSED]
                    if refused or packet.packet_id != _SUBSCRIBE_ID:
                        raise LinkLost(f"the broker refused subscriptions: {refused}")
                    self.subscribed = True
                case Disconnect():
                    raise LinkLost(f"the broker said goodbye: reason {packet.reason:#04x} {packet.detail}")
                case Pingresp():
                    pass
                case Connack():
                    raise BadPacket("a second CONNACK")

    def send(self, data: bytes) -> None:
        """Now, or, as far as the broker does not take it, with the next call."""
        self._outgoing += data
        try:
            while self._outgoing:
                del self._outgoing[: self._sock.send(self._outgoing)]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            raise LinkLost(f"writing failed: {error}") from error
        self._sent_at = self._clock.monotonic()

    def keep_alive(self) -> None:
        """Ping in a quiet time; a broker that does not answer is gone. Read before, however long it has been."""
        if self._outgoing:
            self.send(b"")
        now = self._clock.monotonic()
        if self._asked_at is None:
            if now - min(self._heard_at, self._sent_at) > self._keepalive_s / 2:
                self._asked_at = now
                self.send(mqtt_packets.PING)
        elif now - self._asked_at > self._keepalive_s:
            raise LinkLost(f"the broker has been silent for {now - self._heard_at:.0f} s")

    def close(self, *, goodbye: bool = False) -> None:
        """`goodbye`: tell the broker, which keeps the session all the same."""
        with contextlib.suppress(LinkLost):
            if goodbye:
                self.send(mqtt_packets.GOODBYE)
        self._sock.close()
