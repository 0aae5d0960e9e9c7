"""One batch: from what arrived to the rows that one transaction writes. Reads its facts first, decides, then writes."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlmodel import Session

from server.ledger import admission, batch_store, entry_codec, log_store
from server.ledger.admission import Accepted, Chain, DeviceKey, Duplicate, Incoming, SetAside
from server.ledger.batch_store import KeyOwner
from server.ledger.log_store import ChainKey
from server.ledger.models import LedgerQuarantine, LedgerQueue
from server.ledger.schemas import INSTALLATION, LeafKind

MAX_KEPT: Final = 4096
"""Bytes of a set-aside payload that are kept; the longest event has 480, the rest is named by its digest."""
_MAX_TEXT: Final = 200
_EVENT: Final = LeafKind.EVENT.value
_NO_TOKEN: Final = bytes(16)


class Arrival(NamedTuple):
    """An event as a gateway brought it; gateway and topic are not to be trusted."""

    payload: bytes
    gateway_id: str
    topic_device: str = ""


class Read(NamedTuple):
    """An arrival, what reading it and checking its signature gave, and the key it was checked with."""

    arrival: Arrival
    result: Incoming | SetAside
    key: DeviceKey | None


@dataclass(slots=True)
class Batch:
    """The decisions of one batch. `entries` (batch_store.ENTRY_COLUMNS) and `refs` are rows for the tree, in order."""

    now: datetime
    first_index: int
    keys: dict[ChainKey, KeyOwner] = field(default_factory=dict)
    chains: dict[ChainKey, Chain] = field(default_factory=dict)
    entries: list[tuple[Any, ...]] = field(default_factory=list)
    refs: list[tuple[str, int]] = field(default_factory=list)
    leaf_hashes: list[bytes] = field(default_factory=list)
    events: int = 0
    duplicates: int = 0
    set_aside: list[tuple[Arrival, SetAside]] = field(default_factory=list)
    heard: dict[ChainKey, str] = field(default_factory=dict)  # devices whose events are stored, and over which gateway
    heard_before: Mapping[ChainKey, str] = field(default_factory=dict)  # what is stored about that, as far as known
    changed: set[ChainKey] = field(default_factory=set)
    photos_again: defaultdict[ChainKey, set[bytes]] = field(default_factory=lambda: defaultdict(set))

    def load(self, db: Session, reads: Sequence[Read]) -> list[Read]:
        """Keys and chains of everything in `reads`; returns `reads`, checked again where the key is another by now."""
        wanted: defaultdict[ChainKey, set[int]] = defaultdict(set)
        for read in reads:
            if incoming := _incoming(read):
                wanted[incoming.chain_key].add(incoming.seq)
        self.keys = batch_store.device_keys(db, wanted)
        self.chains = batch_store.chains(db, {key: wanted[key] for key in self.keys})
        return [_with_key_of_now(read, self.keys) for read in reads]

    def admit(self, reads: Iterable[Read]) -> None:
        """Decide about each event in the order of arrival."""
        for read in reads:
            if isinstance(read.result, SetAside):
                self.set_aside.append((read.arrival, read.result))
                continue
            chain_key = read.result.chain_key
            was_quarantined = self.chains[chain_key].quarantined
            verdict = admission.admit(self.chains[chain_key], read.result, now=self.now)
            match verdict:
                case Accepted():
                    self._add_event(verdict.incoming)
                    self.changed.add(chain_key)
                    self.heard[chain_key] = read.arrival.gateway_id
                case Duplicate():
                    self.duplicates += 1
                    self.heard[chain_key] = read.arrival.gateway_id
                    self.photos_again[chain_key] |= _photos(read.result)
                case SetAside():
                    self.set_aside.append((read.arrival, verdict))
                    if not was_quarantined and self.chains[chain_key].quarantined:
                        self.changed.add(chain_key)

    def add_queued(self, rows: Iterable[LedgerQueue]) -> None:
        """Leaves of business steps; their signer is this server."""
        for row in rows:
            kind = LeafKind(row.kind)
            entry_type = int(entry_codec.peek(row.leaf).entry_type) if kind is LeafKind.ENTRY else None
            facts = (row.leaf_hash, row.kind, row.leaf, row.tenant_id, row.branch_path)
            self._add(facts, entry_type=entry_type, place=(None, None, None), refs=row.refs)

    def write(self, db: Session) -> list[tuple[Arrival, SetAside]]:
        """Entries, chains and what was set aside; returns what was set aside for the first time."""
        batch_store.store_entries(db, self.entries, self.refs)
        batch_store.store_chains(db, {chain_key: self.chains[chain_key] for chain_key in self.changed}, now=self.now)
        news = {key: gateway for key, gateway in self.heard.items() if self.heard_before.get(key) != gateway}
        batch_store.heard_over(db, news)
        for chain_key, photos in self.photos_again.items():
            log_store.name_again(db, chain_key, photos)
        return self._write_set_aside(db)

    def _add_event(self, incoming: Incoming) -> None:
        facts, owner = incoming.facts, self.keys[incoming.chain_key]
        token_id = facts.token_id
        self._add(
            (incoming.leaf_hash, _EVENT, incoming.leaf, owner.tenant_id, owner.branch_path),
            entry_type=int(facts.event_type),
            place=(*incoming.chain_key, incoming.seq),
            refs=(f"token:{token_id.hex()}",) if token_id and token_id != _NO_TOKEN else (),
        )
        self.events += 1

    def _add(
        self,
        facts: tuple[bytes, str, bytes, UUID, str],
        *,
        entry_type: int | None,
        place: tuple[str, int, int] | tuple[None, None, None],
        refs: Iterable[str],
    ) -> None:
        index = self.first_index + len(self.entries)
        self.entries.append((index, *facts, self.now, entry_type, *place))
        self.leaf_hashes.append(facts[0])
        self.refs += [(ref, index) for ref in refs]

    def _write_set_aside(self, db: Session) -> list[tuple[Arrival, SetAside]]:
        by_digest = {hashlib.sha256(arrival.payload).digest(): (arrival, why) for arrival, why in self.set_aside}
        known = log_store.known_set_aside(db, by_digest.keys())
        log_store.seen_again(db, known, now=self.now)
        fresh = {digest: found for digest, found in by_digest.items() if digest not in known}
        rows = [self._set_aside_row(digest, *found) for digest, found in fresh.items()]
        log_store.insert_rows(db, LedgerQuarantine, rows)
        return list(fresh.values())

    def _set_aside_row(self, digest: bytes, arrival: Arrival, why: SetAside) -> dict[str, Any]:
        header = why.incoming.facts if why.incoming else None
        owner = self.keys.get(why.incoming.chain_key) if why.incoming else None
        return {
            "digest": digest,
            "payload": arrival.payload[:MAX_KEPT],
            "size": len(arrival.payload),
            "reason": why.reason.value,
            "detail": _storable(why.detail),
            "source": _storable(arrival.gateway_id),
            "topic_device": _storable(arrival.topic_device),
            "first_at": self.now,
            "last_at": self.now,
            "times": 1,
            "tenant_id": owner.tenant_id if owner else None,
            "branch_path": owner.branch_path if owner else None,
            "device_id": header.device_id if header else None,
            "generation": header.generation if header else None,
            "seq": header.seq if header else None,
        }

    def owner_of(self, why: SetAside) -> tuple[UUID, str]:
        """(tenant, branch) that the set-aside event belongs to; the installation itself for an unknown device."""
        owner = self.keys.get(why.incoming.chain_key) if why.incoming else None
        return (owner.tenant_id, owner.branch_path) if owner else (INSTALLATION, "/")


def find(arrivals: Sequence[Arrival]) -> list[Incoming | SetAside]:
    """What each arrival says, without trust."""
    return [admission.read(arrival.payload) for arrival in arrivals]


def check(
    arrivals: Sequence[Arrival], found: Sequence[Incoming | SetAside], keys: Mapping[ChainKey, KeyOwner]
) -> list[Read]:
    """Check every signature: the costly part, meant to run outside the write transaction. `found`: by `find`."""
    return [
        _checked(arrival, result, keys) if isinstance(result, Incoming) else Read(arrival, result, None)
        for arrival, result in zip(arrivals, found, strict=True)
    ]


def _checked(arrival: Arrival, incoming: Incoming, keys: Mapping[ChainKey, KeyOwner]) -> Read:
    owner = keys.get(incoming.chain_key)
    key = owner.key if owner else None
    return Read(arrival, admission.check_signature(incoming, key) or incoming, key)


def _incoming(read: Read) -> Incoming | None:
    return read.result.incoming if isinstance(read.result, SetAside) else read.result


def _photos(incoming: Incoming) -> set[bytes]:
    """Digests that an event announces: whoever sends the event again may still keep the photos too."""
    names = ("preview_digest", "photo_digest", "sample_digest")
    return {digest for name in names if (digest := getattr(incoming.event.body, name, None)) is not None}


def _with_key_of_now(read: Read, keys: Mapping[ChainKey, KeyOwner]) -> Read:
    """A device may be enrolled or revoked between the check of its signature and the batch: look once more."""
    incoming = _incoming(read)
    if incoming is None:
        return read
    owner = keys.get(incoming.chain_key)
    key = owner.key if owner else None
    return read if key is read.key or key == read.key else _checked(read.arrival, incoming, keys)


def _storable(text: str) -> str:
    """PostgreSQL text holds no NUL; what gateways send is not trusted to be short."""
    return text.replace("\x00", "?")[:_MAX_TEXT]
