"""Which device events the ledger takes, without I/O: signature, hash chain, duplicates, gaps, equivocation.

The rules, per device and key generation (design: D5, D7):
1. Structure, then key, then signature; nothing unsigned reaches the chain.
2. The next number with the right `previous` is accepted.
3. The same bytes again are a duplicate: acknowledged, not stored twice.
4. The same number with other validly signed bytes is equivocation: the device is quarantined, both are kept.
5. A higher number is accepted and opens a gap; a late arrival must fit both neighbours and closes its part of the gap.
6. What does not fit is set aside with its reason; nothing is dropped.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from firmware_protocol import cose, events
from firmware_protocol.errors import ProtocolError
from firmware_protocol.events import Event
from server.ledger import ed25519, merkle
from server.ledger.glance import Glance, glance, glance_slowly

MAX_SEQ: Final = 2**63 - 1
"""What a signed 64-bit database column holds."""
_DEVICE_ID: Final = re.compile(r"[!\"$-*,-.0-~]+").fullmatch


class Reason(StrEnum):
    """Why an event was set aside."""

    MALFORMED = "malformed"
    UNKNOWN_KEY = "unknown_key"
    REVOKED_KEY = "revoked_key"
    BAD_SIGNATURE = "bad_signature"
    BROKEN_CHAIN = "broken_chain"
    EQUIVOCATION = "equivocation"
    DEVICE_QUARANTINED = "device_quarantined"


class KeyStatus(StrEnum):
    """A suspended device opens nothing, but what it already signed is still evidence."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class DeviceKey:
    public_key: bytes  # 32 bytes
    status: KeyStatus


class Incoming(NamedTuple):
    """A well-formed event, its signature not yet checked."""

    leaf: bytes  # exactly what arrived
    leaf_hash: bytes
    chain_hash: bytes  # what the next event names as `previous`
    chain_key: tuple[str, int]
    seq: int
    facts: Glance

    @property
    def event(self) -> Event:
        """The whole event, read anew: for the few that need more than the facts."""
        return events.peek(self.leaf)


class Link(NamedTuple):
    """A stored event as its neighbours see it."""

    leaf_hash: bytes
    chain_hash: bytes
    previous: bytes


@dataclass(frozen=True, slots=True)
class Gap:
    """Numbers `first`..`last` (both included) have not arrived."""

    first: int
    last: int
    opened_at: datetime


@dataclass(slots=True)
class Chain:
    """One device generation as the ledger holds it; `admit` changes it.

    `links` must hold every stored event at seq-1, seq and seq+1 of each event to be admitted with seq <= last_seq.
    """

    last_seq: int = 0
    last_hash: bytes = events.FIRST_PREVIOUS
    quarantined: bool = False
    gaps: list[Gap] = field(default_factory=list)  # ascending, disjoint
    links: dict[int, Link] = field(default_factory=dict)
    filled: list[Gap] = field(default_factory=list)  # single numbers that arrived late since loading

    @property
    def prefix_seq(self) -> int:
        """The last number below the lowest open gap: what a receipt may cover."""
        return self.gaps[0].first - 1 if self.gaps else self.last_seq


class Accepted(NamedTuple):
    incoming: Incoming


class Duplicate(NamedTuple):
    incoming: Incoming


@dataclass(frozen=True, slots=True)
class SetAside:
    """Kept, with its reason, outside the tree; `incoming` is None when it could not be read."""

    reason: Reason
    detail: str
    incoming: Incoming | None = None


Verdict: TypeAlias = Accepted | Duplicate | SetAside


def read(leaf: bytes) -> Incoming | SetAside:
    """The event in `leaf`, without trust."""
    if len(leaf) > events.MAX_EVENT:
        return SetAside(Reason.MALFORMED, f"{len(leaf)} bytes, at most {events.MAX_EVENT}")
    facts = glance(leaf)
    seen = facts is not None
    if facts is None:
        try:
            facts = glance_slowly(leaf)
        except ProtocolError as error:
            return SetAside(Reason.MALFORMED, f"{error.code}: {error}")
    device_id, generation, seq = facts.device_id, facts.generation, facts.seq
    if not 1 <= seq <= MAX_SEQ or generation > MAX_SEQ:
        return SetAside(Reason.MALFORMED, "sequence number or generation out of range")
    if not (seen or _DEVICE_ID(device_id)):  # a glance takes no other letters
        return SetAside(Reason.MALFORMED, "a device id holds printable ASCII, and nothing that MQTT topics reserve")
    return Incoming(leaf, merkle.leaf_hash(leaf), events.chain_hash(leaf), (device_id, generation), seq, facts)


def check_signature(incoming: Incoming, key: DeviceKey | None) -> SetAside | None:
    """None when `key`, the enrolled one of this device and generation, signed exactly these bytes."""
    facts = incoming.facts
    if key is None or cose.key_id(key.public_key) != facts.key_id:
        return SetAside(Reason.UNKNOWN_KEY, f"no enrolled key {facts.key_id.hex()}", incoming)
    if key.status is KeyStatus.REVOKED:
        return SetAside(Reason.REVOKED_KEY, "the key was revoked", incoming)
    if not ed25519.holds(key.public_key, facts.signature, facts.signed):
        return SetAside(Reason.BAD_SIGNATURE, "the signature does not verify", incoming)
    return None


def admit(chain: Chain, incoming: Incoming, *, now: datetime) -> Verdict:
    """The verdict on an event whose signature holds; an accepted one becomes part of `chain`."""
    known = chain.links.get(incoming.seq)
    if known is not None and known.leaf_hash == incoming.leaf_hash:
        return Duplicate(incoming)
    if chain.quarantined:
        return SetAside(Reason.DEVICE_QUARANTINED, "this device signed two histories", incoming)
    if known is not None:
        chain.quarantined = True
        return SetAside(Reason.EQUIVOCATION, f"other bytes than stored leaf {known.leaf_hash.hex()}", incoming)
    if not _fits(chain, incoming):
        return SetAside(Reason.BROKEN_CHAIN, "it does not follow from its neighbours", incoming)
    if incoming.seq > chain.last_seq:
        _extend(chain, incoming, now)
    else:
        _fill(chain, incoming.seq)
    previous = incoming.facts.previous
    chain.links[incoming.seq] = Link(incoming.leaf_hash, incoming.chain_hash, previous)
    return Accepted(incoming)


def _fits(chain: Chain, incoming: Incoming) -> bool:
    """Whether `incoming` names the stored event before it, and the stored event after it names `incoming`."""
    seq, previous = incoming.seq, incoming.facts.previous
    if seq == 1:
        if previous != events.FIRST_PREVIOUS:
            return False
    elif seq == chain.last_seq + 1:
        if previous != chain.last_hash:
            return False
    elif (before := chain.links.get(seq - 1)) is not None and previous != before.chain_hash:
        return False
    after = chain.links.get(seq + 1)
    return after is None or after.previous == incoming.chain_hash


def _extend(chain: Chain, incoming: Incoming, now: datetime) -> None:
    if incoming.seq > chain.last_seq + 1:
        chain.gaps.append(Gap(chain.last_seq + 1, incoming.seq - 1, now))
    chain.last_seq, chain.last_hash = incoming.seq, incoming.chain_hash


def _fill(chain: Chain, seq: int) -> None:
    remaining: list[Gap] = []
    for gap in chain.gaps:
        if gap.first <= seq <= gap.last:
            chain.filled.append(Gap(seq, seq, gap.opened_at))
            remaining += [
                part
                for part in (Gap(gap.first, seq - 1, gap.opened_at), Gap(seq + 1, gap.last, gap.opened_at))
                if part.first <= part.last
            ]
        else:
            remaining.append(gap)
    chain.gaps = remaining
