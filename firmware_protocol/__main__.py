"""`python -m firmware_protocol dump [HEX]`: say what a frame, message or signed object is, without trusting it.

Reads hexadecimal from the argument or standard input, one item a line. Exit 1 when a line is none of ours.
"""

import dataclasses
import sys
from collections.abc import Callable
from enum import Enum
from typing import Any, Final

from firmware_protocol import cbor, cose, events, messages, tokens, trace
from firmware_protocol.errors import ProtocolError
from firmware_protocol.framing import decode_body
from firmware_protocol.labelled import from_map
from firmware_protocol.orders import PURPOSE_OF

_USAGE: Final = "usage: python -m firmware_protocol dump [HEX]\n"


def dump(data: bytes) -> list[str]:
    """What `data` is, in lines. Raises: ProtocolError, when it is nothing of seal/1."""
    if data[:1] == b"\x00" and data[-1:] == b"\x00":
        return ["frame", *dump(decode_body(data.strip(b"\x00")))]
    if data[:1] == b"\xd2":
        return _signed(data)
    envelope = messages.decode(data)
    number = messages.TYPE_OF[type(envelope.message)]
    lines = [f"message 0x{number:02x} {type(envelope.message).__name__} msg_id={envelope.msg_id}"]
    return lines + _fields(envelope.message)


def _signed(data: bytes) -> list[str]:
    parts = cose.parse1(data)
    head = f"{len(data)} bytes, key {parts.key_id.hex()}, signature not checked"
    for read in _READERS:
        try:
            value = read(parts.payload)
        except ProtocolError:
            continue
        return [f"{type(value).__name__} ({head})", *_fields(value)]
    return [f"signed object of another purpose ({head})", f"  {cbor.decode(parts.payload)!r}"]


def _order(cls: type) -> Callable[[bytes], object]:
    return lambda payload: from_map(cls, cbor.decode_map(payload))


_READERS: Final[tuple[Callable[[bytes], object], ...]] = (
    tokens.read,
    events.read,
    _order(trace.TraceCode),
    *(_order(cls) for cls in PURPOSE_OF),
)


def _fields(value: Any, indent: str = "  ") -> list[str]:  # noqa: ANN401 - any of our dataclasses
    lines = []
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if dataclasses.is_dataclass(item):
            lines += [f"{indent}{field.name}: {type(item).__name__}", *_fields(item, indent + "  ")]
        elif item is not None:
            lines.append(f"{indent}{field.name}: {_text(item)}")
    return lines


def _text(item: object) -> str:
    if isinstance(item, bytes):
        return item.hex()
    if isinstance(item, Enum):
        return f"{item.name} ({item.value})"
    if isinstance(item, tuple):
        return ", ".join(_text(part) for part in item) or "none"
    return str(item)


def main(arguments: list[str]) -> int:
    if not arguments or arguments[0] != "dump":
        sys.stderr.write(_USAGE)
        return 2
    lines = arguments[1:] or sys.stdin.read().split()
    worst = 0
    for line in lines:
        try:
            sys.stdout.write("\n".join(dump(bytes.fromhex(line))) + "\n")
        except (ProtocolError, ValueError) as error:
            sys.stderr.write(f"not seal/1: {error}\n")
            worst = 1
    return worst


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
