"""Who stands at the device: a PIN or badge becomes a proof, the roster holds what the device compares it with.

The gateway derives the proof, because a device has neither the memory nor the time for scrypt; the device keeps only
SHA-256 of it. So the roster, which a gateway sees, opens nothing: whoever has it still has to guess through scrypt.
"""

import hashlib
import hmac
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from firmware_protocol.errors import Malformed

SALT_SIZE: Final = 8
VERIFIER_SIZE: Final = 16
_OPERATOR_SIZE: Final = 4
ENTRY_SIZE: Final = _OPERATOR_SIZE + 1 + SALT_SIZE + VERIFIER_SIZE
_COST: Final = 2**14
"""scrypt N with r = 8, p = 1 (RFC 7914): 16 MiB and some 50 ms a guess on a gateway."""


class Method(IntEnum):
    """How a person identifies himself."""

    PIN = 1
    BADGE = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One way of one person; 29 bytes in a roster."""

    operator: bytes  # 4 bytes, as in a token's `operator`
    method: Method
    salt: bytes  # 8 bytes
    verifier: bytes  # 16 bytes

    def pack(self) -> bytes:
        return self.operator + bytes([self.method]) + self.salt + self.verifier

    @classmethod
    def unpack(cls, data: bytes) -> "Entry":
        """Raises: Malformed."""
        if len(data) != ENTRY_SIZE:
            raise Malformed(f"a roster entry has {ENTRY_SIZE} bytes, not {len(data)}")
        try:
            method = Method(data[_OPERATOR_SIZE])
        except ValueError as error:
            raise Malformed(f"method {data[_OPERATOR_SIZE]} is not defined") from error
        salt_at = _OPERATOR_SIZE + 1
        verifier_at = salt_at + SALT_SIZE
        return cls(
            operator=data[:_OPERATOR_SIZE], method=method, salt=data[salt_at:verifier_at], verifier=data[verifier_at:]
        )

    def fits(self, proof: bytes) -> bool:
        """Compared in constant time."""
        return hmac.compare_digest(self.verifier, verifier(proof))


def proof(secret: str, *, salt: bytes) -> bytes:
    """32 bytes: scrypt over the PIN's or badge's UTF-8."""
    return hashlib.scrypt(secret.encode(), salt=salt, n=_COST, r=8, p=1, dklen=32)


def verifier(proof: bytes) -> bytes:
    """What the roster holds."""
    return hashlib.sha256(proof).digest()[:VERIFIER_SIZE]


def entry(*, operator: bytes, method: Method, secret: str, salt: bytes) -> Entry:
    """For the server, where a person's PIN or badge is known for a moment."""
    return Entry(operator=operator, method=method, salt=salt, verifier=verifier(proof(secret, salt=salt)))
