"""Whether a signed object may be obeyed, here and now. The order of the checks is the protocol's (design: D4):
length, structure, key id and algorithm, signature, and only then what it claims.

"No" is a value: every check answers what it read, or `No`.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from device_sim.core.memory import Memory
from firmware_protocol import orders
from firmware_protocol.errors import BadSignature, Malformed, ProtocolError, UnknownClaim, UnknownKey, WrongAlgorithm
from firmware_protocol.orders import Receipt, SignedTime
from firmware_protocol.purposes import Purpose
from firmware_protocol.reasons import Reason

NONCE_LIFE_MS: Final = 10_000
"""How old a boot nonce may be when the signed time comes back over it (design: D4)."""

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True, kw_only=True)
class No:
    """Why not. `token_id` only when the signature held, so that nobody can put ids into the journal."""

    reason: Reason
    detail: str
    token_id: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Nonce:
    """One challenge that is out."""

    value: bytes
    made_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """The device's own last photo of the page for the coming stroke."""

    stroke: int
    stroke_nonce: bytes
    photo_digest: bytes
    page_token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """Now, by the device's own timer, and by signed time if there was any in this boot."""

    now_ms: int
    unix_ms: int | None


ChainHash = Callable[[int], bytes | None]
"""The first 8 bytes of the chain hash of one of the device's own events; None when it cannot be told any more."""


def check_receipt(data: bytes, *, memory: Memory, device_id: str, chain_hash: ChainHash) -> Receipt | No:
    """A released device still takes the receipts of its old owner's ledger, so that nothing is lost."""
    receipt = read_signed(
        lambda: orders.verify(Receipt, data, keys=memory.order_keys(Purpose.RECEIPT)), memory, released=True
    )
    if isinstance(receipt, No):
        return receipt
    known = chain_hash(receipt.up_to_seq)
    no = first_no(
        (receipt.device_id != device_id, Reason.WRONG_DEVICE, "for another device"),
        (receipt.generation != memory.generation, Reason.WRONG_CHAIN, "for another key generation"),
        (receipt.up_to_seq > memory.seq, Reason.WRONG_CHAIN, "for an event that never was"),
        (known != receipt.chain_hash[:8], Reason.WRONG_CHAIN, "the chain hash is not this device's"),
    )
    return no or receipt


def check_time(data: bytes, *, memory: Memory, device_id: str, nonce: Nonce | None, now_ms: int) -> SignedTime | No:
    signed = read_signed(lambda: orders.verify(SignedTime, data, keys=memory.order_keys(Purpose.TIME)), memory)
    if isinstance(signed, No):
        return signed
    no = first_no(
        (signed.device_id != device_id, Reason.WRONG_DEVICE, "for another device"),
        (nonce is None or signed.boot_nonce != nonce.value, Reason.WRONG_NONCE, "not over the nonce that is out"),
        (nonce is None or now_ms - nonce.made_ms > NONCE_LIFE_MS, Reason.CLOCK_DOUBT, "it took too long"),
        (signed.unix_ms < memory.floor_ms, Reason.CLOCK_DOUBT, "earlier than what was signed before"),
    )
    return no or signed


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


_REASONS: Final[dict[type[ProtocolError], Reason]] = {
    Malformed: Reason.MALFORMED,
    UnknownClaim: Reason.UNKNOWN_CLAIM,
    WrongAlgorithm: Reason.WRONG_ALGORITHM,
    UnknownKey: Reason.UNKNOWN_KEY,
    BadSignature: Reason.BAD_SIGNATURE,
}


def read_signed(verify: Callable[[], Read], memory: Memory, *, released: bool = False) -> Read | No:
    """What is in a signed object, once its signature holds. `released`: also obeyed after the device was released."""
    if not memory.paired and not (released and memory.issuers):
        return No(reason=Reason.NOT_PAIRED, detail="this device belongs to nobody yet")
    try:
        return verify()
    except ProtocolError as error:
        return No(reason=_REASONS[type(error)], detail=str(error))


def first_no(*rules: tuple[bool, Reason, str]) -> No | None:
    """The first rule that is broken."""
    return next((No(reason=reason, detail=detail) for broken, reason, detail in rules if broken), None)
