"""An event is read by one expression; it must never see another event than the long way does, nor take more."""

import random
from enum import IntEnum
from typing import Any

import pytest

from firmware_protocol import cbor, events
from firmware_protocol.errors import ProtocolError
from firmware_protocol.events import BODY_OF, EventType, Header
from firmware_protocol.labelled import fields_of, to_map

NUMBERS = (0, 1, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**63, 2**64 - 1)


def value(rng: random.Random, field: Any) -> Any:
    if field.kind is bool:
        return rng.random() < 0.5
    if field.kind is bytes:
        return rng.randbytes(field.size if field.size is not None else rng.randint(0, field.most))
    if field.kind is str:
        return "".join(rng.choices("aZ0-~", k=rng.randint(0, field.most)))
    return rng.choice(list(field.kind)) if issubclass(field.kind, IntEnum) else rng.choice(NUMBERS)


def drawn(rng: random.Random, cls: type) -> Any:
    named = {field.name: value(rng, field) for field in fields_of(cls) if not field.optional or rng.random() < 0.5}
    return cls(**named)


def payload(rng: random.Random, event_type: EventType) -> bytes:
    header = {**to_map(drawn(rng, Header)), 5: int(event_type)}
    return cbor.encode({**header, 11: to_map(drawn(rng, BODY_OF[event_type]))})


def long_way(data: bytes) -> events.Event | None:
    try:
        return events._read_to_say_why(data)
    except ProtocolError:
        return None


def quickly(data: bytes) -> events.Event | None:
    return events._read_quickly(data)


@pytest.mark.parametrize("event_type", list(EventType))
def test_every_event_is_read_quickly_and_the_same(rng: random.Random, event_type: EventType) -> None:
    for _ in range(20):
        data = payload(rng, event_type)
        assert quickly(data) == long_way(data) is not None or long_way(data) is None


def test_most_events_take_the_quick_way(rng: random.Random) -> None:
    drawn_events = [payload(rng, rng.choice(list(EventType))) for _ in range(300)]
    assert sum(quickly(data) is not None for data in drawn_events) > 250


def mutated(rng: random.Random, data: bytes) -> bytes:
    at, other = rng.randrange(len(data)), rng.randrange(256)
    match rng.randrange(4):
        case 0:
            return data[:at] + bytes([other]) + data[at + 1 :]
        case 1:
            return data[:at] + bytes([other]) + data[at:]
        case 2:
            return data[:at] + data[at + 1 :]
        case _:
            return data[:at]


def test_damaged_event_is_never_read_otherwise_than_the_long_way(rng: random.Random) -> None:
    for _ in range(4000):
        data = mutated(rng, payload(rng, rng.choice(list(EventType))))
        found = quickly(data)
        assert found is None or found == long_way(data)


def test_time_before_the_body_is_not_deterministic(rng: random.Random) -> None:
    header = to_map(drawn(rng, Header)) | {5: int(EventType.TAMPER)}
    header.pop(12, None)
    body = to_map(drawn(rng, BODY_OF[EventType.TAMPER]))
    parts = [cbor.encode(number) + cbor.encode(item) for number, item in header.items()]
    wrong = bytes([0xA0 + 12]) + b"".join(parts) + b"\x0c\x01" + b"\x0b" + cbor.encode(body)
    assert quickly(wrong) is None
    assert long_way(wrong) is None
