"""What the device remembers across power cuts: a fold over the records of its journal, and nothing else."""

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import Final

from device_sim.core.records import Kind, Record
from firmware_protocol import cbor, cose, events, tokens
from firmware_protocol.events import Event, Outcome
from firmware_protocol.labelled import from_map, label, to_map
from firmware_protocol.orders import ORDER_PURPOSES, Policy, Receipt, Terms
from firmware_protocol.purposes import Purpose
from firmware_protocol.tokens import Token

SLOTS: Final = 2
NO_HEAD: Final = bytes(8)
SPENT_TOKENS: Final = 64
"""Token ids remembered against replay. The nonce already makes a token single-use; this is the second bolt."""
PAST_HASHES: Final = 128
"""Chain hashes (8 bytes each) kept after their events were deleted, so that a late receipt can still be checked."""
COUNTER_SENSOR: Final = "counter"
"""SENSOR event: the mechanical counter shows less than it did; its new value counts from here on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIntent:
    """A stroke that was allowed and not yet accounted for."""

    stroke: int = label(1)
    counter: int = label(2)  # before the press


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Counts and keys that must survive. `counted` is how far the mechanical counter is explained by events."""

    generation: int = label(1)
    boot: int = label(2)
    seq: int = label(3)
    chain_hash: bytes = label(4, size=32)
    acked_seq: int = label(5)
    counted: int = label(6)
    epoch: int = label(7)
    policy_epoch: int = label(8)
    policy_digest: bytes = label(9)
    suspended: bool = label(10)
    tampered: bool = label(11)
    floor_ms: int = label(12)
    heads: tuple[bytes, ...] = label(13, size=8)
    issuers: tuple[bytes, ...] = label(14, size=32)  # five per issuer, as in Terms; the newest issuer last
    spent: tuple[bytes, ...] = label(15, size=16)
    past: tuple[bytes, ...] = label(16, size=8)  # chain hashes up to `seq`, newest last
    photos: tuple[bytes, ...] = label(17, size=32)  # pictures that no receipt has named yet
    strokes_used: int = label(18)
    terms: Terms | None = label(19, optional=True)
    token: bytes | None = label(20, optional=True)  # of the open grant
    intent: OpenIntent | None = label(21, optional=True)

    @property
    def paired(self) -> bool:
        return self.terms is not None

    def order_keys(self, purpose: Purpose) -> dict[bytes, bytes]:
        """Keys that may sign orders of `purpose`: the issuer's, and the next issuer's during a change."""
        at = ORDER_PURPOSES.index(purpose)
        return cose.keyring(*self.issuers[at :: len(ORDER_PURPOSES)])

    @property
    def recovery_keys(self) -> dict[bytes, bytes]:
        """The key that alone may name a new issuer or turn the time floor back."""
        return cose.keyring(self.terms.recovery_key) if self.terms else {}

    def open_token(self) -> Token | None:
        """The token of the open grant; it was verified before it was written."""
        return None if self.token is None else tokens.read(cose.parse1(self.token).payload)

    def hash_at(self, seq: int) -> bytes | None:
        """The first 8 bytes of the chain hash of event `seq`, None when it is too long ago or not there yet."""
        back = self.seq - seq
        return self.past[-1 - back] if 0 <= back < len(self.past) else None


EMPTY: Final = Memory(
    generation=1,
    boot=0,
    seq=0,
    chain_hash=events.FIRST_PREVIOUS,
    acked_seq=0,
    counted=0,
    epoch=0,
    policy_epoch=0,
    policy_digest=b"",
    suspended=False,
    tampered=False,
    floor_ms=0,
    heads=(NO_HEAD,) * SLOTS,
    issuers=(),
    spent=(),
    past=(),
    photos=(),
    strokes_used=0,
)


def event_record(signed: bytes, attachment: bytes | None = None) -> Record:
    return Record(kind=Kind.EVENT, body=cbor.encode([signed, attachment]))


def signed_event(record: Record) -> bytes:
    """The signed bytes inside an EVENT record."""
    signed: bytes = cbor.decode(record.body)[0]
    return signed


def snapshot_record(memory: Memory) -> Record:
    return Record(kind=Kind.SNAPSHOT, body=cbor.encode(to_map(memory)))


def receipt_record(signed_receipt: bytes) -> Record:
    return Record(kind=Kind.RECEIPT, body=signed_receipt)


def remember(memory: Memory, record: Record) -> Memory:
    """The memory after one more record."""
    match record.kind:
        case Kind.SNAPSHOT:
            return from_map(Memory, cbor.decode_map(record.body))
        case Kind.EVENT:
            signed, attachment = cbor.decode(record.body)
            return _after_event(memory, signed, attachment)
        case Kind.RECEIPT:
            return _after_receipt(memory, from_map(Receipt, cbor.decode_map(cose.parse1(record.body).payload)))


def _after_receipt(memory: Memory, receipt: Receipt) -> Memory:
    return dataclasses.replace(
        memory,
        acked_seq=max(memory.acked_seq, receipt.up_to_seq),
        photos=tuple(digest for digest in memory.photos if digest not in receipt.photo_digests),
    )


def _after_event(memory: Memory, signed: bytes, attachment: bytes | None) -> Memory:
    event = events.peek(signed)
    chain_hash = hashlib.sha256(signed).digest()
    chained = dataclasses.replace(
        memory,
        generation=event.header.generation,
        boot=event.header.boot,
        seq=event.header.seq,
        chain_hash=chain_hash,
        past=(*memory.past, chain_hash[:8])[-PAST_HASHES:],
        counted=event.header.counter if event.header.seq == 1 else memory.counted,
    )
    return _after_orders(_after_stroke(chained, event), event, attachment)


def _after_stroke(memory: Memory, event: Event) -> Memory:  # noqa: PLR0911 - one case, one return
    """Events that move the count."""
    counter = event.header.counter
    match event.body:
        case events.Intent(stroke=stroke):
            return dataclasses.replace(memory, intent=OpenIntent(stroke=stroke, counter=counter))
        case events.Done(preview_digest=preview, photo_digest=photo):
            done = _used(memory, counted=memory.counted + 1)
            return dataclasses.replace(done, photos=_with(memory.photos, preview, photo))
        case events.Settled(outcome=Outcome.RECOVERED):
            return _used(memory, counted=memory.counted + 1)
        case events.Settled(outcome=Outcome.UNKNOWN) | events.Cancelled(returned=False):
            return _used(memory, counted=counter)
        case events.Settled(outcome=Outcome.ABORTED) | events.Cancelled(returned=True):
            return dataclasses.replace(memory, intent=None)
        case events.ExtraStroke(strokes=strokes):
            return dataclasses.replace(memory, counted=memory.counted + strokes)
        case events.Sensor(sensor=sensor) if sensor == COUNTER_SENSOR:
            return dataclasses.replace(memory, counted=counter)
        case events.PageSeen(preview_digest=preview, photo_digest=photo):
            return dataclasses.replace(memory, photos=_with(memory.photos, preview, photo))
        case _:
            return memory


def _after_orders(memory: Memory, event: Event, attachment: bytes | None) -> Memory:  # noqa: PLR0911 - as above
    """Events that change what the device may do."""
    match event.body:
        case events.Grant(token_id=token_id) if attachment is not None:
            return _granted(memory, token_id, attachment)
        case events.Closed():
            return dataclasses.replace(memory, token=None, strokes_used=0)
        case events.Paired() if attachment is not None:
            terms = from_map(Terms, cbor.decode_map(attachment))
            return dataclasses.replace(memory, terms=terms, issuers=terms.issuer_keys)
        case events.PolicySet() if attachment is not None:
            return _ordered(memory, attachment)
        case events.TimeSet(unix_ms=unix_ms):
            return dataclasses.replace(memory, floor_ms=max(memory.floor_ms, unix_ms))
        case events.HeadChanged(slot=slot, new_head=head):
            heads = tuple(head or NO_HEAD if at == slot else old for at, old in enumerate(memory.heads))
            return dataclasses.replace(memory, heads=heads)
        case events.Tamper():
            return dataclasses.replace(memory, tampered=True)
        case _:
            return memory


def _granted(memory: Memory, token_id: bytes, signed_token: bytes) -> Memory:
    token = tokens.read(cose.parse1(signed_token).payload)
    return dataclasses.replace(
        memory,
        token=signed_token,
        strokes_used=0,
        spent=(*memory.spent, token_id)[-SPENT_TOKENS:],
        epoch=max(memory.epoch, token.seal.epoch),
        floor_ms=max(memory.floor_ms, token.issued_at * 1000),
    )


def _ordered(memory: Memory, signed_policy: bytes) -> Memory:
    """Whether its key was allowed to say this was checked before it was written (checks.check_policy)."""
    parts = cose.parse1(signed_policy)
    policy = from_map(Policy, cbor.decode_map(parts.payload))
    by_recovery = parts.key_id in memory.recovery_keys
    floor = memory.floor_ms if policy.time_floor_ms is None else policy.time_floor_ms
    issuers = memory.issuers
    if policy.next_issuer_keys is not None:
        issuers = (*issuers[-len(ORDER_PURPOSES) :], *policy.next_issuer_keys)
    return dataclasses.replace(
        memory,
        epoch=max(memory.epoch, policy.epoch),
        policy_epoch=policy.epoch,
        policy_digest=hashlib.sha256(signed_policy).digest(),
        suspended=policy.suspended,
        floor_ms=floor if by_recovery else max(memory.floor_ms, floor),
        issuers=issuers,
    )


def _used(memory: Memory, *, counted: int) -> Memory:
    return dataclasses.replace(memory, intent=None, counted=counted, strokes_used=memory.strokes_used + 1)


def _with(photos: tuple[bytes, ...], *digests: bytes) -> tuple[bytes, ...]:
    return (*photos, *(digest for digest in digests if digest not in photos))
