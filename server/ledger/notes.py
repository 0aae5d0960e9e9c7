"""What checkpoints, cosignatures and proofs are written with: signed notes, verifier keys, plain numbers and hashes.

Source: c2sp.org/signed-note@v1.0.0; the vkey form is that of golang.org/x/mod/sumdb/note. Without I/O.
"""

import base64
import binascii
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from server.ledger.merkle import HASH_SIZE

ED25519: Final = 0x01
"""Signature type "Ed25519 signatures", c2sp.org/signed-note "Signature types"."""
COSIGNATURE: Final = 0x04
"""Signature type of a timestamped Ed25519 cosignature, c2sp.org/tlog-cosignature "Format"."""
DASH: Final = "— "
"""Every signature line begins with it."""
KEY_SIZE: Final = 32
"""Bytes of an Ed25519 public key, RFC 8032."""
MAX_PATH: Final = 63
"""Hashes in one proof: a tree of 2**63 leaves, the most a signed 64-bit index can name, has paths of so many."""


class BadNote(Exception):
    """The text is not written as the specification says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature line, not yet believed."""

    name: str
    key_id: bytes
    signature: bytes


@contextmanager
def refused_as(error: type[Exception]) -> Iterator[None]:
    """BadNote leaves the block as the caller's own error."""
    try:
        yield
    except BadNote as problem:
        raise error(str(problem)) from problem


def key_id(name: str, kind: int, public_key: bytes) -> bytes:
    """4 bytes: SHA-256(key name || 0x0A || signature type || public key)[:4]."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([kind]) + public_key).digest()[:4]


def vkey(name: str, kind: int, public_key: bytes) -> str:
    """`name+hex(key id)+base64(signature type || public key)`."""
    material = base64.b64encode(bytes([kind]) + public_key).decode()
    return f"{name}+{key_id(name, kind, public_key).hex()}+{material}"


def parse_vkey(text: str, kind: int) -> tuple[str, bytes]:
    """Name and public key. Raises: BadNote."""
    name, _, rest = text.partition("+")
    identifier, _, encoded = rest.partition("+")
    material = unbase64(encoded)
    if len(material) != 1 + KEY_SIZE or material[0] != kind:
        raise BadNote(f"not the vkey of an Ed25519 key for signature type {kind:#04x}")
    public_key = material[1:]
    if key_id(checked_name(name), kind, public_key).hex() != identifier:
        raise BadNote("the vkey's id does not fit its name and key")
    return name, public_key


def line(name: str, identifier: bytes, signature: bytes) -> str:
    """A signature line, with its newline."""
    return f"{DASH}{name} {base64.b64encode(identifier + signature).decode()}\n"


def parse_line(text: str) -> Signature:
    """Of a line without its newline. Raises: BadNote."""
    if not text.startswith(DASH):
        raise BadNote("a signature line begins with an em dash and a space")
    name, space, encoded = text.removeprefix(DASH).partition(" ")
    raw = unbase64(encoded)
    if not space or len(raw) < 5:
        raise BadNote("a signature line holds a name, a key id and a signature")
    return Signature(name=checked_name(name), key_id=raw[:4], signature=raw[4:])


def signed_text(note: str) -> str:
    """What the signatures of a note are over: its text, with the newline at the end."""
    return note[: note.rindex("\n\n") + 1]


def checked_name(name: str) -> str:
    """Raises: BadNote."""
    if not name or "+" in name or any(letter.isspace() or ord(letter) < 0x20 for letter in name):
        raise BadNote("a key name is not empty and holds neither spaces nor plus signs")
    return name


def number(text: str, what: str) -> int:
    """Decimal digits, without leading zeros, below 10**19. Raises: BadNote, which names it as `what`."""
    if not (text.isascii() and text.isdigit()) or (text[0] == "0" and text != "0") or len(text) > 19:
        raise BadNote(f"{what} is not a plain decimal number")
    return int(text)


def path(lines: Sequence[str]) -> tuple[bytes, ...]:
    """The hashes of a proof, one a line. Raises: BadNote."""
    if len(lines) > MAX_PATH:
        raise BadNote(f"more than {MAX_PATH} hashes")
    return tuple(map(hash_of, lines))


def path_text(nodes: Sequence[bytes]) -> str:
    return "".join(f"{base64.b64encode(node).decode()}\n" for node in nodes)


def hash_of(text: str) -> bytes:
    """Raises: BadNote."""
    raw = unbase64(text)
    if len(raw) != HASH_SIZE:
        raise BadNote(f"a hash is not {HASH_SIZE} bytes")
    return raw


def unbase64(text: str) -> bytes:
    """Raises: BadNote."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadNote("not base64") from error
    if base64.b64encode(raw).decode() != text:
        raise BadNote("not canonical base64")
    return raw
