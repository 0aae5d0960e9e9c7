"""The little of DER that a time-stamp authority writes and reads (ITU-T X.690).

Written by hand because the general library takes 12 ms for one token and cannot write a rejection at all.
"""

from collections.abc import Iterator
from typing import Final

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
OID: Final = 0x06
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31


class MalformedDer(ValueError):
    """The bytes are not the strict DER that was expected."""


def encode(tag: int, *parts: bytes) -> bytes:
    """One element: tag, shortest length, the parts joined."""
    content = b"".join(parts)
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + content


def integer(value: int) -> bytes:
    """A non-negative INTEGER."""
    return encode(INTEGER, value.to_bytes(value.bit_length() // 8 + 1))


def oid(dotted: str) -> bytes:
    """An OBJECT IDENTIFIER from its dotted form."""
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    return encode(OID, *(_base128(arc) for arc in (first * 40 + second, *rest)))


def set_of(*elements: bytes) -> bytes:
    """A SET OF: DER sorts its encoded elements (X.690 section 11.6)."""
    return encode(SET, *sorted(elements))


def split(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The (tag, content) pairs that fill `content` exactly. Raises: MalformedDer."""
    at = 0
    while at < len(content):
        tag, start, end = _header(content, at)
        yield tag, content[start:end]
        at = end


def only(data: bytes, tag: int) -> bytes:
    """The content of the single element `data`, which must have `tag`. Raises: MalformedDer."""
    found, start, end = _header(data, 0)
    if found != tag or end != len(data):
        raise MalformedDer(f"expected one element of tag {tag:#x}")
    return data[start:end]


def first_length(data: bytes) -> int:
    """How many bytes the first element of `data` takes, header included. Raises: MalformedDer."""
    return _header(data, 0)[2]


def _base128(arc: int) -> bytes:
    octets = [arc & 0x7F]
    while arc := arc >> 7:
        octets.append(0x80 | arc & 0x7F)
    return bytes(reversed(octets))


def _header(data: bytes, at: int) -> tuple[int, int, int]:
    """Tag, start and end of the content of the element at `at`."""
    if at + 2 > len(data):
        raise MalformedDer("element is cut off")
    tag, size, start = data[at], data[at + 1], at + 2
    if size >= 0x80:
        octets = size & 0x7F
        size = int.from_bytes(data[start : start + octets])
        start += octets
        if not 1 <= octets <= 4 or size < 0x80 or size.bit_length() <= 8 * (octets - 1):
            raise MalformedDer("length is not in shortest form")
    if start + size > len(data):
        raise MalformedDer("element is cut off")
    return tag, start, start + size
