"""What the ledger needs of a signed event, by regular expressions over its exact bytes; an event has one encoding.

The expressions are made from the labels of `firmware_protocol.events` and match only what `cose.parse1` and
`events.read` would take, with the same values. What they do not match is read the long way, which says why.
"""

import itertools
import re
from collections.abc import Callable
from enum import IntEnum
from functools import cache
from typing import Any, Final, NamedTuple

from firmware_protocol import cose, events, patterns
from firmware_protocol.events import EventType, Header
from firmware_protocol.labelled import fields_of
from firmware_protocol.patterns import uint
from firmware_protocol.purposes import Purpose

_UINT: Final = b"(?:" + patterns.UINT[1:-1] + b")"
_BYTES, _TEXT = 0x40, 0x60
_ID: Final = rb"[!\"$-*,-.0-~]"
"""A letter of a device id: printable ASCII, and nothing that MQTT topics reserve."""
_BOOL: Final = rb"[\xf4\xf5]"
_SHORT: Final = 24
"""Lengths, numbers and labels below stand in one byte."""
_TAIL: Final = 66
"""Head of the signature's byte string, and the signature."""
_AT_PROTECTED, _AT_UNPROTECTED = 2, 12
_WANTED: Final = ("device_id", "generation", "seq", "event_type", "previous")
_AAD: Final = Purpose.EVENT.aad
_BEFORE: Final = b"\x84\x6aSignature1"
_BETWEEN: Final = bytes([0x40 + len(_AAD)]) + _AAD
_WITH_TIME: Final = b"\xac"
"""Head of a map of twelve labels: the ten of every header, the body, and the time."""


class Glance(NamedTuple):
    """Facts of a well-formed event whose signature is not yet checked."""

    key_id: bytes
    device_id: str
    generation: int
    seq: int
    event_type: EventType
    previous: bytes
    token_id: bytes | None
    signed: bytes  # the Sig_structure, RFC 9052 section 4.4
    signature: bytes


def glance(leaf: bytes) -> Glance | None:
    """None for anything that must be read the long way."""
    found = _EVENT(leaf)
    if found is None:
        return None
    key_id, said, head, device_id, generation, seq, kind, previous = found.groups()
    event_type = _TYPES.get(kind)
    at, end = found.end(), len(leaf) - _TAIL
    if event_type is None or end - found.start(3) != uint(said):
        return None
    match, has_token = _body(event_type)
    rest = match(leaf, at)
    if rest is None or (rest[1] is None) == (head == _WITH_TIME):
        return None
    return Glance(
        key_id,
        device_id[1:].decode("ascii"),
        uint(generation),
        uint(seq),
        event_type,
        previous,
        leaf[at + 3 : at + 19] if has_token else None,
        b"".join((_BEFORE, leaf[_AT_PROTECTED:_AT_UNPROTECTED], _BETWEEN, leaf[found.start(2) : end])),
        leaf[end + 2 :],
    )


def glance_slowly(leaf: bytes) -> Glance:
    """The same facts of any event, by decoding it. Raises: Malformed, UnknownClaim, WrongAlgorithm."""
    parts = cose.parse1(leaf)
    event = events.read(parts.payload)
    header = event.header
    return Glance(
        parts.key_id,
        header.device_id,
        header.generation,
        header.seq,
        header.event_type,
        header.previous,
        getattr(event.body, "token_id", None),
        cose.to_be_signed(parts, purpose=Purpose.EVENT),
        parts.signature,
    )


def _header() -> bytes:
    """From the leaf's first byte to the label of the body."""
    text = rb"\xd2\x84\x49\xa2\x01\x32\x04\x44(.{4})\xa0(\x58[\x18-\xff]|\x59[\x01-\xff].)([\xab\xac])"
    for field in sorted(fields_of(Header), key=lambda field: field.number):
        if not field.optional:  # the time stands behind the body
            text += _labelled(field, wanted=field.name in _WANTED)
    return text + rb"\x0b"


@cache
def _body(event_type: EventType) -> tuple[Callable[..., re.Match[bytes] | None], bool]:
    """What matches from the body's map to the end of the leaf, and whether a token id stands first in the map.

    A body whose token stands elsewhere matches nothing.
    """
    fields = sorted(fields_of(events.BODY_OF[event_type]), key=lambda field: field.number)
    has_token = fields[0].name == "token_id" and not fields[0].optional
    if any(field.name == "token_id" for field in fields[1 if has_token else 0 :]):
        return re.compile(rb"(?!)").match, False
    optional = [field for field in fields if field.optional]
    shapes = []
    for count in range(len(optional) + 1):
        for absent in itertools.combinations(optional, count):
            there = [field for field in fields if field not in absent]
            shapes.append(re.escape(bytes([0xA0 + len(there)])) + b"".join(_labelled(field) for field in there))
    text = b"(?:" + b"|".join(shapes) + rb")(\x0c" + _UINT + rb")?\x58\x40.{64}\Z"
    return re.compile(text, re.DOTALL).match, has_token


def _labelled(field: Any, *, wanted: bool = False) -> bytes:  # noqa: ANN401 - what `fields_of` gives
    """Label and value; `wanted`: in a group, without the head where its length is fixed. Raises: ValueError."""
    if field.number >= _SHORT:
        raise ValueError(f"label {field.number} has two bytes")
    head, value = _value(field)
    return re.escape(bytes([field.number])) + head + (b"(" if wanted else b"(?:") + value + b")"


def _value(field: Any) -> tuple[bytes, bytes]:  # noqa: ANN401 - as above
    """A fixed head, and the rest. Raises: ValueError for what is no plain value of bounded length."""
    kind = field.kind
    if kind is int:
        return b"", _UINT
    if kind is bool:
        return b"", _BOOL
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return b"", b"|".join(re.escape(said) for said in sorted(_said(int(member)) for member in kind))
    if kind is bytes and field.size is not None:
        return re.escape(_head(_BYTES, field.size)), b".{%d}" % field.size
    if kind is str and field.most is not None and field.most < _SHORT:
        letters = _ID if field.name == "device_id" else rb"[\x00-\x7f]"
        least = 1 if field.name == "device_id" else 0
        lengths = range(least, field.most + 1)
        return b"", b"|".join(re.escape(_head(_TEXT, length)) + letters + b"{%d}" % length for length in lengths)
    if kind is bytes and field.most is not None:
        short = (re.escape(_head(_BYTES, length)) + b".{%d}" % length for length in range(min(_SHORT, field.most + 1)))
        long = (re.escape(bytes([length])) + b".{%d}" % length for length in range(_SHORT, field.most + 1))
        return b"", b"|".join(short) + rb"|\x58(?:" + b"|".join(long) + b")"
    raise ValueError(f"{field.name} is no plain value of bounded length")


def _said(number: int) -> bytes:
    return bytes([number]) if number < _SHORT else bytes([0x18, number])


def _head(major: int, length: int) -> bytes:
    return bytes([major + length]) if length < _SHORT else bytes([major + 0x18, length])


_TYPES: Final = {_said(int(member)): member for member in EventType}
_EVENT: Final = re.compile(_header(), re.DOTALL).match
