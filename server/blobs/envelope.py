"""A file at rest: AES-256-GCM in chunks of 1 MiB under a key that is used for this one record.

Layout: b"CNB1", then the encrypted chunks. The nonce is the chunk's number (the key is never reused, so a counter is
safe), with a last-chunk flag as in the STREAM construction (Hoang et al. 2015): cutting, swapping or adding chunks is
noticed.
"""

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

MAGIC: Final = b"CNB1"
CHUNK_SIZE: Final = 1 << 20
"""Plain bytes per chunk; small enough to decrypt one at a time."""
_TAG_SIZE: Final = 16


class EnvelopeBroken(Exception):
    """The bytes are not what this key encrypted."""


def encrypt(plain: bytes, key: bytes) -> bytes:
    """`key` is 32 bytes and must be new."""
    cipher = AESGCM(key)
    starts = range(0, max(len(plain), 1), CHUNK_SIZE)
    view = memoryview(plain)
    out = bytearray(MAGIC)
    for number, start in enumerate(starts):
        last = start + CHUNK_SIZE >= len(plain)
        out += cipher.encrypt(_nonce(number, last=last), bytes(view[start : start + CHUNK_SIZE]), MAGIC)
    return bytes(out)


def decrypt(sealed: bytes, key: bytes) -> bytes:
    """Raises: EnvelopeBroken."""
    if sealed[: len(MAGIC)] != MAGIC:
        raise EnvelopeBroken("unknown format")
    cipher = AESGCM(key)
    body = memoryview(sealed)[len(MAGIC) :]
    step = CHUNK_SIZE + _TAG_SIZE
    out = bytearray()
    try:
        for number, start in enumerate(range(0, max(len(body), 1), step)):
            last = start + step >= len(body)
            out += cipher.decrypt(_nonce(number, last=last), bytes(body[start : start + step]), MAGIC)
    except InvalidTag as error:
        raise EnvelopeBroken("changed, cut or under another key") from error
    return bytes(out)


def plain_size(sealed_size: int) -> int:
    """Plain bytes in an envelope of `sealed_size` bytes."""
    body = sealed_size - len(MAGIC)
    return body - _TAG_SIZE * max(1, -(-body // (CHUNK_SIZE + _TAG_SIZE)))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + (b"\x01" if last else b"\x00")
