"""The ledger's own MQTT 5 reader: examples by the standard's tables, and whatever else a broker could send."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from server.ledger import mqtt_packets
from server.ledger.mqtt_packets import (
    BadPacket,
    Connack,
    Connect,
    Disconnect,
    Packet,
    Pingresp,
    Puback,
    Publish,
    Suback,
)

TOPIC = "seal/v1/gw-1/up/evt/CB-1"


def read(data: bytes) -> list[Packet]:
    return mqtt_packets.Reader().feed(data)


def sized(first: int, body: bytes) -> bytes:
    return bytes([first]) + mqtt_packets.variable(len(body)) + body


def message(flags: int, topic: bytes, rest: bytes) -> bytes:
    return sized(0x30 | flags, len(topic).to_bytes(2, "big") + topic + rest)


TOPICS = st.text(st.characters(exclude_characters="\x00#+", exclude_categories=("Cs",)), min_size=1, max_size=60)
NUMBERS = st.integers(1, 0xFFFF)
PACKETS = st.one_of(
    st.builds(Publish, st.just(TOPIC) | TOPICS, st.binary(max_size=700), NUMBERS),
    st.builds(Puback, NUMBERS, st.integers(0, 255)),
    st.just(Pingresp()),
)


def written(packet: Packet, *, again: bool = False) -> bytes:
    match packet:
        case Publish(topic, payload, packet_id):
            return mqtt_packets.publish(topic, payload, packet_id, again=again)
        case Puback(packet_id, reason):
            return sized(0x40, packet_id.to_bytes(2, "big") + (bytes([reason]) if reason else b""))
        case _:
            return b"\xd0\x00"


@given(st.lists(st.tuples(PACKETS, st.booleans()), max_size=12), st.data())
def test_packets_come_out_as_they_went_in_however_the_stream_is_cut(
    sent: list[tuple[Packet, bool]], data: st.DataObject
) -> None:
    stream = b"".join(written(packet, again=again) for packet, again in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    reader, got = mqtt_packets.Reader(), []
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        got += reader.feed(stream[begin:end])
    assert got == [packet for packet, _ in sent]


@given(st.integers(0x4100, 0x7A7A), st.text("AB/\x00", min_size=0, max_size=6))
def test_packet_identifier_that_looks_like_text_does_not_lengthen_the_topic(packet_id: int, payload: str) -> None:
    wanted = Publish(TOPIC, payload.encode(), packet_id)
    assert read(mqtt_packets.publish(*wanted)) == [wanted]


@given(st.binary(max_size=300))
def test_anything_is_a_packet_an_unfinished_one_or_refused(data: bytes) -> None:
    try:
        packets = read(data)
    except BadPacket:
        return
    assert all(isinstance(packet, Packet) for packet in packets)


@given(st.binary(min_size=1, max_size=40), st.integers(0, 200), st.integers(0, 255))
def test_usual_way_and_long_way_agree(payload: bytes, place: int, byte: int) -> None:
    """One byte changed anywhere: what the one expression takes, the long way takes with the same result."""
    data = bytearray(mqtt_packets.publish(TOPIC, payload, 7))
    data[place % len(data)] = byte
    changed = bytes(data)
    try:
        wanted = _long_way(changed)
    except BadPacket:
        with pytest.raises(BadPacket):
            read(changed)
    else:
        assert read(changed) == wanted


def _long_way(data: bytes) -> list[Packet]:
    at, packets = 0, []
    while (whole := mqtt_packets._length(data, at)) is not None and whole[1] <= len(data) and at < len(data):
        packets.append(mqtt_packets._packet(data[at], data[whole[0] : whole[1]]))
        at = whole[1]
    return packets


def test_answers_of_a_broker() -> None:
    """Laid out by hand from sections 3.2, 3.9 and 3.14."""
    connack = sized(0x20, b"\x01\x00" + b"\x06" + b"\x21\x00\x14" + b"\x13\x00\x3c")
    suback = sized(0x90, b"\xff\xff\x00\x01\x01\x87")
    goodbye = sized(0xE0, b"\x8e\x09" + b"\x1f\x00\x06taken!")
    assert read(connack) == [Connack(True, 0, 20, 60, "")]
    assert read(suback) == [Suback(0xFFFF, (1, 1, 0x87))]
    assert read(goodbye) == [Disconnect(0x8E, "taken!")]
    assert read(sized(0xE0, b"")) == [Disconnect(0, "")]
    assert read(sized(0x20, b"\x00\x87\x00")) == [Connack(False, 0x87, 0xFFFF, None, "")]


def test_message_with_properties_and_without_quality_of_service() -> None:
    properties = b"\x01\x01" + b"\x02\x00\x00\x00\x05" + b"\x03\x00\x01t" + b"\x26\x00\x01a\x00\x01b" * 2
    with_properties = message(2, b"a/b", b"\x00\x09" + bytes([len(properties)]) + properties + b"xyz")
    assert read(with_properties) == [Publish("a/b", b"xyz", 9)]
    assert read(message(1, b"a/b", b"\x00retained")) == [Publish("a/b", b"retained", 0)]
    assert read(message(2, "a/é".encode(), b"\x00\x09\x00x")) == [Publish("a/é", b"x", 9)]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (message(4, b"a", b"\x00\x01\x00"), "quality of service"),
        (message(6, b"a", b"\x00\x01\x00"), "quality of service"),
        (message(8, b"a", b"\x00"), "quality of service"),
        (message(2, b"a", b"\x00\x00\x00"), "identifier 0"),
        (message(2, b"", b"\x00\x01\x00"), "topic"),
        (message(2, b"a/#", b"\x00\x01\x00"), "wildcards"),
        (message(2, b"a/+/b", b"\x00\x01\x00"), "wildcards"),
        (message(2, b"a\xff", b"\x00\x01\x00"), "UTF-8"),
        (message(2, b"a\x00", b"\x00\x01\x00"), "NUL"),
        (message(2, b"a", b"\x00\x01\x03\x23\x00\x01"), "no place"),  # a topic alias, which nobody asked for
        (message(2, b"a", b"\x00\x01\x04\x01\x00\x01\x00"), "twice"),
        (message(2, b"a", b"\x00\x01\x02\x01\x02"), "payload format"),
        (message(2, b"a", b"\x00\x01\x80\x00"), "shortly"),
        (message(2, b"a", b"\x00\x01\x05"), "too early"),
        (b"\x32\x80\x00", "shortly"),
        (b"\x32\xff\xff\xff\x7f", "at most"),
        (b"\x32\xff\xff\xff\xff", "four bytes"),
        (sized(0x10, b""), "does not send"),
        (sized(0x00, b""), "does not send"),
        (sized(0x62, b"\x00\x01"), "does not send"),
        (sized(0x41, b"\x00\x01"), "does not send"),
        (sized(0x40, b"\x00\x00"), "identifier 0"),
        (sized(0x40, b"\x00"), "too early"),
        (sized(0x40, b"\x00\x01\x00\x00\x00"), "after its end"),
        (sized(0xD0, b"\x00"), "after its end"),
        (sized(0x20, b"\x02\x00\x00"), "flags"),
        (sized(0x20, b"\x01\x87\x00"), "flags"),
        (sized(0x20, b"\x00\x00\x03\x21\x00\x00"), "cannot be 0"),
        (sized(0x20, b"\x00\x00\x02\x25\x02"), "cannot be 2"),
    ],
)
def test_what_the_standard_forbids_is_refused(data: bytes, why: str) -> None:
    with pytest.raises(BadPacket, match=why):
        read(data)


def test_too_long_a_packet_is_refused_before_its_body_is_kept() -> None:
    with pytest.raises(BadPacket, match="at most"):
        read(b"\x32" + mqtt_packets.variable(mqtt_packets.MAX_PACKET + 1))


def test_connect_says_what_paho_would_say() -> None:
    """Another implementation's bytes for the same options."""
    ours = Connect(
        client_id="c", keepalive_s=15, session_expiry_s=60, receive_maximum=200, username="u", password="pä"
    ).packet()
    theirs = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
    theirs.SessionExpiryInterval = 60
    theirs.ReceiveMaximum = 200
    theirs.MaximumPacketSize = mqtt_packets.MAX_PACKET
    packed: bytes = theirs.pack()  # type: ignore[no-untyped-call]
    head = b"\x00\x04MQTT\x05\xc0\x00\x0f"
    assert ours == sized(0x10, head + packed + b"\x00\x01c" + b"\x00\x01u" + b"\x00\x03p\xc3\xa4")


def test_password_is_not_in_the_words_about_a_connection() -> None:
    made = Connect(client_id="c", keepalive_s=1, session_expiry_s=1, receive_maximum=1, username="u", password="secret")
    assert "secret" not in repr(made)
