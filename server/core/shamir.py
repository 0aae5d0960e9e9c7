"""Shamir's secret sharing over GF(256), byte by byte (Shamir 1979; field polynomial x^8+x^4+x^3+x+1 as in AES).

k shares give the secret; k-1 say nothing about it. Each share ends with a check, so that a typing error is found.
"""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from server.core.rng import Rng

_CHECK_SIZE: Final = 4
_MAX_SHARES: Final = 16


class SharesBroken(Exception):
    """A share is mistyped, or the shares do not belong together, or there are too few."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    threshold: int
    number: int  # x coordinate, from 1
    set_id: bytes  # 4 bytes, the same in all shares of one secret
    data: bytes

    def text(self) -> str:
        """For paper: base32 in groups of four."""
        body = bytes([self.threshold, self.number]) + self.set_id + self.data
        code = base64.b32encode(body + _check(body)).decode().rstrip("=")
        return " ".join(code[i : i + 4] for i in range(0, len(code), 4))

    @classmethod
    def parse(cls, text: str) -> "Share":
        """Raises: SharesBroken."""
        code = "".join(text.split()).replace("-", "").upper()
        try:
            raw = base64.b32decode(code + "=" * (-len(code) % 8))
        except ValueError as error:
            raise SharesBroken("a share has letters A-Z and digits 2-7") from error
        body, check = raw[:-_CHECK_SIZE], raw[-_CHECK_SIZE:]
        if len(body) < 7 or _check(body) != check or body[1] == 0:
            raise SharesBroken("this share is mistyped")
        return cls(threshold=body[0], number=body[1], set_id=body[2:6], data=body[6:])


def split(secret: bytes, *, threshold: int, shares: int, rng: Rng) -> list[Share]:
    """`shares` pieces of which any `threshold` give the secret.

    Raises: ValueError, unless 1 <= threshold <= shares <= 16.
    """
    if not 1 <= threshold <= shares <= _MAX_SHARES:
        raise ValueError("threshold and shares do not fit")
    set_id = rng.token_bytes(4)
    coefficients = [rng.token_bytes(len(secret)) for _power in range(threshold - 1)]
    pieces = []
    for x in range(1, shares + 1):
        data = bytearray(secret)
        factor = 1
        for coefficient in coefficients:
            factor = _multiply(factor, x)
            for i, byte in enumerate(coefficient):
                data[i] ^= _multiply(byte, factor)
        pieces.append(Share(threshold=threshold, number=x, set_id=set_id, data=bytes(data)))
    return pieces


def combine(shares: Sequence[Share]) -> bytes:
    """The secret, by Lagrange interpolation at 0.

    Raises: SharesBroken.
    """
    unique = {share.number: share for share in shares}
    if len({(share.set_id, share.threshold, len(share.data)) for share in shares}) != 1:
        raise SharesBroken("these shares do not belong together")
    if len(unique) < shares[0].threshold:
        raise SharesBroken(f"{shares[0].threshold} different shares are needed")
    chosen = list(unique.values())[: shares[0].threshold]
    secret = bytearray(len(chosen[0].data))
    for share in chosen:
        weight = 1
        for other in chosen:
            if other is not share:
                weight = _multiply(weight, _multiply(other.number, _inverse(other.number ^ share.number)))
        for i, byte in enumerate(share.data):
            secret[i] ^= _multiply(byte, weight)
    return bytes(secret)


def _check(body: bytes) -> bytes:
    return hashlib.sha256(b"cinnabar share" + body).digest()[:_CHECK_SIZE]


def _multiply(a: int, b: int) -> int:
    product = 0
    while b:
        if b & 1:
            product ^= a
        a = (a << 1) ^ (0x11B if a & 0x80 else 0)
        b >>= 1
    return product


def _inverse(a: int) -> int:
    """a^254, since a^255 is 1 for every a but 0."""
    result = 1
    for _power in range(254):
        result = _multiply(result, a)
    return result
