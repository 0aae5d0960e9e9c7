"""Checkpoints: C2SP tlog-checkpoint bodies in C2SP signed notes with Ed25519 (signature type 0x01), without I/O.

Sources: c2sp.org/tlog-checkpoint, c2sp.org/signed-note@v1.0.0; the vkey form is that of golang.org/x/mod/sumdb/note.
"""

import base64
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from firmware_protocol.cose import SigningKey
from server.ledger import notes

MAX_NOTE: Final = 64 * 1024
"""A checkpoint with 16 signatures, also post-quantum ones of up to 5 kB, stays below this many bytes."""
MAX_SIGNATURES: Final = 64


class BadCheckpoint(Exception):
    """The text is not a checkpoint that a trusted key signed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A log's name and public key: the only thing a client must know beforehand."""

    name: str
    public_key: bytes  # 32 bytes, RFC 8032

    @property
    def key_id(self) -> bytes:
        """4 bytes: SHA-256(name || 0x0A || 0x01 || public key)[:4]."""
        return notes.key_id(self.name, notes.ED25519, self.public_key)

    def text(self) -> str:
        """`name+hex(key id)+base64(0x01 || public key)`."""
        return notes.vkey(self.name, notes.ED25519, self.public_key)

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Raises: BadCheckpoint."""
        with notes.refused_as(BadCheckpoint):
            name, public_key = notes.parse_vkey(text, notes.ED25519)
        return cls(name=name, public_key=public_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A tree head; `note` is the exact text that carries it."""

    origin: str
    size: int
    root: bytes
    note: str


def origin_of(public_url: str) -> str:
    """The log's name: its tlog-tiles URL prefix without scheme, `HOST[:PORT]/log`."""
    return f"{urlsplit(public_url).netloc}/log"


def body(origin: str, size: int, root: bytes) -> str:
    """The note text: origin, size, root, each on its line. Raises: BadCheckpoint."""
    with notes.refused_as(BadCheckpoint):
        notes.checked_name(origin)
    return f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"


def sign(origin: str, size: int, root: bytes, *, key: SigningKey) -> Checkpoint:
    """The signed checkpoint; the key's name is the origin. Raises: BadCheckpoint for an origin notes cannot carry."""
    text = body(origin, size, root)
    line = notes.line(origin, notes.key_id(origin, notes.ED25519, key.public_key), key.sign(text.encode()))
    return Checkpoint(origin=origin, size=size, root=root, note=f"{text}\n{line}")


def parse(note: str) -> tuple[Checkpoint, tuple[notes.Signature, ...]]:
    """Body and signatures, without trust. Raises: BadCheckpoint."""
    if len(note) > MAX_NOTE:
        raise BadCheckpoint(f"longer than {MAX_NOTE} characters")
    if any(ord(letter) < 0x20 and letter != "\n" for letter in note):
        raise BadCheckpoint("a note holds no control character but newline")
    text, blank, lines = note.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise BadCheckpoint("a note is a text, an empty line and signature lines")
    signed = lines[:-1].split("\n")
    if len(signed) > MAX_SIGNATURES:
        raise BadCheckpoint(f"more than {MAX_SIGNATURES} signatures")
    parts = text.split("\n")
    if len(parts) < 3 or not all(parts):
        raise BadCheckpoint("a checkpoint has at least three lines, none empty")
    with notes.refused_as(BadCheckpoint):
        signatures = tuple(map(notes.parse_line, signed))
        size, root = notes.number(parts[1], "the size"), notes.hash_of(parts[2])
    return Checkpoint(origin=parts[0], size=size, root=root, note=note), signatures


def verify(note: str, *, key: VerifierKey) -> Checkpoint:
    """The checkpoint, when `key` signed it and its origin is the key's name. Other signatures are ignored.

    Raises: BadCheckpoint.
    """
    checkpoint, signatures = parse(note)
    if checkpoint.origin != key.name:
        raise BadCheckpoint(f"the checkpoint is of {checkpoint.origin}, not of {key.name}")
    own = [line for line in signatures if line.name == key.name and line.key_id == key.key_id]
    if not own:
        raise BadCheckpoint("the log's key did not sign this checkpoint")
    signed = notes.signed_text(note).encode()
    public_key = Ed25519PublicKey.from_public_bytes(key.public_key)
    for line in own:
        try:
            public_key.verify(line.signature, signed)
        except InvalidSignature as error:
            raise BadCheckpoint("the log's signature does not verify") from error
    return checkpoint
