"""Whether a signed object may be obeyed, here and now. The order of the checks is the protocol's (design: D4):
length, structure, key id and algorithm, signature, and only then what it claims.

"No" is a value: every check answers what it read, or `No`.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from device_sim.core.memory import NO_HEAD, Memory
from firmware_protocol import orders, tokens
from firmware_protocol.errors import BadSignature, Malformed, ProtocolError, UnknownClaim, UnknownKey, WrongAlgorithm
from firmware_protocol.orders import Permit, Policy, Receipt, SignedTime
from firmware_protocol.purposes import Purpose
from firmware_protocol.reasons import Reason
from firmware_protocol.tokens import MAX_LIFE_S, Token

NONCE_LIFE_MS: Final = 10_000
"""How old a boot nonce may be when the signed time comes back over it (design: D4)."""
CLOCK_SKEW_S: Final = 60
"""How far a token may begin in the future by the device's clock; only asked when signed time is known."""

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


def authentic_token(data: bytes, memory: Memory) -> Token | No:
    """The claims, once the signature holds; nothing about here and now."""
    return _read(lambda: tokens.verify(data, keys=memory.order_keys(Purpose.TOKEN)), memory)


def check_token(token: Token, *, memory: Memory, device_id: str, nonce: Nonce | None, moment: Moment) -> No | None:
    """Why the claims of an authentic token do not hold here and now; None when they do."""
    seal = token.seal
    no = _first_no(
        (token.device_id != device_id, Reason.WRONG_DEVICE, "made for another device"),
        (nonce is None or token.nonce != nonce.value, Reason.WRONG_NONCE, "not for the challenge that is out"),
        (_life_s(token) > MAX_LIFE_S, Reason.MALFORMED, f"lives longer than {MAX_LIFE_S} s"),
        (
            nonce is None or _age_s(nonce, moment) > (token.exi_s or 0),
            Reason.EXPIRED,
            "too long after its challenge",
        ),
        (token.expires_at * 1000 <= max(memory.floor_ms, moment.unix_ms or 0), Reason.EXPIRED, "expired"),
        (
            moment.unix_ms is not None and token.not_before * 1000 > moment.unix_ms + CLOCK_SKEW_S * 1000,
            Reason.NOT_YET_VALID,
            "not valid yet",
        ),
        (seal.epoch < memory.epoch, Reason.OLD_EPOCH, f"epoch {seal.epoch}, this device is at {memory.epoch}"),
        (token.token_id in memory.spent, Reason.REPLAYED, "used before"),
        (seal.slot >= len(memory.heads), Reason.WRONG_HEAD, f"there is no slot {seal.slot}"),
        (_head(memory, seal.slot) != seal.head_id, Reason.WRONG_HEAD, "another head is in that slot"),
        (bool(seal.mode), Reason.NOT_SUPPORTED, "this device has no such mode"),
        (seal.max_strokes == 0, Reason.MALFORMED, "no stroke in it"),
    )
    return _with_token(no, token.token_id)


def check_permit(
    data: bytes, *, memory: Memory, device_id: str, capture: Capture | None, page_token: int | None
) -> Permit | No:
    """`page_token`: the tray's now, None when it is empty."""
    permit = _read(lambda: orders.verify(Permit, data, keys=memory.order_keys(Purpose.PERMIT)), memory)
    if isinstance(permit, No):
        return permit
    if permit.device_id != device_id:
        return No(reason=Reason.WRONG_DEVICE, detail="made for another device")
    token = memory.open_token()
    if token is None or token.token_id != permit.token_id:
        return No(reason=Reason.NO_GRANT, detail="no grant is open for it", token_id=permit.token_id)
    page_digest = orders.page_digest(token.seal.document_digest, permit.page)
    no = _first_no(
        (permit.stroke != memory.strokes_used + 1, Reason.WRONG_STROKE, f"the next is {memory.strokes_used + 1}"),
        (memory.strokes_used >= token.seal.max_strokes, Reason.STROKES_USED_UP, "all strokes are used"),
        (capture is None or permit.stroke_nonce != capture.stroke_nonce, Reason.WRONG_NONCE, "not for the last photo"),
        (capture is None or permit.photo_digest != capture.photo_digest, Reason.WRONG_PHOTO, "for another photo"),
        (permit.page_digest != page_digest, Reason.WRONG_PHOTO, "for a page of another document"),
        (page_token is None, Reason.NO_PAGE, "no page on the tray"),
        (capture is None or page_token != capture.page_token, Reason.PAGE_MOVED, "the page moved after the photo"),
    )
    return _with_token(no, permit.token_id) or permit


def check_receipt(data: bytes, *, memory: Memory, device_id: str) -> Receipt | No:
    receipt = _read(lambda: orders.verify(Receipt, data, keys=memory.order_keys(Purpose.RECEIPT)), memory)
    if isinstance(receipt, No):
        return receipt
    known = memory.hash_at(receipt.up_to_seq)
    no = _first_no(
        (receipt.device_id != device_id, Reason.WRONG_DEVICE, "for another device"),
        (receipt.generation != memory.generation, Reason.WRONG_CHAIN, "for another key generation"),
        (receipt.up_to_seq > memory.seq, Reason.WRONG_CHAIN, "for an event that never was"),
        (known != receipt.chain_hash[:8], Reason.WRONG_CHAIN, "the chain hash is not this device's"),
    )
    return no or receipt


def check_policy(data: bytes, *, memory: Memory, device_id: str) -> Policy | No:
    """The recovery key may order what the issuer may not: a new issuer, an earlier time floor."""
    issuer = memory.order_keys(Purpose.POLICY)
    policy = _read(lambda: orders.verify(Policy, data, keys=issuer | memory.recovery_keys), memory)
    if isinstance(policy, No):
        return policy
    by_issuer = not isinstance(_read(lambda: orders.verify(Policy, data, keys=issuer), memory), No)
    lowers = policy.time_floor_ms is not None and policy.time_floor_ms < memory.floor_ms
    reserved = lowers or policy.next_issuer_keys is not None
    no = _first_no(
        (policy.device_id != device_id, Reason.WRONG_DEVICE, "for another device"),
        (by_issuer and reserved, Reason.UNKNOWN_KEY, "only the recovery key may order that"),
        (
            policy.epoch <= memory.policy_epoch or policy.epoch < memory.epoch,
            Reason.OLD_EPOCH,
            f"epoch {policy.epoch}, this device is at {memory.epoch}",
        ),
    )
    return no or policy


def check_time(data: bytes, *, memory: Memory, device_id: str, nonce: Nonce | None, now_ms: int) -> SignedTime | No:
    signed = _read(lambda: orders.verify(SignedTime, data, keys=memory.order_keys(Purpose.TIME)), memory)
    if isinstance(signed, No):
        return signed
    no = _first_no(
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


def _read(verify: Callable[[], Read], memory: Memory) -> Read | No:
    if not memory.paired:
        return No(reason=Reason.NOT_PAIRED, detail="this device belongs to nobody yet")
    try:
        return verify()
    except ProtocolError as error:
        return No(reason=_REASONS[type(error)], detail=str(error))


def _first_no(*rules: tuple[bool, Reason, str]) -> No | None:
    """The first rule that is broken."""
    return next((No(reason=reason, detail=detail) for broken, reason, detail in rules if broken), None)


def _with_token(no: No | None, token_id: bytes) -> No | None:
    return None if no is None else No(reason=no.reason, detail=no.detail, token_id=token_id)


def _life_s(token: Token) -> int:
    return (token.exi_s or 0) + token.seal.window_s


def _age_s(nonce: Nonce, moment: Moment) -> float:
    return (moment.now_ms - nonce.made_ms) / 1000


def _head(memory: Memory, slot: int) -> bytes | None:
    """The head in that slot, None when the slot is empty or not there."""
    head = memory.heads[slot] if slot < len(memory.heads) else NO_HEAD
    return None if head == NO_HEAD else head
