"""What the server signs for a device besides the token: permit, receipt, time, policy, roster; the terms of pairing."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeVar

from firmware_protocol import cbor, cose
from firmware_protocol.cose import SigningKey
from firmware_protocol.errors import Malformed
from firmware_protocol.labelled import from_map, label, to_map
from firmware_protocol.purposes import Purpose

MAX_RECEIPT_PHOTOS: Final = 8
MAX_ROSTER_ENTRIES: Final = 12
"""People in one part of a roster, so that the part fits one message."""
MAX_ROSTER_PASSKEYS: Final = 4
"""The same for passkeys; a part of a roster with passkeys has no other entries."""
MAX_ROSTER: Final = 480
"""Longest signed part of a roster, as in RosterRequest."""
FAN: Final = 0
"""Permit.page of a straddle stroke: the stamp goes over the edges of all pages."""

ORDER_PURPOSES: Final = (Purpose.TOKEN, Purpose.PERMIT, Purpose.RECEIPT, Purpose.TIME, Purpose.POLICY)
"""What a device obeys, each signed by a key of its own; the order of Terms.issuer_keys."""


class ServiceKind(IntEnum):
    """What a policy may order once, authorised by two persons."""

    CLEAR_TAMPER = 1
    RELEASE = 2
    """Unpair; sequence number, counter and chain stay, the next pairing is the next generation."""
    CHANGE_HEAD = 3
    REFILL_INK = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Permit:
    """One stroke, on one page, seen in one photo (design: D4)."""

    device_id: str = label(1, most=12)
    token_id: bytes = label(2, size=16)
    stroke: int = label(3)  # counts from 1 within the token
    page: int = label(4)  # counts from 1 within the document
    page_digest: bytes = label(5, size=32)  # SHA-256 of the approved page's canonical form
    photo_digest: bytes = label(6, size=32)  # SHA-256 of the device's own last before-photo
    stroke_nonce: bytes = label(7, size=16)
    cover_digest: bytes | None = label(8, size=32, optional=True)  # straddle: photo of the cover, seen in this grant


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """The ledger holds this device's events up to `up_to_seq` without a gap, and the named photos."""

    device_id: str = label(1, most=12)
    generation: int = label(2)
    up_to_seq: int = label(3)
    chain_hash: bytes = label(4, size=32)  # SHA-256 of the signed event `up_to_seq`
    photo_digests: tuple[bytes, ...] = label(5, size=32, most=MAX_RECEIPT_PHOTOS)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedTime:
    """Server time; counts only while `boot_nonce` is the device's own of this boot and fresh (10 s)."""

    device_id: str = label(1, most=12)
    boot_nonce: bytes = label(2, size=16)
    unix_ms: int = label(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Standing orders. `epoch` only rises, so an order cannot be replayed; every token of an older epoch dies.

    A service is obeyed once, when two different operators authorised it.
    """

    device_id: str = label(1, most=12)
    epoch: int = label(2)
    suspended: bool = label(3)
    max_offline_strokes: int | None = label(4, optional=True)
    time_floor_ms: int | None = label(5, optional=True)
    next_issuer_keys: tuple[bytes, ...] | None = label(6, size=32, most=5, optional=True)  # by the recovery key alone
    sweep_required: bool | None = label(7, optional=True)
    service: ServiceKind | None = label(8, optional=True)
    slot: int | None = label(9, optional=True)
    head_id: bytes | None = label(10, size=8, optional=True)  # the head that belongs into `slot` afterwards
    authorised_by: tuple[bytes, ...] | None = label(11, size=4, most=4, optional=True)  # operator ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Roster:
    """One part of the list of people who may identify themselves at this device, signed by the policy key.

    The first part of a higher number removes all entries of lower numbers.
    """

    device_id: str = label(1, most=12)
    number: int = label(2)  # rises
    part: int = label(3)  # from 0
    parts: int = label(4)
    entries: tuple[bytes, ...] = label(5, size=29, most=MAX_ROSTER_ENTRIES)  # operators.Entry
    passkeys: tuple[bytes, ...] | None = label(6, size=77, most=MAX_ROSTER_PASSKEYS, optional=True)  # passkeys.Passkey


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a device accepts when it is paired: who may order it. Signed by nobody: a person compares six digits."""

    installation_id: bytes = label(1, size=16)
    issuer_keys: tuple[bytes, ...] = label(2, size=32, most=5)  # one per purpose, in the order of ORDER_PURPOSES
    recovery_key: bytes = label(3, size=32)
    root_key: bytes = label(4, size=32)
    server_nonce: bytes = label(5, size=16)
    trace_host: str = label(6, most=64)  # HOST[:PORT] of the public page, goes into printed codes

    def __post_init__(self) -> None:
        if len(self.issuer_keys) != len(ORDER_PURPOSES):
            raise Malformed(f"terms name {len(ORDER_PURPOSES)} issuer keys, one per purpose")


Order = TypeVar("Order", Permit, Receipt, SignedTime, Policy, Roster)

PURPOSE_OF: Final[dict[type, Purpose]] = {
    Permit: Purpose.PERMIT,
    Receipt: Purpose.RECEIPT,
    SignedTime: Purpose.TIME,
    Policy: Purpose.POLICY,
    Roster: Purpose.ROSTER,
}


def sign(order: Permit | Receipt | SignedTime | Policy | Roster, *, key: SigningKey) -> bytes:
    """Raises: Malformed, when a roster part would not fit one message."""
    signed = cose.sign1(cbor.encode_in_order(to_map(order)), key=key, purpose=PURPOSE_OF[type(order)])
    if isinstance(order, Roster) and len(signed) > MAX_ROSTER:
        raise Malformed(f"roster part has {len(signed)} bytes, at most {MAX_ROSTER}")
    return signed


def verify(cls: type[Order], data: bytes, *, keys: Mapping[bytes, bytes]) -> Order:
    """Raises: Malformed, UnknownClaim, WrongAlgorithm, UnknownKey, BadSignature."""
    return from_map(cls, cbor.decode_map(cose.verify1(data, keys=keys, purpose=PURPOSE_OF[cls])))


def page_digest(document_digest: bytes, page: int) -> bytes:
    """What a permit names for page `page` (from 1): SHA-256 over a prefix, the document's SHA-256 and the number.

    Bytes, not pixels: two renderers never agree on pixels, and the document digest already fixes the content.
    """
    return hashlib.sha256(b"seal/1/page" + document_digest + page.to_bytes(4, "big")).digest()
