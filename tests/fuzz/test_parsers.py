"""No parser raises anything but its own error; `campaign fuzz` feeds each of them a million times."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_protocol import cbor, messages
from firmware_protocol.errors import Malformed
from tests.fuzz.parsers import PARSERS, seeds, try_one


@pytest.mark.parametrize("name", PARSERS)
def test_garbage_is_refused_in_its_own_words(name: str) -> None:
    @settings(max_examples=60)
    @given(st.binary(max_size=300))
    def feed(data: bytes) -> None:
        try_one(name, data)

    feed()


@pytest.mark.parametrize("name", PARSERS)
def test_a_valid_one_with_a_few_changes_is_read_or_refused(name: str, seed: int) -> None:
    rng = random.Random(f"{seed} {name}")
    valid = seeds(name)
    for _ in range(300):
        data = bytearray(rng.choice(valid))
        for _ in range(rng.randint(0, 3)):
            at = rng.randrange(len(data) + 1)
            data[at : at + rng.randint(0, 2)] = rng.randbytes(rng.randint(0, 2))
        try_one(name, bytes(data))


def test_a_map_with_another_kind_of_key_is_malformed() -> None:
    """Found by `campaign fuzz`: bytes beside integers could not be compared, and true passed for 1."""
    for label in (b"a", True, "1"):
        with pytest.raises(Malformed):
            messages.decode(cbor.encode([1, 0x15, 9, {label: 1, 3: 1}]))


def test_a_break_where_a_key_should_be_is_malformed() -> None:
    """Found by `campaign fuzz`: cbor2 hands out its own marker for it."""
    with pytest.raises(Malformed):
        cbor.decode(bytes.fromhex("a30000832804ff31ff04d9ffff"))


def test_the_seeds_are_understood() -> None:
    """Else the changes above would only ever scratch the first check."""
    for name, parser in PARSERS.items():
        if name != "client-data":  # these bytes are one half of what is signed: alone they are never accepted
            assert any(_accepted(parser.parse, data) for data in seeds(name)), name


def _accepted(parse: object, data: bytes) -> bool:
    try:
        parse(data)  # type: ignore[operator]
    except Exception:  # noqa: BLE001 - any refusal
        return False
    return True
