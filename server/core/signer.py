"""Keys and signatures: one Ed25519 key per purpose, kept as encrypted PKCS#8, used only through `Signer`.

A `Signer` is all the rest of the server knows; another custody (PKCS#11, KMS) is another `KeyStore`.
"""

from typing import Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from nacl.bindings import crypto_sign, crypto_sign_BYTES, crypto_sign_seed_keypair

from firmware_protocol import cose
from firmware_protocol.purposes import Purpose

__all__ = ["Ed25519Signer", "Purpose", "Signer"]


class Signer(Protocol):
    """Signs for exactly one purpose. Thread-safe."""

    @property
    def purpose(self) -> Purpose: ...

    @property
    def key_id(self) -> bytes:
        """8 bytes, as they stand in a COSE header: the start of the SHA-256 of the public key."""
        ...

    @property
    def public_key(self) -> bytes:
        """32 bytes, raw Ed25519."""
        ...

    def sign(self, data: bytes) -> bytes:
        """64 bytes, raw Ed25519 over exactly `data`; the caller puts the purpose in (COSE external_aad)."""
        ...


class Ed25519Signer:
    """A `Signer` over a private key in this process's memory; libsodium signs in two thirds of OpenSSL's time."""

    def __init__(self, purpose: Purpose, private_key: Ed25519PrivateKey) -> None:
        _, self._secret = crypto_sign_seed_keypair(private_key.private_bytes_raw())
        self._purpose = purpose
        self._public_key = private_key.public_key().public_bytes_raw()
        self._key_id = cose.key_id(self._public_key)

    @property
    def purpose(self) -> Purpose:
        return self._purpose

    @property
    def key_id(self) -> bytes:
        return self._key_id

    @property
    def public_key(self) -> bytes:
        return self._public_key

    def sign(self, data: bytes) -> bytes:
        signed: bytes = crypto_sign(data, self._secret)
        return signed[:crypto_sign_BYTES]
