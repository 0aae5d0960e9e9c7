"""A labelled class's deterministic encodings as one regular expression: reading and strictness in one step.

There is one deterministic encoding of a value (RFC 8949 section 4.2.1), so what the expression matches is exactly what
`cbor.decode` and `labelled.from_map` would take; everything else is theirs, which say what is wrong with it.
"""

import re
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final, Generic, TypeVar

from firmware_protocol.labelled import fields_of

T = TypeVar("T")

UINT: Final = (
    rb"([\x00-\x17]|\x18[\x18-\xff]|\x19[\x01-\xff][\x00-\xff]"
    rb"|\x1a(?!\x00\x00)[\x00-\xff]{4}|\x1b(?!\x00\x00\x00\x00)[\x00-\xff]{8})"
)
"""An unsigned integer, said as shortly as can be."""
_BOOL: Final = rb"([\xf4\xf5])"
_ANY: Final = rb"[\x00-\xff]"
_BYTES, _TEXT = 0x40, 0x60
_SHORT: Final = 24
"""Lengths, numbers and labels below stand in the first byte."""
_LONGEST: Final = 255


class Pattern(Generic[T]):
    """Reads maps that are a `cls`. Raises: ValueError for a class that holds more than plain values."""

    def __init__(self, cls: type[T]) -> None:
        fields = fields_of(cls)
        if len(fields) >= _SHORT or any(field.number >= _SHORT for field in fields):
            raise ValueError(f"{cls.__name__} has labels of two bytes")
        self._cls = cls
        self._readers: list[Callable[[bytes], Any]] = []
        text = rb"([\xa0-\xb7])"
        for field in fields:
            value, reader = _value(field.kind, field.size, field.most)
            self._readers.append(reader)
            part = re.escape(bytes([field.number])) + value
            text += rb"(?:" + part + rb")?" if field.optional else part
        self._names = [field.name for field in fields]
        self._match = re.compile(text, re.DOTALL).match

    def read(self, data: bytes, at: int = 0) -> tuple[T, int] | None:
        """The object that begins at `at`, and where it ends; None when it must be read the long way."""
        found = self.fields(data, at)
        if found is None or found[0] != len(found[1]):
            return None
        return self._cls(**found[1]), found[2]

    def fields(self, data: bytes, at: int = 0) -> tuple[int, dict[str, Any], int] | None:
        """How many labels the map announces, the values it has here, and where they end."""
        found = self._match(data, at)
        if found is None:
            return None
        head, *groups = found.groups()
        try:
            values = {
                name: reader(group)
                for name, reader, group in zip(self._names, self._readers, groups, strict=True)
                if group is not None
            }
        except ValueError:  # no such number in an enumeration, or not UTF-8
            return None
        return head[0] & 0x1F, values, found.end()


def uint(said: bytes) -> int:
    """What UINT matched."""
    return said[0] if len(said) == 1 else int.from_bytes(said[1:], "big")


def _value(kind: Any, size: int | None, most: int | None) -> tuple[bytes, Callable[[bytes], Any]]:  # noqa: ANN401 - a type
    """Raises: ValueError."""
    if kind is int:
        return UINT, uint
    if kind is bool:
        return _BOOL, lambda said: said == b"\xf5"
    if isinstance(kind, type) and issubclass(kind, IntEnum):
        return UINT, _member_of(kind)
    if kind is bytes and size is not None and size <= _LONGEST:
        return re.escape(_head(_BYTES, size)) + b"(" + _ANY + b"{%d})" % size, bytes
    if kind in (bytes, str) and most is not None and most <= _LONGEST:
        major = _BYTES if kind is bytes else _TEXT
        lengths = (re.escape(_head(major, length)) + _ANY + b"{%d}" % length for length in range(most + 1))
        return b"(" + b"|".join(lengths) + b")", _content if kind is bytes else _text
    raise ValueError(f"{kind} is no plain value of bounded length")


def _member_of(kind: type[IntEnum]) -> Callable[[bytes], IntEnum]:
    """A reader that raises ValueError for a number without a meaning."""
    members = {_said(int(member)): member for member in kind}

    def read(said: bytes) -> IntEnum:
        member = members.get(said)
        if member is None:
            raise ValueError(said)
        return member

    return read


def _said(number: int) -> bytes:
    return bytes([number]) if number < _SHORT else bytes([0x18, number])


def _head(major: int, length: int) -> bytes:
    return bytes([major + length]) if length < _SHORT else bytes([major + 0x18, length])


def _content(said: bytes) -> bytes:
    return said[1:] if said[0] & 0x1F < _SHORT else said[2:]


def _text(said: bytes) -> str:
    return _content(said).decode()
