"""What an authenticator says of a passkey it has just made (WebAuthn level 2, section 6.5.2), read by its one layout.

No attestation is asked for, so nothing here proves anything: its owner confirms the passkey at headquarters.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from server.identity.errors import PasskeyUnreadable

_FLAGS_AT: Final = 32
_LENGTH_AT: Final = 53
"""After SHA-256 of the relying party id, flags, counter (4) and the authenticator's model (16)."""
_ID_AT: Final = 55
MOST_ID: Final = 255
_KEY_HEAD: Final = bytes.fromhex("a5010203262001215820")
"""COSE_Key in CTAP2's canonical CBOR: EC2, ES256, P-256, then x with 32 bytes."""
_KEY_MIDDLE: Final = bytes.fromhex("225820")
_COORDINATE: Final = 32
_PRESENT_VERIFIED_MADE: Final = 0x45
_EXTENSIONS: Final = 0x80
"""Set where the browser asked for credProtect by itself: a map follows the key, and nothing here depends on it."""
_KEY_SIZE: Final = 77


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    credential_id: bytes
    public_key: bytes  # 33 bytes: P-256, SEC 1 compressed


def read(authenticator_data: bytes, *, rp_id: str) -> Made:
    """Raises: PasskeyUnreadable, for another relying party or algorithm, an unverified person, anything left over."""
    data = authenticator_data
    flags = data[_FLAGS_AT] if len(data) > _ID_AT else 0
    if data[:_FLAGS_AT] != hashlib.sha256(rp_id.encode()).digest():
        raise PasskeyUnreadable
    if flags & _PRESENT_VERIFIED_MADE != _PRESENT_VERIFIED_MADE:
        raise PasskeyUnreadable
    key_at = _ID_AT + int.from_bytes(data[_LENGTH_AT:_ID_AT], "big")
    end = key_at + _KEY_SIZE
    credential_id, cose_key, more = data[_ID_AT:key_at], data[key_at:end], data[end:]
    if not 1 <= key_at - _ID_AT <= MOST_ID or bool(more) != bool(flags & _EXTENSIONS):
        raise PasskeyUnreadable
    return Made(credential_id=credential_id, public_key=_compressed(cose_key))


def _compressed(cose_key: bytes) -> bytes:
    x_at = len(_KEY_HEAD)
    y_at = x_at + _COORDINATE + len(_KEY_MIDDLE)
    x, middle, y = cose_key[x_at : x_at + _COORDINATE], cose_key[x_at + _COORDINATE : y_at], cose_key[y_at:]
    if not cose_key.startswith(_KEY_HEAD) or middle != _KEY_MIDDLE or len(y) != _COORDINATE:
        raise PasskeyUnreadable
    try:
        point = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), b"\x04" + x + y)
    except ValueError as error:
        raise PasskeyUnreadable from error
    return point.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
