"""The journal for people: one JSON line per record, from a copy of the file. Never writes."""

import dataclasses
import json
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any, Final

from device_sim.core import records
from device_sim.core.memory import signed_event
from device_sim.core.records import Kind
from firmware_protocol import cbor, cose, events
from firmware_protocol.labelled import from_map
from firmware_protocol.orders import Receipt, Roster

_ORDERS: Final[dict[Kind, type[Receipt | Roster]]] = {Kind.RECEIPT: Receipt, Kind.ROSTER: Roster}


def describe(path: Path) -> Iterator[str]:
    """Raises: OSError."""
    reading = records.read(path.read_bytes())
    for record in reading.records:
        line: dict[str, Any] = {"record": record.kind.name, "bytes": record.size}
        if record.kind is Kind.EVENT:
            event = events.peek(signed_event(record))
            line |= _plain(event.header) | {"body": _plain(event.body)}
        elif record.kind in _ORDERS:
            order = from_map(_ORDERS[record.kind], cbor.decode_map(cose.parse1(record.body).payload))
            line |= {"order": _plain(order)}
        yield json.dumps(line)
    if reading.torn:
        yield json.dumps({"torn_bytes": reading.torn, "damaged": reading.damaged})


def _plain(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any event dataclass
    return {field.name: _shown(getattr(value, field.name)) for field in dataclasses.fields(value)}


def _shown(item: object) -> object:
    if isinstance(item, bytes):
        return item.hex()
    if isinstance(item, tuple):
        return [_shown(part) for part in item]
    return item.name if isinstance(item, IntEnum) else item
