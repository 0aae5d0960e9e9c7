"""What holds for every input, not only for the ones we thought of."""

import cbor2
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_protocol import cbor, cose, events, messages, tokens, trace
from firmware_protocol.__main__ import main
from firmware_protocol.errors import Malformed, ProtocolError
from firmware_protocol.framing import MAX_FRAME, MAX_MESSAGE, FrameDecoder, cobs_decode, cobs_encode, encode_frame
from firmware_protocol.purposes import Purpose

plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.binary(max_size=40) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(-70_000, 70_000), inner, max_size=4),
    max_leaves=10,
)


@given(plain)
def test_deterministic_cbor_round_trips(value: object) -> None:
    assert cbor.decode(cbor.encode(value)) == value


@given(st.binary(max_size=700))
def test_cobs_round_trips_without_zero(data: bytes) -> None:
    stuffed = cobs_encode(data)
    assert 0 not in stuffed
    assert cobs_decode(stuffed) == data


@given(st.binary(min_size=1, max_size=MAX_MESSAGE), st.binary(max_size=60), st.data())
def test_a_frame_survives_noise_before_it_and_any_chopping(message: bytes, noise: bytes, data: st.DataObject) -> None:
    stream = noise + b"\x00" + encode_frame(message)
    decoder, got = FrameDecoder(), []
    while stream:
        cut = data.draw(st.integers(1, len(stream)))
        got += decoder.feed(stream[:cut])
        stream = stream[cut:]
    assert got[-1] == message


@given(st.binary(min_size=MAX_FRAME + 1, max_size=3 * MAX_FRAME).map(lambda data: data.replace(b"\x00", b"\x01")))
def test_an_endless_frame_is_dropped_not_buffered(data: bytes) -> None:
    decoder = FrameDecoder()
    assert decoder.feed(data) == []
    assert decoder.counters.too_long == 1
    assert decoder.feed(b"\x00" + encode_frame(b"next")) == [b"next"]


@settings(max_examples=300)
@given(st.binary(max_size=300))
def test_parsers_raise_only_their_own_error(data: bytes) -> None:
    parsers = (messages.decode, events.peek, tokens.read, lambda raw: trace.verify(raw, keys={}), cbor.decode)
    for parse in parsers:
        try:
            parse(data)
        except ProtocolError:
            continue


@given(st.text(max_size=300))
def test_hostile_text_is_no_trace_code(text: str) -> None:
    for parse in (trace.parse_url, trace.normalise_short_code):
        try:
            parse(text)
        except Malformed:
            continue


@given(st.binary(min_size=1, max_size=136), st.integers(0, 11), st.sampled_from("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))
def test_one_misread_character_never_passes_as_another_code(code: bytes, at: int, char: str) -> None:
    short = trace.short_code(code).replace("-", "")
    misread = short[:at] + char + short[at + 1 :]
    try:
        normal = trace.normalise_short_code(misread).replace("-", "")
    except Malformed:
        return
    alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    assert normal == short or abs(alphabet.index(char) - alphabet.index(short[at])) == 31


def test_dump_names_what_it_reads(capsys: object) -> None:
    frame = encode_frame(messages.encode(messages.ReadEventRequest(seq=17), msg_id=9))
    assert main(["dump", frame.hex()]) == 0
    assert main(["dump", "00"]) == 1
    assert main(["dump", "zz"]) == 1


SOME_KEY = st.binary(min_size=4, max_size=4)


@settings(max_examples=400)
@given(st.sampled_from((0, 1, 23, 24, 255, 256, 300)), st.data())
def test_taking_a_sign1_apart_by_position_agrees_with_reading_its_cbor(size: int, data: st.DataObject) -> None:
    """Also when a byte is changed, added or taken away: both refuse, or both say the same."""
    parts = [cbor.encode({1: -19, 4: data.draw(SOME_KEY)}), {}, bytes(size), bytes(64)]
    raw = bytearray(b"\xd2" + cbor.encode(parts))
    at, kind = (
        data.draw(st.integers(0, min(len(raw) - 1, 24))),
        data.draw(st.sampled_from(["same", "change", "add", "drop"])),
    )
    if kind == "change":
        raw[at] ^= data.draw(st.integers(1, 255))
    elif kind == "add":
        raw.insert(at, data.draw(st.integers(0, 255)))
    elif kind == "drop":
        del raw[at]
    quick = cose._parse_exact(bytes(raw))
    try:
        slow = cose._parse_to_say_why(bytes(raw))
    except ProtocolError:
        slow = None
    assert quick == slow
    if kind == "same":
        assert quick is not None
        assert cose.to_be_signed(quick, purpose=Purpose.EVENT) == cbor.encode(
            ["Signature1", quick.protected, b"seal/1/event", quick.payload]
        )


@settings(max_examples=400)
@given(plain, st.booleans())
def test_only_the_deterministic_encoding_is_read(value: object, turn: bool) -> None:  # noqa: FBT001 - drawn
    """Maps in another order are refused, whatever kind of keys they have."""
    raw = cbor2.dumps(_turned(value) if turn else value)
    deterministic = raw == cbor.encode(value)
    try:
        assert cbor.decode(raw) == value
    except Malformed:
        assert not deterministic
    else:
        assert deterministic


def _turned(value: object) -> object:
    if isinstance(value, dict):
        return {key: _turned(item) for key, item in reversed(value.items())}
    return [_turned(item) for item in value] if isinstance(value, list) else value
