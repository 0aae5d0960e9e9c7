"""A passkey at the device: what the roster holds of it, and whether what an authenticator signed lets its owner in.

WebAuthn level 2 section 7.2, as far as a device needs it. The challenge is made of the device's own fresh nonce, so a
gateway cannot record one sign-in and play it again. It sees no secret at all: a key's private half never leaves its
authenticator.
"""

import hashlib
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

from firmware_protocol.errors import BadSignature, Malformed, WrongNonce, WrongOperator

METHOD: Final = 3
"""In OPERATOR events, beside the methods of `operators.Method`."""
CREDENTIAL_SIZE: Final = 8
PUBLIC_KEY_SIZE: Final = 33
_OPERATOR_SIZE: Final = 4
_HASH_SIZE: Final = 32
ENTRY_SIZE: Final = _OPERATOR_SIZE + CREDENTIAL_SIZE + PUBLIC_KEY_SIZE + _HASH_SIZE
AUTHENTICATOR_DATA_SIZE: Final = 37
"""rpIdHash (32), flags (1), sign counter (4): nothing else, as no extension is asked for."""
MAX_CLIENT_DATA: Final = 376
"""With the longest client data the request has 510 bytes. Browsers make some 130, or 250 with a reminder in it."""
SIGNATURE_SIZE: Final = 64
USER_PRESENT: Final = 0x01
USER_VERIFIED: Final = 0x04
_NOTHING_ELSE: Final = 0xC0
"""Attested credential data or extensions, which would make the data longer."""
_PURPOSE: Final = b"seal/1/passkey"
_MOST_MEMBERS: Final = 8
_MOST_LABELS: Final = 16
_MEMBER: Final = rb'"([!#-\[\]-~]{1,40})":("[ !#-\[\]-~]*"|true|false)'
_MEMBERS: Final = re.compile(_MEMBER)
_OBJECT: Final = re.compile(rb"\{" + _MEMBER + rb"(?:," + _MEMBER + rb")*\}")
_ORIGIN: Final = re.compile(r"(https?)://([a-z0-9-]+(?:\.[a-z0-9-]+)*)(?::[0-9]{1,5})?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Passkey:
    """One passkey of one person; 77 bytes in a roster."""

    operator: bytes  # 4 bytes, as in a token's `operator`
    credential: bytes  # 8 bytes: short_id of the credential id
    public_key: bytes  # 33 bytes: P-256, SEC 1 compressed
    rp_hash: bytes  # 32 bytes: SHA-256 of the relying party id, the host of the gateway's page

    def pack(self) -> bytes:
        return self.operator + self.credential + self.public_key + self.rp_hash

    @classmethod
    def unpack(cls, data: bytes) -> "Passkey":
        """Raises: Malformed, when the length or the key's point does not fit."""
        if len(data) != ENTRY_SIZE:
            raise Malformed(f"a passkey of a roster has {ENTRY_SIZE} bytes, not {len(data)}")
        key_at = _OPERATOR_SIZE + CREDENTIAL_SIZE
        hash_at = key_at + PUBLIC_KEY_SIZE
        _point(data[key_at:hash_at])
        return cls(
            operator=data[:_OPERATOR_SIZE],
            credential=data[_OPERATOR_SIZE:key_at],
            public_key=data[key_at:hash_at],
            rp_hash=data[hash_at:],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Assertion:
    """What an authenticator answered to navigator.credentials.get."""

    authenticator_data: bytes
    client_data: bytes
    signature: bytes  # r || s, 64 bytes


def short_id(credential_id: bytes) -> bytes:
    """The first 8 bytes of SHA-256 over a credential id, which may be long."""
    return hashlib.sha256(credential_id).digest()[:CREDENTIAL_SIZE]


def challenge(device_id: str, nonce: bytes) -> bytes:
    """32 bytes that the authenticator signs over; `nonce`: 16 bytes that this device has just made."""
    name = device_id.encode()
    return hashlib.sha256(_PURPOSE + bytes([len(name)]) + name + nonce).digest()


def check(assertion: Assertion, *, passkey: Passkey, challenge: bytes, count: int) -> int:
    """The authenticator's sign counter after this; `count` is the last one seen, 0 when there was none.

    Raises: Malformed, BadSignature, WrongNonce for another challenge, WrongOperator for what was signed otherwise.
    """
    data, client_data = assertion.authenticator_data, assertion.client_data
    if len(data) != AUTHENTICATOR_DATA_SIZE or len(assertion.signature) != SIGNATURE_SIZE:
        raise Malformed("authenticator data has 37 bytes and the signature 64")
    said = _members(client_data)
    _verify(passkey.public_key, assertion.signature, data + hashlib.sha256(client_data).digest())
    if said.get("challenge") != urlsafe_b64encode(challenge).rstrip(b"=").decode():
        raise WrongNonce("another challenge was signed")
    flags, counted = data[_HASH_SIZE], int.from_bytes(data[_HASH_SIZE + 1 :], "big")
    for wrong, why in (
        (said.get("type") != "webauthn.get", "this was not made to sign in"),
        (said.get("crossOrigin", False) is not False or "topOrigin" in said, "it was made inside another site's page"),
        (data[:_HASH_SIZE] != passkey.rp_hash, "for another relying party"),
        (not _belongs(str(said.get("origin")), passkey.rp_hash), "made on a page of another host"),
        (not flags & USER_PRESENT, "nobody touched the authenticator"),
        (not flags & USER_VERIFIED, "the authenticator did not check who touched it"),
        (bool(flags & _NOTHING_ELSE), "the flags announce more than there is"),
        ((counted or count) and counted <= count, "its counter went back: there may be a copy of it"),
    ):
        if wrong:
            raise WrongOperator(why)
    return counted


def _members(client_data: bytes) -> dict[str, str | bool]:
    """The flat JSON object of WebAuthn section 5.8.1 as browsers write it: no space, no escape, nothing nested.

    In any order and with members that nobody knows, as the standard asks for; never one twice. Raises: Malformed.
    """
    if len(client_data) > MAX_CLIENT_DATA or _OBJECT.fullmatch(client_data) is None:
        raise Malformed(f"client data is a flat JSON object of at most {MAX_CLIENT_DATA} bytes")
    found = _MEMBERS.findall(client_data)
    members = {name.decode(): value[1:-1].decode() if value[:1] == b'"' else value == b"true" for name, value in found}
    if len(members) != len(found) or len(found) > _MOST_MEMBERS:
        raise Malformed(f"client data names something twice, or more than {_MOST_MEMBERS} things")
    return members


def _belongs(origin: str, rp_hash: bytes) -> bool:
    """The host of the origin, or a domain above it, is the relying party id; HTTP only on this very machine."""
    parts = _ORIGIN.fullmatch(origin)
    if parts is None:
        return False
    labels = parts[2].split(".")
    if (parts[1] == "http" and labels[-1] != "localhost") or len(labels) > _MOST_LABELS:
        return False
    domains = (".".join(labels[at:]) for at in range(len(labels)))
    return any(hashlib.sha256(domain.encode()).digest() == rp_hash for domain in domains)


def _point(public_key: bytes) -> EllipticCurvePublicKey:
    """Raises: Malformed."""
    if len(public_key) != PUBLIC_KEY_SIZE:
        raise Malformed(f"a passkey's public key has {PUBLIC_KEY_SIZE} bytes")
    try:
        return EllipticCurvePublicKey.from_encoded_point(SECP256R1(), public_key)
    except ValueError as error:
        raise Malformed("a passkey's public key is no point of P-256") from error


def _verify(public_key: bytes, signature: bytes, data: bytes) -> None:
    """ES256 (RFC 7518 section 3.4). Raises: Malformed, BadSignature."""
    half = SIGNATURE_SIZE // 2
    first, second = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
    try:
        _point(public_key).verify(encode_dss_signature(first, second), data, ECDSA(SHA256()))
    except InvalidSignature as error:
        raise BadSignature("the passkey's signature does not verify") from error
