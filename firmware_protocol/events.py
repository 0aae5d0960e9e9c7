"""EVENT: what a device says happened, signed by the device and chained to the event before it.

The signed bytes are the ledger's leaf; nobody ever re-encodes them. `previous` is SHA-256 over the whole signed
event with sequence number one less (32 zero bytes for the first of a generation).
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, Final, TypeAlias

from firmware_protocol import cbor, cose, patterns
from firmware_protocol.cose import SigningKey
from firmware_protocol.errors import Malformed
from firmware_protocol.labelled import from_map, label, to_map
from firmware_protocol.orders import ServiceKind
from firmware_protocol.purposes import Purpose
from firmware_protocol.reasons import Reason
from firmware_protocol.trace import MAX_CODE

FIRST_PREVIOUS: Final = bytes(32)
MAX_EVENT: Final = 480
"""Longest signed event in bytes, so that it fits one message with its envelope."""


class EventType(IntEnum):
    BOOT = 1
    PAIRED = 2
    GRANT = 3
    PAGE_SEEN = 4
    INTENT = 5
    DONE = 6
    CANCELLED = 7
    SETTLED = 8
    CLOSED = 9
    REFUSED = 10
    TAMPER = 11
    EXTRA_STROKE = 12
    LABEL = 13
    HEAD_CHANGED = 14
    POLICY_SET = 15
    TIME_SET = 16
    SENSOR = 17
    RESET = 18
    PAGES_SWEPT = 19
    OPERATOR = 20
    FIRMWARE = 21
    LOST = 22
    SPOILED = 23
    SERVICE = 24


class ResetCause(IntEnum):
    POWER = 1
    COMMAND = 2
    WATCHDOG = 3
    CRASH = 4


class Outcome(IntEnum):
    """How an INTENT without DONE was settled against the mechanical counter at boot."""

    RECOVERED = 1
    ABORTED = 2
    UNKNOWN = 3


class ServiceStage(IntEnum):
    BEGUN = 1
    ENDED = 2
    TIMED_OUT = 3


class Cause(IntEnum):
    """Why a stroke was cancelled or a grant closed."""

    USED_UP = 1
    BY_KEEPER = 2
    TIMED_OUT = 3
    PAGE_MOVED = 4
    TAMPERED = 5
    REBOOT = 6
    SENSOR_FAILED = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    cause: ResetCause = label(1)
    public_key: bytes = label(2, size=32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    installation_id: bytes = label(1, size=16)
    terms_digest: bytes = label(2, size=32)  # pairing.commitment of the terms it took
    root_key: bytes = label(3, size=32)
    public_key: bytes = label(4, size=32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    token_id: bytes = label(1, size=16)
    token_digest: bytes = label(2, size=32)
    max_strokes: int = label(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class PageSeen:
    token_id: bytes = label(1, size=16)
    stroke: int = label(2)
    preview_digest: bytes = label(3, size=32)
    photo_digest: bytes = label(4, size=32)
    stroke_nonce: bytes = label(5, size=16)
    page: int | None = label(6, optional=True)  # in a sweep, where stroke is 0: running number from 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    token_id: bytes = label(1, size=16)
    stroke: int = label(2)
    permit_digest: bytes | None = label(3, size=32, optional=True)
    page: int | None = label(4, optional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    token_id: bytes = label(1, size=16)
    stroke: int = label(2)
    preview_digest: bytes = label(3, size=32)
    photo_digest: bytes = label(4, size=32)
    trace_code: bytes = label(5, most=MAX_CODE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancelled:
    token_id: bytes = label(1, size=16)
    stroke: int = label(2)
    cause: Cause = label(3)
    returned: bool = label(4)  # the use came back: the mechanical counter did not move


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    token_id: bytes = label(1, size=16)
    stroke: int = label(2)
    outcome: Outcome = label(3)
    trace_code: bytes | None = label(4, most=MAX_CODE, optional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    token_id: bytes = label(1, size=16)
    strokes_used: int = label(2)
    cause: Cause = label(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    message_type: int = label(1)
    reason: Reason = label(2)
    token_id: bytes | None = label(3, size=16, optional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tamper:
    sensor: str = label(1, most=16)  # "cover", "pry", "motion", "head"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraStroke:
    """The mechanical counter moved when no stroke was allowed, or more than once."""

    strokes: int = label(1)
    token_id: bytes | None = label(2, size=16, optional=True)
    photo_digest: bytes | None = label(3, size=32, optional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    token_id: bytes = label(1, size=16)
    copy: int = label(2)  # the stroke that the label belongs to
    trace_code: bytes = label(3, most=MAX_CODE)
    photo_digest: bytes = label(4, size=32)
    preview_digest: bytes | None = label(5, size=32, optional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadChanged:
    slot: int = label(1)
    old_head: bytes | None = label(2, size=8, optional=True)
    new_head: bytes | None = label(3, size=8, optional=True)
    sample_digest: bytes | None = label(4, size=32, optional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicySet:
    epoch: int = label(1)
    suspended: bool = label(2)
    policy_digest: bytes = label(3, size=32)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSet:
    unix_ms: int = label(1)
    drift_ms: int | None = label(2, optional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensor:
    sensor: str = label(1, most=16)
    value: int = label(2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    order_digest: bytes = label(1, size=32)


@dataclass(frozen=True, slots=True, kw_only=True)
class PagesSwept:
    token_id: bytes = label(1, size=16)
    seen: int = label(2)
    expected: int = label(3)
    digest: bytes = label(4, size=32)  # SHA-256 over the page photo digests in order


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    operator: bytes = label(1, size=4)
    method: int = label(2)  # 1 PIN, 2 badge, 3 passkey
    present: bool = label(3)
    credential: bytes | None = label(4, size=8, optional=True)  # which passkey: passkeys.short_id
    sign_count: int | None = label(5, optional=True)  # the authenticator's own counter after this


@dataclass(frozen=True, slots=True, kw_only=True)
class Firmware:
    version: str = label(1, most=16)
    image_digest: bytes = label(2, size=32)
    manifest_seq: int = label(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lost:
    """A two-person order closed a gap the device cannot fill any more."""

    from_seq: int = label(1)
    to_seq: int = label(2)
    order_digest: bytes = label(3, size=32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoiled:
    """A sheet with a bad imprint: the device printed CANCELLED on it and photographed it."""

    token_id: bytes = label(1, size=16)
    stroke: int = label(2)
    preview_digest: bytes = label(3, size=32)
    photo_digest: bytes = label(4, size=32)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service that two persons authorised begins, ends, or was not ended in time."""

    order_digest: bytes = label(1, size=32)  # SHA-256 of the signed policy
    kind: ServiceKind = label(2)
    stage: ServiceStage = label(3)
    slot: int | None = label(4, optional=True)


Body: TypeAlias = (
    Boot
    | Paired
    | Grant
    | PageSeen
    | Intent
    | Done
    | Cancelled
    | Settled
    | Closed
    | Refusal
    | Tamper
    | ExtraStroke
    | Label
    | HeadChanged
    | PolicySet
    | TimeSet
    | Sensor
    | Reset
    | PagesSwept
    | Operator
    | Firmware
    | Lost
    | Spoiled
    | Service
)

BODY_OF: Final[dict[EventType, type[Any]]] = {
    EventType.BOOT: Boot,
    EventType.PAIRED: Paired,
    EventType.GRANT: Grant,
    EventType.PAGE_SEEN: PageSeen,
    EventType.INTENT: Intent,
    EventType.DONE: Done,
    EventType.CANCELLED: Cancelled,
    EventType.SETTLED: Settled,
    EventType.CLOSED: Closed,
    EventType.REFUSED: Refusal,
    EventType.TAMPER: Tamper,
    EventType.EXTRA_STROKE: ExtraStroke,
    EventType.LABEL: Label,
    EventType.HEAD_CHANGED: HeadChanged,
    EventType.POLICY_SET: PolicySet,
    EventType.TIME_SET: TimeSet,
    EventType.SENSOR: Sensor,
    EventType.RESET: Reset,
    EventType.PAGES_SWEPT: PagesSwept,
    EventType.OPERATOR: Operator,
    EventType.FIRMWARE: Firmware,
    EventType.LOST: Lost,
    EventType.SPOILED: Spoiled,
    EventType.SERVICE: Service,
}
_TYPE_OF: Final = {cls: event_type for event_type, cls in BODY_OF.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What every event carries. `time_ms` is Unix time and present only after signed time arrived in this boot."""

    device_id: str = label(1, most=12)
    generation: int = label(2)
    seq: int = label(3)  # never restarts within a generation
    boot: int = label(4)
    event_type: EventType = label(5)
    uptime_ms: int = label(6)
    counter: int = label(7)  # mechanical, counts every press of the head
    head_id: bytes = label(8, size=8)  # 8 zero bytes: no head in the active slot
    firmware: str = label(9, most=16)
    previous: bytes = label(10, size=32)
    time_ms: int | None = label(12, optional=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    header: Header
    body: Body


_BODY_LABEL: Final = 11
_TIME_LABEL: Final = 12

_HEADER: Final = patterns.Pattern(Header)
_AT_BODY: Final = bytes([_BODY_LABEL])
_TIME: Final = re.compile(rb"\x0c" + patterns.UINT).fullmatch
_BODIES: Final = {event_type: patterns.Pattern(cls) for event_type, cls in BODY_OF.items()}


def type_of(body: Body) -> EventType:
    return _TYPE_OF[type(body)]


def sign(event: Event, *, key: SigningKey) -> bytes:
    """Raises: Malformed, when body and type differ or the event would not fit MAX_EVENT."""
    if type_of(event.body) is not event.header.event_type:
        raise Malformed(f"a {type(event.body).__name__} is not a {event.header.event_type.name}")
    payload = to_map(event.header)
    time_ms = payload.pop(_TIME_LABEL, None)
    payload[_BODY_LABEL] = to_map(event.body)
    if time_ms is not None:
        payload[_TIME_LABEL] = time_ms
    signed = cose.sign1(cbor.encode_in_order(payload), key=key, purpose=Purpose.EVENT)
    if len(signed) > MAX_EVENT:
        raise Malformed(f"event has {len(signed)} bytes, at most {MAX_EVENT}")
    return signed


def verify(data: bytes, *, keys: Mapping[bytes, bytes]) -> Event:
    """Raises: Malformed, UnknownClaim, WrongAlgorithm, UnknownKey, BadSignature."""
    return read(cose.verify1(data, keys=keys, purpose=Purpose.EVENT))


def read(payload: bytes) -> Event:
    """The event in a COSE payload, without trust. Raises: Malformed, UnknownClaim."""
    return _read_quickly(payload) or _read_to_say_why(payload)


def _read_quickly(payload: bytes) -> Event | None:
    """The one deterministic encoding; None for anything else. The body stands between the header's labels 10 and 12."""
    found = _HEADER.fields(payload)
    if found is None:
        return None
    labels, fields, at = found
    if payload[at : at + 1] != _AT_BODY or "time_ms" in fields:
        return None
    body = _BODIES[fields["event_type"]].read(payload, at + 1)
    if body is None:
        return None
    at = body[1]
    if at < len(payload):
        time = _TIME(payload, at)
        if time is None:
            return None
        fields["time_ms"] = patterns.uint(time[1])
    return Event(header=Header(**fields), body=body[0]) if labels == len(fields) + 1 else None


def _read_to_say_why(payload: bytes) -> Event:
    fields = cbor.decode_map(payload)
    body = fields.pop(_BODY_LABEL, None)
    if not isinstance(body, dict):
        raise Malformed(f"event lacks label {_BODY_LABEL} (body)")
    header = from_map(Header, fields)
    return Event(header=header, body=from_map(BODY_OF[header.event_type], body))


def peek(data: bytes) -> Event:
    """The event inside signed bytes, without trust. Raises: Malformed, UnknownClaim, WrongAlgorithm."""
    return read(cose.parse1(data).payload)


def chain_hash(signed_event: bytes) -> bytes:
    """What the next event carries as `previous`."""
    return hashlib.sha256(signed_event).digest()
