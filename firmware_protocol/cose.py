"""COSE_Sign1 (RFC 9052 section 4.2) with Ed25519 (-19, RFC 9864).

The unprotected header is empty; the purpose is the external_aad.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from firmware_protocol import cbor
from firmware_protocol.errors import BadSignature, Malformed, UnknownKey, WrongAlgorithm
from firmware_protocol.purposes import Purpose

ED25519: Final = -19
"""COSE algorithm "Ed25519", RFC 9864 section 2.2; the polymorphic -8 is refused."""

KEY_ID_SIZE: Final = 4
"""Enough to pick a key, not to trust it; the server refuses to enrol a key whose id is taken."""

SIGNATURE_SIZE: Final = 64
_TAG_SIGN1: Final = b"\xd2"
_ALG: Final = 1
_KID: Final = 4
_HEAD: Final = bytes.fromhex("d28449a201320444")
"""Tag 18, array of 4, byte string of 9: the map {1: -19, 4: and then the key id's 4 bytes}."""
_AT_PROTECTED: Final = 3
_AT_UNPROTECTED: Final = 12
_AT_PAYLOAD: Final = 14


class SigningKey(Protocol):
    """One private Ed25519 key, wherever it is kept."""

    @property
    def public_key(self) -> bytes:
        """32 bytes, RFC 8032."""
        ...

    def sign(self, data: bytes) -> bytes:
        """64 bytes, RFC 8032."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign1:
    """A COSE_Sign1 taken apart; nothing in it is believed yet."""

    protected: bytes
    key_id: bytes
    payload: bytes
    signature: bytes


@lru_cache(maxsize=4096)
def key_id(public_key: bytes) -> bytes:
    """The first 4 bytes of SHA-256 over the 32-byte public key."""
    return hashlib.sha256(public_key).digest()[:KEY_ID_SIZE]


def sign1(payload: bytes, *, key: SigningKey, purpose: Purpose) -> bytes:
    head = _HEAD + key_id(key.public_key)
    signature = key.sign(_to_be_signed(head[_AT_PROTECTED:], payload, purpose))
    return head + b"\xa0" + cbor.byte_string(payload) + cbor.byte_string(signature)


def parse1(data: bytes) -> Sign1:
    """The parts of a COSE_Sign1, without trust.

    Raises: Malformed, WrongAlgorithm.
    """
    return _parse_exact(data) or _parse_to_say_why(data)


def _parse_exact(data: bytes) -> Sign1 | None:
    """The one deterministic encoding, taken apart by position; None for anything else."""
    if not data.startswith(_HEAD) or data[_AT_UNPROTECTED : _AT_UNPROTECTED + 1] != b"\xa0":
        return None
    at = _AT_PAYLOAD + {b"\x58": 1, b"\x59": 2}.get(data[_AT_PAYLOAD - 1 : _AT_PAYLOAD], 0)
    end = len(data) - SIGNATURE_SIZE - 2
    if end < at or data[end : end + 2] != b"\x58\x40":
        return None
    if data[_AT_PAYLOAD - 1 : end] != cbor.byte_string(data[at:end]):  # another length, or not the shortest way
        return None
    return Sign1(
        protected=data[_AT_PROTECTED:_AT_UNPROTECTED],
        key_id=data[len(_HEAD) : _AT_UNPROTECTED],
        payload=data[at:end],
        signature=data[end + 2 :],
    )


def _parse_to_say_why(data: bytes) -> Sign1:
    if data[:1] != _TAG_SIGN1:
        raise Malformed("not a tagged COSE_Sign1 (RFC 9052 section 2)")
    parts = cbor.decode(data[1:])
    match parts:
        case [bytes() as protected, dict() as unprotected, bytes() as payload, bytes() as signature]:
            pass
        case _:
            raise Malformed("a COSE_Sign1 has a protected header, an unprotected header, a payload and a signature")
    if unprotected:
        raise Malformed("the unprotected header must be empty")
    if len(signature) != SIGNATURE_SIZE:
        raise Malformed(f"an Ed25519 signature has {SIGNATURE_SIZE} bytes")
    header = cbor.decode_map(protected)
    if header.get(_ALG) != ED25519:
        raise WrongAlgorithm(f"algorithm {header.get(_ALG)!r} is not Ed25519 ({ED25519})")
    kid = header.get(_KID)
    if set(header) != {_ALG, _KID} or not isinstance(kid, bytes) or len(kid) != KEY_ID_SIZE:
        raise Malformed("the protected header must hold the algorithm and a 4-byte key id, nothing else")
    return Sign1(protected=protected, key_id=kid, payload=payload, signature=signature)


def to_be_signed(parts: Sign1, *, purpose: Purpose) -> bytes:
    """The Sig_structure of RFC 9052 section 4.4, for verifiers that bring their own Ed25519."""
    return _to_be_signed(parts.protected, parts.payload, purpose)


def verify1(data: bytes, *, keys: Mapping[bytes, bytes], purpose: Purpose) -> bytes:
    """The payload, once the signature holds. `keys` maps key id (4 bytes) to public key (32 bytes).

    Raises: Malformed, WrongAlgorithm, UnknownKey, BadSignature.
    """
    parts = parse1(data)
    public_key = keys.get(parts.key_id)
    if public_key is None:
        raise UnknownKey(parts.key_id)
    check_signature(parts, public_key=public_key, purpose=purpose)
    return parts.payload


def check_signature(parts: Sign1, *, public_key: bytes, purpose: Purpose) -> None:
    """Raises: BadSignature."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(parts.signature, to_be_signed(parts, purpose=purpose))
    except (InvalidSignature, ValueError) as error:
        raise BadSignature(f"signature does not verify for {purpose}") from error


def keyring(*public_keys: bytes) -> dict[bytes, bytes]:
    """Key id to public key, for verify1."""
    return {key_id(public_key): public_key for public_key in public_keys}


def _to_be_signed(protected: bytes, payload: bytes, purpose: Purpose) -> bytes:
    return b"\x84\x6aSignature1" + cbor.byte_string(protected) + _AAD[purpose] + cbor.byte_string(payload)


_AAD: Final = {purpose: cbor.byte_string(purpose.aad) for purpose in Purpose}
