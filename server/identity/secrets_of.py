"""Passwords, PINs and tokens: how they are hashed and compared."""

import base64
import hashlib
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from server.core.rng import Rng

_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1, type=Type.ID)
"""OWASP Password Storage Cheat Sheet: Argon2id with 19 MiB, 2 passes, 1 lane."""

TOKEN_BYTES: Final = 32
_DECOY: Final = _HASHER.hash("nobody has this password", salt=b"a decoy, no more")
"""Checked for a name that does not exist, so that the answer takes as long as for one that does."""


def hash_secret(secret: str, rng: Rng) -> str:
    """Argon2id as a PHC string."""
    return _HASHER.hash(secret, salt=rng.token_bytes(16))


def matches(hashed: str | None, secret: str) -> bool:
    """Whether `secret` is the one; takes as long when there is no hash."""
    try:
        return _HASHER.verify(hashed or _DECOY, secret) and hashed is not None
    except (VerificationError, InvalidHashError):
        return False


def new_token(rng: Rng) -> str:
    """256 random bits for a cookie, a link or a gateway; only their hash is stored."""
    return base64.urlsafe_b64encode(rng.token_bytes(TOKEN_BYTES)).decode().rstrip("=")


def token_hash(token: str) -> bytes:
    """SHA-256; a token has 256 bits of its own, so it needs no salt and no slow hash."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
