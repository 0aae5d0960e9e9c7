"""What the ledger takes as a signature, OpenSSL takes too: else fsck and an auditor would find what the ledger let in.

The hard cases are made here by adding points by hand: keys and nonces with a part of small order, second encodings of
the same number, a nonce of nought.
"""

import hashlib
import random
from itertools import product
from typing import TypeAlias

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from server.ledger import ed25519

Point: TypeAlias = tuple[int, int]

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
BASE = (15112221349535400772501151409588531511454012693041857206046113283949847762202, 4 * pow(5, -1, P) % P)
ZERO = (0, 1)
MESSAGE = b"one use of one seal"


def plus(one: Point, other: Point) -> Point:
    (x1, y1), (x2, y2) = one, other
    part = D * x1 * x2 * y1 * y2
    return (x1 * y2 + x2 * y1) * pow(1 + part, -1, P) % P, (y1 * y2 + x1 * x2) * pow(1 - part, -1, P) % P


def times(number: int, point: Point) -> Point:
    result = ZERO
    while number:
        if number & 1:
            result = plus(result, point)
        point, number = plus(point, point), number >> 1
    return result


def packed(point: Point, *, more: int = 0) -> bytes:
    """`more`: added to y, for a second encoding of the same point."""
    return (point[1] + more + ((point[0] & 1) << 255)).to_bytes(32, "little")


def of_small_order() -> Point:
    """A point of order 8: what is left of any point when its part of large order is multiplied away."""
    for y in range(2, 1000):
        square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
        root = pow(square, (P + 3) // 8, P)
        root = root if root * root % P == square else root * pow(2, (P - 1) // 4, P) % P
        point = times(L, (root, y))
        if root * root % P == square and times(4, point) != ZERO:
            return point
    raise AssertionError("every second number is on the curve")


TORSION = [times(number, of_small_order()) for number in range(8)]


def openssl_takes(key: bytes, signature: bytes, message: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def signed(secret: int, nonce: int, *, key_part: Point = ZERO, nonce_part: Point = ZERO) -> tuple[bytes, bytes]:
    """(key, signature) by the book, but for the parts of small order that are added."""
    key = packed(plus(times(secret, BASE), key_part))
    point = packed(plus(times(nonce, BASE), nonce_part))
    digest = int.from_bytes(hashlib.sha512(point + key + MESSAGE).digest(), "little") % L
    return key, point + ((nonce + digest * secret) % L).to_bytes(32, "little")


def test_what_keys_make_holds_and_no_changed_bit_does(rng: random.Random) -> None:
    for _ in range(50):
        private = Ed25519PrivateKey.from_private_bytes(rng.randbytes(32))
        key, message = private.public_key().public_bytes_raw(), rng.randbytes(rng.randrange(600))
        signature = private.sign(message)
        assert ed25519.holds(key, signature, message)
        other = bytearray(key + signature + message)
        place = rng.randrange(len(other) * 8)
        other[place // 8] ^= 1 << place % 8
        changed = bytes(other)
        assert not ed25519.holds(changed[:32], changed[32:96], changed[96:])


def test_bytes_of_any_length_are_an_answer(rng: random.Random) -> None:
    key, signature = signed(5, 7)
    for short in (b"", bytes(31), bytes(32), b"\xff" * 32, key[:31], key + b"\0"):
        assert not ed25519.holds(short, signature, MESSAGE)
    for short in (b"", signature[:63], signature + b"\0", bytes(64), b"\xff" * 64):
        assert not ed25519.holds(key, short, MESSAGE)


def test_the_ledger_takes_nothing_that_openssl_refuses(rng: random.Random) -> None:
    """Parts of small order in the key, in the nonce, in both: where cofactored checks would say yes."""
    taken = 0
    for key_part, nonce_part in product(TORSION, TORSION):
        for _ in range(3):
            key, signature = signed(rng.randrange(1, L), rng.randrange(1, L), key_part=key_part, nonce_part=nonce_part)
            holds = ed25519.holds(key, signature, MESSAGE)
            assert not holds or openssl_takes(key, signature, MESSAGE)
            assert holds == (key_part == nonce_part == ZERO)
            taken += holds
    assert taken == 3


def test_a_second_writing_of_the_same_signature_is_refused(rng: random.Random) -> None:
    """Otherwise anyone could make of one stored event another with the same content."""
    key, signature = signed(rng.randrange(1, L), rng.randrange(1, L))
    assert ed25519.holds(key, signature, MESSAGE)
    number = int.from_bytes(signature[32:], "little")
    for again in range(1, 15):
        assert not ed25519.holds(key, signature[:32] + (number + again * L).to_bytes(32, "little"), MESSAGE)


@pytest.mark.parametrize("more", [0, P])
def test_keys_and_nonces_of_small_order_are_refused(more: int) -> None:
    """With such a key one signature fits many messages; OpenSSL takes some of these, the ledger none."""
    points = [packed(point, more=more) for point in TORSION if point[1] + more < 2**255]
    assert points
    zero = bytes(32)
    for key, nonce in product(points, points):
        assert not ed25519.holds(key, nonce + zero, MESSAGE)
    own, _ = signed(5, 7)
    for nonce in points:
        digest = int.from_bytes(hashlib.sha512(nonce + own + MESSAGE).digest(), "little") % L
        assert not ed25519.holds(own, nonce + (digest * 5 % L).to_bytes(32, "little"), MESSAGE)


def test_openssl_would_take_a_nonce_of_nought() -> None:
    """The one difference that is left: it needs the private key, and gives it away."""
    key, signature = signed(random.Random(1).randrange(1, L), 0)
    assert openssl_takes(key, signature, MESSAGE)
    assert not ed25519.holds(key, signature, MESSAGE)
