"""MQTT 5 packets as the ledger needs them (OASIS MQTT 5.0, sections 2 and 3), without I/O; QoS 0 and 1 only.

What a broker sends is read strictly: reserved bits, lengths, text and properties as the standard has them, everything
else is `BadPacket`. One regular expression reads the usual message whole; any other takes the long way.
"""

import re
import struct
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

MAX_PACKET: Final = 65_536 + 1_024
"""Longest packet taken, in bytes, and said so in CONNECT: the broker's longest message and its topic.

An event has 480; a stranger's poison is kept up to this, and thousands of them may wait for a commit.
"""
PING: Final = b"\xc0\x00"
GOODBYE: Final = b"\xe0\x00"
REFUSED: Final = 0x80
"""Reason codes from here on say that something failed, section 2.4."""

_USUAL: Final = re.compile(
    rb"[\x32\x3a]([\x00-\x7f]|[\x80-\xff][\x01-\x7f]|[\x80-\xff]{2}[\x01-\x7f])(..)([ -\"$-*,-~]+)(..)\x00", re.DOTALL
)
"""QoS 1, length, a topic of plain ASCII, packet identifier, no properties."""


_TWO: Final = struct.Struct(">H").unpack


class BadPacket(Exception):
    """The broker sent what MQTT 5 does not allow; the connection is of no use any more."""


class Publish(NamedTuple):
    """One message; `packet_id` is 0 for QoS 0."""

    topic: str
    payload: bytes
    packet_id: int


class Puback(NamedTuple):
    packet_id: int
    reason: int


class Connack(NamedTuple):
    """`receive_maximum`: messages that may be on their way to the broker without its PUBACK."""

    session_present: bool
    reason: int
    receive_maximum: int
    keepalive_s: int | None
    detail: str


class Suback(NamedTuple):
    packet_id: int
    reasons: tuple[int, ...]


class Pingresp(NamedTuple):
    """The broker lives."""


class Disconnect(NamedTuple):
    reason: int
    detail: str


Packet: TypeAlias = Publish | Puback | Connack | Suback | Pingresp | Disconnect
Properties: TypeAlias = Mapping[int, Any]

_DETAIL, _RECEIVE_MAXIMUM, _KEEPALIVE = 0x1F, 0x21, 0x13
_SESSION_EXPIRY, _MAXIMUM_PACKET, _USER, _SUBSCRIPTION = 0x11, 0x27, 0x26, 0x0B
_KINDS: Final[dict[int, int | str]] = {
    **dict.fromkeys((0x01, 0x17, 0x19, 0x24, 0x25, 0x28, 0x29, 0x2A), 1),
    **dict.fromkeys((0x13, 0x21, 0x22, 0x23), 2),
    **dict.fromkeys((0x02, 0x11, 0x18, 0x27), 4),
    **dict.fromkeys((0x03, 0x08, 0x12, 0x15, 0x1A, 0x1C, 0x1F), "text"),
    **dict.fromkeys((0x09, 0x16), "bytes"),
    _SUBSCRIPTION: "number",
    _USER: "pair",
}
"""Property identifiers and what they carry (section 2.2.2.2): a number of so many bytes, or what the word says."""
_OF_PUBLISH: Final = frozenset((0x01, 0x02, 0x03, 0x08, 0x09, _SUBSCRIPTION, _USER))
"""Without topic alias (0x23): CONNECT asked for none."""
_OF_CONNACK: Final = frozenset(
    (0x11, 0x12, 0x13, 0x15, 0x16, 0x1A, 0x1C, 0x1F, 0x21, 0x22, 0x24, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A)
)
_OF_ACK: Final = frozenset((_DETAIL, _USER))
_OF_DISCONNECT: Final = frozenset((0x11, 0x1C, _DETAIL, _USER))
_FLAGS: Final = frozenset((0x24, 0x25, 0x28, 0x29, 0x2A))
"""Properties that are 0 or 1."""
_NOT_ZERO: Final = frozenset((_RECEIVE_MAXIMUM, _MAXIMUM_PACKET, _SUBSCRIPTION))


@dataclass(slots=True)
class Reader:
    """Bytes in, packets out; keeps what is not yet complete. After BadPacket it is of no more use."""

    _rest: bytes = b""

    def feed(self, data: bytes) -> list[Packet]:
        """Raises: BadPacket, also for one longer than MAX_PACKET, before its body is kept."""
        buffer = self._rest + data if self._rest else data
        packets: list[Packet] = []
        at, end = 0, len(buffer)
        usual, small, two = _USUAL.match, _small, _TWO
        while at < end:
            found = usual(buffer, at)
            if found is not None:
                size, topic_size, topic, number = found.groups()
                start, stop = found.end(), found.end(1) + small(size)
                # Its length may end the topic earlier than the expression did.
                if start <= stop <= end and two(topic_size)[0] == len(topic) and number != b"\0\0":
                    packets.append(Publish(topic.decode("ascii"), buffer[start:stop], two(number)[0]))
                    at = stop
                    continue
            whole = _length(buffer, at)
            if whole is None or whole[1] > end:
                break
            packets.append(_packet(buffer[at], buffer[whole[0] : whole[1]]))
            at = whole[1]
        self._rest = buffer[at:]
        return packets


def _small(said: bytes) -> int:
    """A variable byte integer of at most three bytes that is known to be complete."""
    if len(said) == 1:
        return said[0]
    if len(said) == 2:
        return (said[0] & 0x7F) | said[1] << 7
    return (said[0] & 0x7F) | (said[1] & 0x7F) << 7 | said[2] << 14


def _length(buffer: bytes, at: int) -> tuple[int, int] | None:
    """Where the body of the packet at `at` begins and ends; None while its length is incomplete. Raises: BadPacket."""
    size = shift = 0
    for place in range(at + 1, min(at + 5, len(buffer))):
        byte = buffer[place]
        size |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            if byte == 0 and place > at + 1:
                raise BadPacket("a length is not said as shortly as can be")
            if size > MAX_PACKET:
                raise BadPacket(f"a packet of {size} bytes, at most {MAX_PACKET} were agreed")
            return place + 1, place + 1 + size
    if len(buffer) - at >= 5:
        raise BadPacket("a length of more than four bytes")
    return None


@dataclass(slots=True)
class _Body:
    """Takes a packet's body apart from the front. Everything raises BadPacket when it is not there."""

    data: bytes
    at: int = 0

    def take(self, size: int) -> bytes:
        taken = self.data[self.at : self.at + size]
        if len(taken) != size:
            raise BadPacket("a packet ends too early")
        self.at += size
        return taken

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def variable(self) -> int:
        value = shift = 0
        for place in range(4):
            byte = self.number(1)
            value |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                if byte == 0 and place:
                    raise BadPacket("a number is not said as shortly as can be")
                return value
        raise BadPacket("a number of more than four bytes")

    def text(self) -> str:
        """Section 1.5.4: UTF-8 without surrogates and NUL."""
        try:
            text = self.take(self.number(2)).decode()
        except UnicodeDecodeError as error:
            raise BadPacket("text is not UTF-8") from error
        if "\x00" in text:
            raise BadPacket("text holds NUL")
        return text

    def rest(self) -> bytes:
        taken, self.at = self.data[self.at :], len(self.data)
        return taken

    def end(self) -> None:
        if self.at != len(self.data):
            raise BadPacket("a packet goes on after its end")

    def properties(self, allowed: frozenset[int]) -> dict[int, Any]:
        inner = _Body(self.take(self.variable()))
        found: dict[int, Any] = {}
        while inner.at < len(inner.data):
            which = inner.variable()
            if which not in allowed:
                raise BadPacket(f"property {which:#04x} has no place here")
            value = inner.property(which)
            if which in found and which not in (_USER, _SUBSCRIPTION):
                raise BadPacket(f"property {which:#04x} stands twice")
            if (which in _FLAGS and value > 1) or (which in _NOT_ZERO and value == 0):
                raise BadPacket(f"property {which:#04x} cannot be {value}")
            found[which] = value
        return found

    def property(self, which: int) -> Any:  # noqa: ANN401 - number, text, bytes or pair
        match _KINDS[which]:
            case int() as size:
                return self.number(size)
            case "number":
                return self.variable()
            case "text":
                return self.text()
            case "bytes":
                return self.take(self.number(2))
            case _:
                return self.text(), self.text()


def _packet(first: int, data: bytes) -> Packet:
    """Raises: BadPacket."""
    if first >> 4 == 3:
        return _publish(first & 0x0F, _Body(data))
    read = _READERS.get(first)
    if read is None:
        raise BadPacket(f"a broker does not send this: first byte {first:#04x}")
    body = _Body(data)
    packet = read(body)
    body.end()
    return packet


def _publish(flags: int, body: _Body) -> Publish:
    """Section 3.3."""
    qos, again = flags >> 1 & 3, flags & 8
    if qos > 1 or (again and not qos):
        raise BadPacket(f"a message with flags {flags:#03x}: quality of service 0 or 1 was asked for")
    topic = body.text()
    if not topic or "#" in topic or "+" in topic:
        raise BadPacket("a message needs a topic, without wildcards")
    packet_id = body.number(2) if qos else 0
    if qos and not packet_id:
        raise BadPacket("packet identifier 0")
    properties = body.properties(_OF_PUBLISH)
    if properties.get(0x01, 0) > 1:
        raise BadPacket("an unknown payload format")
    return Publish(topic, body.rest(), packet_id)


def _puback(body: _Body) -> Puback:
    """Section 3.4: without a reason it is 0, without properties there is not even their length."""
    packet_id = body.number(2)
    if not packet_id:
        raise BadPacket("packet identifier 0")
    return Puback(packet_id, _reason(body, _OF_ACK)[0])


def _reason(body: _Body, allowed: frozenset[int]) -> tuple[int, str]:
    reason = body.number(1) if body.at < len(body.data) else 0
    properties = body.properties(allowed) if body.at < len(body.data) else {}
    return reason, properties.get(_DETAIL, "")


def _connack(body: _Body) -> Connack:
    """Section 3.2."""
    flags, reason = body.number(1), body.number(1)
    if flags > 1 or (flags and reason):
        raise BadPacket(f"connect acknowledge flags {flags:#04x}")
    properties = body.properties(_OF_CONNACK)
    return Connack(
        bool(flags),
        reason,
        properties.get(_RECEIVE_MAXIMUM, 0xFFFF),
        properties.get(_KEEPALIVE),
        properties.get(_DETAIL, ""),
    )


def _suback(body: _Body) -> Suback:
    """Section 3.9."""
    packet_id = body.number(2)
    body.properties(_OF_ACK)
    return Suback(packet_id, tuple(body.rest()))


_READERS: Final[dict[int, Callable[[_Body], Packet]]] = {
    0x20: _connack,
    0x40: _puback,
    0x90: _suback,
    0xD0: lambda _body: Pingresp(),
    0xE0: lambda body: Disconnect(*_reason(body, _OF_DISCONNECT)),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Connect:
    """What the ledger says of itself; `session_expiry_s`: how long the broker keeps the session while it is away."""

    client_id: str
    keepalive_s: int
    session_expiry_s: int
    receive_maximum: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)

    def packet(self) -> bytes:
        """Section 3.1; the session that is there goes on (clean start 0)."""
        flags = (0x80 if self.username is not None else 0) | (0x40 if self.password is not None else 0)
        properties = (
            bytes([_SESSION_EXPIRY])
            + self.session_expiry_s.to_bytes(4, "big")
            + bytes([_RECEIVE_MAXIMUM])
            + self.receive_maximum.to_bytes(2, "big")
            + bytes([_MAXIMUM_PACKET])
            + MAX_PACKET.to_bytes(4, "big")
        )
        said = [self.client_id, *(text for text in (self.username, self.password) if text is not None)]
        head = _string("MQTT") + bytes([5, flags]) + self.keepalive_s.to_bytes(2, "big")
        return _sized(0x10, head + variable(len(properties)) + properties + b"".join(map(_string, said)))


def subscribe(packet_id: int, filters: Iterable[str]) -> bytes:
    """Section 3.8: quality of service 1; retained messages are sent at each subscription."""
    return _sized(0x82, packet_id.to_bytes(2, "big") + b"\x00" + b"".join(_string(one) + b"\x01" for one in filters))


def publish(topic: str, payload: bytes, packet_id: int, *, again: bool = False) -> bytes:
    """Section 3.3, quality of service 1. `again`: it was sent before in this session."""
    body = _string(topic) + packet_id.to_bytes(2, "big") + b"\x00" + payload
    return _sized(0x3A if again else 0x32, body)


def pubacks(packet_ids: Iterable[int]) -> bytes:
    """One PUBACK each, reason 0, section 3.4."""
    return b"".join([b"\x40\x02" + packet_id.to_bytes(2, "big") for packet_id in packet_ids])


def variable(number: int) -> bytes:
    """A variable byte integer, section 1.5.5."""
    said = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        said.append(low | (0x80 if number else 0))
        if not number:
            return bytes(said)


def _sized(first: int, body: bytes) -> bytes:
    return bytes([first]) + variable(len(body)) + body


def _string(text: str) -> bytes:
    data = text.encode()
    return len(data).to_bytes(2, "big") + data
