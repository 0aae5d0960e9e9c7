"""The journal for people: one JSON line per record, from a copy of the file. Never writes."""

import dataclasses
import json
from collections.abc import Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any

from device_sim.core import records
from device_sim.core.memory import signed_event
from device_sim.core.records import Kind
from firmware_protocol import events


def describe(path: Path) -> Iterator[str]:
    """Raises: OSError."""
    reading = records.read(path.read_bytes())
    for record in reading.records:
        line: dict[str, Any] = {"record": record.kind.name, "bytes": record.size}
        if record.kind is Kind.EVENT:
            event = events.peek(signed_event(record))
            line |= _plain(event.header) | {"body": _plain(event.body)}
        yield json.dumps(line)
    if reading.torn:
        yield json.dumps({"torn_bytes": reading.torn, "damaged": reading.damaged})


def _plain(value: Any) -> dict[str, Any]:  # noqa: ANN401 - any event dataclass
    return {field.name: _shown(getattr(value, field.name)) for field in dataclasses.fields(value)}


def _shown(item: object) -> object:
    if isinstance(item, bytes):
        return item.hex()
    return item.name if isinstance(item, IntEnum) else item
