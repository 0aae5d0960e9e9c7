"""The one source of randomness. Everything that needs random bytes takes an `Rng`."""

import hashlib
import secrets  # noqa: TID251 - this module is the one place that reads the real source
from typing import Protocol


class Rng(Protocol):
    def token_bytes(self, n: int) -> bytes:
        """`n` random bytes."""
        ...


class SystemRng:
    """The operating system's generator; the only one that may make keys and nonces in production."""

    def token_bytes(self, n: int) -> bytes:
        return secrets.token_bytes(n)


class SeededRng:
    """Repeatable bytes from a seed: SHA-256 in counter mode. For simulations and tests; never for keys that matter."""

    def __init__(self, seed: int) -> None:
        self._seed = seed.to_bytes(32, "big", signed=True)
        self._counter = 0

    def token_bytes(self, n: int) -> bytes:
        out = b""
        while len(out) < n:
            out += hashlib.sha256(self._seed + self._counter.to_bytes(8, "big")).digest()
            self._counter += 1
        return out[:n]
