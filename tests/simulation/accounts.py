"""What truly happened at one device, kept by the simulator: durable events, presses, the paper under the head."""

import zlib
from dataclasses import dataclass, field
from typing import Final

from firmware_protocol import cbor, events
from firmware_protocol.errors import ProtocolError
from firmware_protocol.events import Event
from firmware_protocol.tokens import Token

_HEAD: Final = 5
_TAIL: Final = 12
_KINDS: Final = (1, 2, 3, 4)
_EVENT, ROSTER = 2, 4


class Violation(Exception):
    """An invariant does not hold. `name`: its number (truth.py, convergence.py)."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name


def records(chunk: bytes) -> list[tuple[int, bytes]]:
    """(kind, body) of whole journal records (device_sim.core.records); stops at what is no record."""
    found = []
    at = 0
    while at + _HEAD + _TAIL <= len(chunk):
        length = int.from_bytes(chunk[at + 1 : at + _HEAD], "big")
        end = at + _HEAD + length
        if chunk[at] not in _KINDS or end + _TAIL > len(chunk):
            break
        if zlib.crc32(chunk[at : end + 8]) != int.from_bytes(chunk[end + 8 : end + _TAIL], "big"):
            break
        found.append((chunk[at], chunk[at + _HEAD : end]))
        at = end + _TAIL
    return found


def signed_events(found: list[tuple[int, bytes]]) -> list[bytes]:
    """Those among the records."""
    return [cbor.decode(body)[0] for kind, body in found if kind == _EVENT]


def readable(signed: bytes) -> Event:
    """Raises: Violation."""
    try:
        return events.peek(signed)
    except ProtocolError as error:
        raise Violation("I11", f"a device wrote an event that nobody can read: {error}") from error


@dataclass(slots=True, kw_only=True)
class OpenIntent:
    """An INTENT that is durable and not accounted for."""

    token_id: bytes
    stroke: int
    released: bool = False
    presses: int = 0


@dataclass(slots=True, kw_only=True)
class Account:
    """One device. `story`: signed events by sequence number, in the order in which they became durable."""

    device_id: str
    story: dict[int, bytes] = field(default_factory=dict)
    oldest: int = 1  # lowest number still in the journal
    boot: int = 0
    counter: int = 0
    acked: int = 0
    floor_ms: int = 0
    policy_epoch: int = 0
    suspended: bool = False
    tampered: bool = False
    alarm: bool = False  # a head left while the power was on, and no TAMPER is durable yet
    head: bytes = b""  # what is in the slot, really
    nonce: bytes | None = None  # the challenge that is out
    intent: OpenIntent | None = None
    named_photos: set[bytes] = field(default_factory=set)
    explained: int = 0  # presses that events speak of
    operator: bytes | None = None  # who is signed in, as the events say
    knocked: set[bytes] = field(default_factory=set)  # who entered the right PIN here
    listed: frozenset[bytes] = frozenset()  # who may sign in here
    roster_number: int = 0
    voucher_counter: int = 0
    grant: "Issued | None" = None

    @property
    def last_seq(self) -> int:
        return len(self.story)


@dataclass(slots=True, kw_only=True)
class Order:
    """One approved request as people meant it."""

    number: int
    document: bytes
    pages: tuple[int, ...]  # of stroke 1, 2, ...
    spares: int
    policy: int  # tokens.PageCheck and mode bits
    head: bytes
    imprints: int = 0
    revoked_ms: int | None = None
    allowed_after: int = 0  # imprints that may still happen after the revocation
    last_moment_ms: int = 0  # and until when

    @property
    def approved(self) -> int:
        return len(self.pages) + self.spares


@dataclass(slots=True, kw_only=True)
class Issued:
    """One token as the issuer signed it, and what became of it."""

    token: Token
    order: Order
    plan: tuple[int, ...]  # page of the token's stroke 1, 2, ...
    granted_by: str | None = None
    closed: bool = False
    used: int = 0
    permitted: set[int] = field(default_factory=set)  # strokes with a permit
