"""Whether an Ed25519 signature holds: RFC 8032 section 5.1.7 without the cofactor, one signature at a time.

Nearly half of the ledger's work on an event is this. The library is another one than `firmware_protocol.cose` uses,
with which fsck and everyone else's tools check the stored bytes: two that know nothing of each other must agree on each
entry. They do, because a key counts only as a point of the prime-order group. There they differ only on a signature
whose nonce is known to be nought, and strict verification refuses that one.
"""

from binascii import b2a_base64
from functools import lru_cache
from typing import Final

from nacl.bindings import crypto_core_ed25519_is_valid_point
from vodozemac import Ed25519PublicKey, Ed25519Signature

_KEY_SIZE: Final = 32
_SIZE: Final = 64
_KEYS: Final = 20_000
"""Keys kept unpacked, as one batch after another meets the same devices."""


def holds(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the private half of `public_key` (32 bytes) signed exactly `message`; False for other lengths."""
    if len(signature) != _SIZE:
        return False
    key = _unpacked(public_key)
    if key is None:
        return False
    try:
        text = b2a_base64(signature, newline=False)[:-2]  # without padding; the library takes no raw bytes
        key.verify_signature(message, Ed25519Signature.from_base64(text.decode()))
    except ValueError:
        return False
    return True


@lru_cache(maxsize=_KEYS)
def _unpacked(public_key: bytes) -> Ed25519PublicKey | None:
    """None for bytes that are no point, not its only encoding, or a point outside the group that keys are made in."""
    if len(public_key) != _KEY_SIZE or not crypto_core_ed25519_is_valid_point(public_key):
        return None
    return Ed25519PublicKey.from_base64(b2a_base64(public_key, newline=False)[:-1].decode())
