"""What the device remembers across power cuts: a fold over the records of its journal, and nothing else."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from device_sim.core.records import Kind, Record
from device_sim.core.work import Work
from firmware_protocol import cbor, cose, events, tokens
from firmware_protocol.labelled import label, to_map
from firmware_protocol.operators import Entry
from firmware_protocol.orders import ORDER_PURPOSES, ServiceKind, Terms
from firmware_protocol.passkeys import Passkey
from firmware_protocol.purposes import Purpose
from firmware_protocol.tokens import Token

SLOTS: Final = 2
NO_HEAD: Final = bytes(8)
SPENT_TOKENS: Final = 64
"""Token ids remembered against replay. The nonce already makes a token single-use; this is the second bolt."""
PAST_HASHES: Final = 128
"""Chain hashes (8 bytes each) kept after their events were deleted, so that a late receipt can still be checked."""
PAST_CODES: Final = 64
"""Trace codes remembered for labels that are stuck on later."""
SIGN_COUNTS: Final = 64
"""Authenticators whose counter is remembered: those that were used last."""
COUNTER_SENSOR: Final = "counter"
"""SENSOR event: the mechanical counter shows less than it did; its new value counts from here on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenIntent:
    """A stroke that was allowed and not yet accounted for."""

    stroke: int = label(1)
    counter: int = label(2)  # before the press


@dataclass(frozen=True, slots=True, kw_only=True)
class PastCode:
    """The trace code of one stroke."""

    token_id: bytes = label(1, size=16)
    stroke: int = label(2)
    code: bytes = label(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenService:
    """A head change or a refill under way."""

    order_digest: bytes = label(1, size=32)
    kind: ServiceKind = label(2)
    slot: int = label(3)
    head: bytes = label(4, size=8)  # that belongs there at the end
    head_before: bytes = label(5, size=8)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignCount:
    """How far the counter of an authenticator was when its passkey was last used here."""

    credential: bytes = label(1, size=8)
    count: int = label(2)


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
    offline_strokes: int | None = label(22, optional=True)  # most in a voucher; None: none
    sweep_required: bool | None = label(23, optional=True)
    voucher_counter: int | None = label(24, optional=True)  # of the last voucher taken
    page: int | None = label(25, optional=True)  # that the open grant's first permit named
    captures: tuple[bytes, ...] | None = label(26, size=32, optional=True)  # photos of a straddle's grant
    swept: tuple[bytes, ...] | None = label(27, size=32, optional=True)  # photos of the open grant's sweep, by page
    sweep_done: bool | None = label(28, optional=True)
    operator: bytes | None = label(29, size=4, optional=True)  # signed in; a boot signs out
    roster_number: int | None = label(30, optional=True)
    roster_parts: tuple[int, ...] | None = label(31, optional=True)  # that arrived
    roster: tuple[bytes, ...] | None = label(32, size=29, optional=True)
    wrong_tries: int | None = label(33, optional=True)  # to sign in since somebody did
    codes: tuple[PastCode, ...] | None = label(34, optional=True)
    service: OpenService | None = label(35, optional=True)
    released_seq: int | None = label(36, optional=True)  # RESET; its receipt begins the next generation
    passkeys: tuple[bytes, ...] | None = label(37, size=77, optional=True)  # of the roster
    sign_counts: tuple[SignCount, ...] | None = label(38, optional=True)
    operator_method: int | None = label(39, optional=True)  # how who is signed in did it

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
        return None if self.token is None else _token_in(self.token)

    @property
    def work(self) -> Work | None:
        """What strokes may be made for: the open grant, or the sample of a service."""
        if self.service is not None:
            service = self.service
            return Work.sample(service.order_digest, slot=service.slot, head_id=service.head)
        return None if self.token is None else _work_for(self.token)

    @property
    def people(self) -> tuple[Entry, ...]:
        """Who may sign in here; they were checked before they were written."""
        return tuple(Entry.unpack(entry) for entry in self.roster or ())

    @property
    def asks_who(self) -> bool:
        """Somebody can sign in here, so a token is for a person, and needs that person."""
        return bool(self.roster or self.passkeys)

    @property
    def keys_of_people(self) -> tuple[Passkey, ...]:
        """Their passkeys, checked likewise."""
        return tuple(Passkey.unpack(passkey) for passkey in self.passkeys or ())

    def sign_count(self, credential: bytes) -> int:
        return next((seen.count for seen in self.sign_counts or () if seen.credential == credential), 0)

    def code_of(self, token_id: bytes, stroke: int) -> bytes | None:
        """The trace code of a stroke of the last PAST_CODES."""
        fits = (past.code for past in self.codes or () if (past.token_id, past.stroke) == (token_id, stroke))
        return next(fits, None)

    def hash_at(self, seq: int) -> bytes | None:
        """The first 8 bytes of the chain hash of event `seq`, None when it is too long ago or not there yet."""
        back = self.seq - seq
        return self.past[-1 - back] if 0 <= back < len(self.past) else None


@lru_cache(maxsize=8)
def _token_in(signed: bytes) -> Token:
    return tokens.read(cose.parse1(signed).payload)


@lru_cache(maxsize=8)
def _work_for(signed_token: bytes) -> Work:
    return Work.granted(_token_in(signed_token))


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
    return Record(kind=Kind.SNAPSHOT, body=cbor.encode_in_order(to_map(memory)))


def receipt_record(signed_receipt: bytes) -> Record:
    return Record(kind=Kind.RECEIPT, body=signed_receipt)


def roster_record(signed_roster: bytes) -> Record:
    return Record(kind=Kind.ROSTER, body=signed_roster)
