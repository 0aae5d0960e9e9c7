"""The short way of reading an event takes only what the long way takes, with the same facts."""

import dataclasses
import random

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_protocol import cbor, cose, events
from firmware_protocol.errors import ProtocolError
from firmware_protocol.events import Event, EventType, Header
from firmware_protocol.labelled import fields_of, to_map
from firmware_protocol.purposes import Purpose
from server.core.signer import Ed25519Signer
from server.ledger import admission
from server.ledger.glance import glance, glance_slowly

KEY = Ed25519Signer(Purpose.EVENT, Ed25519PrivateKey.from_private_bytes(bytes(32)))
NUMBERS = st.integers(0, 2**64 - 1) | st.integers(0, 300)


def values(field: dataclasses.Field[object]) -> st.SearchStrategy[object]:
    """Of one labelled field: `fields_of` says its type and bounds."""
    kind, size, most = field.kind, field.size, field.most  # type: ignore[attr-defined]
    if kind is int:
        return NUMBERS
    if kind is bool:
        return st.booleans()
    if kind is bytes:
        return st.binary(min_size=size, max_size=size) if size is not None else st.binary(max_size=min(most, 180))
    if kind is str:
        return st.text(st.characters(codec="utf-8"), max_size=most // 4) | st.text("ABC-019 ", max_size=most)
    return st.sampled_from(list(kind))


def built(cls: type) -> st.SearchStrategy[object]:
    required = {field.name: values(field) for field in fields_of(cls) if not field.optional}  # type: ignore[arg-type]
    optional = {field.name: st.none() | values(field) for field in fields_of(cls) if field.optional}  # type: ignore[arg-type]
    return st.builds(cls, **required, **optional)


@settings(max_examples=60)
@given(event_type=st.sampled_from(EventType), data=st.data())
def test_facts_are_the_same_by_both_ways(event_type: EventType, data: st.DataObject) -> None:
    header = data.draw(built(Header))
    assert isinstance(header, Header)
    header = dataclasses.replace(header, event_type=event_type)
    body = data.draw(built(events.BODY_OF[event_type]))
    payload = {**to_map(header), 11: to_map(body)}
    leaf = cose.sign1(cbor.encode(payload), key=KEY, purpose=Purpose.EVENT)
    found = glance(leaf)
    assert found is None or found == glance_slowly(leaf)


@given(st.integers(0, 10_000), st.integers(0, 255), st.sampled_from(["set", "cut", "add"]))
def test_changed_byte_never_gives_other_facts(place: int, byte: int, how: str) -> None:
    leaf = bytearray(usual())
    place %= len(leaf)
    leaf[place : place + (how != "add")] = b"" if how == "cut" else bytes([byte])
    changed = bytes(leaf)
    found = glance(changed)
    try:
        wanted = glance_slowly(changed)
    except ProtocolError:
        assert found is None
    else:
        assert found in {None, wanted}


def usual() -> bytes:
    body = events.Intent(token_id=bytes(16), stroke=1, permit_digest=bytes(32), page=3)
    header = Header(
        device_id="CB-1",
        generation=1,
        seq=300,
        boot=1,
        event_type=events.type_of(body),
        uptime_ms=5,
        counter=1,
        head_id=bytes(8),
        firmware="0.1.0",
        previous=bytes(32),
    )
    return events.sign(Event(header=header, body=body), key=KEY)


def test_usual_events_take_the_short_way(rng: random.Random) -> None:
    leaf = usual()
    found = glance(leaf)
    assert found is not None
    assert (found.device_id, found.seq, found.event_type, found.token_id) == ("CB-1", 300, EventType.INTENT, bytes(16))
    assert found == glance_slowly(leaf)
    key = admission.DeviceKey(KEY.public_key, admission.KeyStatus.ACTIVE)
    read = admission.read(leaf)
    assert isinstance(read, admission.Incoming)
    assert admission.check_signature(read, key) is None
    forged = bytearray(leaf)
    forged[-rng.randrange(1, 65)] ^= 1
    read = admission.read(bytes(forged))
    assert isinstance(read, admission.Incoming)
    refused = admission.check_signature(read, key)
    assert refused is not None
    assert refused.reason is admission.Reason.BAD_SIGNATURE
