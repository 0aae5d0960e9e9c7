"""Deterministic CBOR (RFC 8949 section 4.2.1) of the few types the protocol uses, strict on the way in.

Allowed: unsigned and negative integers of 64 bits, byte and text strings, arrays, maps, booleans, null.
Refused: floats, tags, duplicate or unsorted keys, non-shortest lengths, indefinite lengths, trailing bytes.
"""

from typing import Any, Final

import cbor2

from firmware_protocol.errors import Malformed

MAX_DEPTH: Final = 8
"""Nesting the protocol needs is 4; more is an attack on the reader's stack."""

_INT_MIN: Final = -(2**64)
_INT_MAX: Final = 2**64 - 1


def encode(value: Any) -> bytes:  # noqa: ANN401 - any CBOR value
    """The one byte string for `value`."""
    return cbor2.dumps(value, canonical=True)


def encode_in_order(value: Any) -> bytes:  # noqa: ANN401 - as above
    """As `encode`, in half the time, of a value whose maps hold their keys in order already (labelled.to_map)."""
    return cbor2.dumps(value)


def byte_string(data: bytes) -> bytes:
    """As `encode`, of bytes."""
    size = len(data)
    if size < 24:
        return bytes((0x40 + size,)) + data
    if size < 256:
        return bytes((0x58, size)) + data
    return encode(data)


def decode(data: bytes) -> Any:  # noqa: ANN401 - any CBOR value
    """Raises: Malformed, when the bytes are not the deterministic encoding of an allowed value."""
    try:
        value = cbor2.loads(data)
    except Exception as error:
        raise Malformed("not CBOR") from error
    _check([value], depth=-1)
    if cbor2.dumps(value) != data:  # in the order it came; _check looked at that order
        raise Malformed("not deterministic CBOR (RFC 8949 section 4.2.1), or bytes after its end")
    return value


def decode_map(data: bytes) -> dict[int, Any]:
    """Raises: Malformed, when the bytes are not a map with integer keys."""
    value = decode(data)
    if not isinstance(value, dict) or not set(map(type, value)) <= _INT_ONLY:
        raise Malformed("expected a map with integer keys")
    return value


_LEAVES: Final = frozenset((bytes, str, bool, type(None)))
_INT_ONLY: Final = {int}


def _check(value: object, *, depth: int) -> None:
    """What stands inside an array or a map; leaves are looked at here, without a call: most of a message is leaves."""
    if depth > MAX_DEPTH:
        raise Malformed(f"nested deeper than {MAX_DEPTH}")
    if not isinstance(value, list | dict):
        raise Malformed(f"{type(value).__name__} is not allowed here")
    for item in value if isinstance(value, list) else [*value, *value.values()]:
        kind = type(item)
        if kind is int:
            if not _INT_MIN <= item <= _INT_MAX:
                raise Malformed("integer beyond 64 bits")
        elif kind not in _LEAVES:
            _check(item, depth=depth + 1)
    if isinstance(value, dict) and not _sorted(value):
        raise Malformed("the keys of a map are not in order (RFC 8949 section 4.2.1)")


def _sorted(value: dict[Any, Any]) -> bool:
    """Whether the keys stand as `encode` would put them; duplicates were lost in reading and show in the length."""
    keys = list(value)
    if not keys or (set(map(type, keys)) == _INT_ONLY and keys[0] >= 0 and keys == sorted(keys)):
        return True
    return keys == list(cbor2.loads(encode(dict.fromkeys(value))))
