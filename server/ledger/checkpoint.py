"""Checkpoints: C2SP tlog-checkpoint bodies in C2SP signed notes with Ed25519 (signature type 0x01), without I/O.

Sources: c2sp.org/tlog-checkpoint, c2sp.org/signed-note@v1.0.0; the vkey form is that of golang.org/x/mod/sumdb/note.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from firmware_protocol.cose import SigningKey

ED25519: Final = 0x01
"""Signature type "Ed25519 signatures", c2sp.org/signed-note, "Signature types"."""
MAX_NOTE: Final = 64 * 1024
"""A checkpoint with 16 signatures, also post-quantum ones of up to 5 kB, stays below this many bytes."""
MAX_SIGNATURES: Final = 64
_DASH: Final = "— "


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
        return key_id(self.name, self.public_key)

    def text(self) -> str:
        """`name+hex(key id)+base64(0x01 || public key)`."""
        material = base64.b64encode(bytes([ED25519]) + self.public_key).decode()
        return f"{self.name}+{self.key_id.hex()}+{material}"

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Raises: BadCheckpoint."""
        name, _, rest = text.partition("+")
        identifier, _, encoded = rest.partition("+")
        material = _unbase64(encoded)
        if len(material) != 33 or material[0] != ED25519:
            raise BadCheckpoint("not an Ed25519 verifier key")
        key = cls(name=_checked_name(name), public_key=material[1:])
        if key.key_id.hex() != identifier:
            raise BadCheckpoint("the verifier key's id does not fit its name and key")
        return key


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """One signature line, not yet believed."""

    name: str
    key_id: bytes
    signature: bytes


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


def key_id(name: str, public_key: bytes) -> bytes:
    """SHA-256(key name || 0x0A || 0x01 || public key)[:4], c2sp.org/signed-note "Ed25519 signatures"."""
    return hashlib.sha256(name.encode() + b"\n" + bytes([ED25519]) + public_key).digest()[:4]


def body(origin: str, size: int, root: bytes) -> str:
    """The note text: origin, size, root, each on its line."""
    return f"{_checked_name(origin)}\n{size}\n{base64.b64encode(root).decode()}\n"


def sign(origin: str, size: int, root: bytes, *, key: SigningKey) -> Checkpoint:
    """The signed checkpoint; the key's name is the origin. Raises: BadCheckpoint for an origin notes cannot carry."""
    text = body(origin, size, root)
    line = base64.b64encode(key_id(origin, key.public_key) + key.sign(text.encode())).decode()
    return Checkpoint(origin=origin, size=size, root=root, note=f"{text}\n{_DASH}{origin} {line}\n")


def parse(note: str) -> tuple[Checkpoint, tuple[Signature, ...]]:
    """Body and signatures, without trust. Raises: BadCheckpoint."""
    if len(note) > MAX_NOTE:
        raise BadCheckpoint(f"longer than {MAX_NOTE} characters")
    if any(ord(letter) < 0x20 and letter != "\n" for letter in note):
        raise BadCheckpoint("a note holds no control character but newline")
    text, blank, lines = note.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise BadCheckpoint("a note is a text, an empty line and signature lines")
    signatures = tuple(_signature(line) for line in lines[:-1].split("\n"))
    if len(signatures) > MAX_SIGNATURES:
        raise BadCheckpoint(f"more than {MAX_SIGNATURES} signatures")
    parts = text.split("\n")
    if len(parts) < 3 or not all(parts):
        raise BadCheckpoint("a checkpoint has at least three lines, none empty")
    size, root = parts[1], _unbase64(parts[2])
    if not (size.isascii() and size.isdigit()) or (size[0] == "0" and size != "0") or len(size) > 19:
        raise BadCheckpoint("the size is not a plain decimal number")
    if len(root) != 32:
        raise BadCheckpoint("the root is not 32 bytes")
    return Checkpoint(origin=parts[0], size=int(size), root=root, note=note), signatures


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
    signed = note[: note.rindex("\n\n") + 1].encode()
    public_key = Ed25519PublicKey.from_public_bytes(key.public_key)
    for line in own:
        try:
            public_key.verify(line.signature, signed)
        except InvalidSignature as error:
            raise BadCheckpoint("the log's signature does not verify") from error
    return checkpoint


def _signature(line: str) -> Signature:
    if not line.startswith(_DASH):
        raise BadCheckpoint("a signature line begins with an em dash and a space")
    name, space, encoded = line.removeprefix(_DASH).partition(" ")
    raw = _unbase64(encoded)
    if not space or len(raw) < 5:
        raise BadCheckpoint("a signature line holds a name, a key id and a signature")
    return Signature(name=_checked_name(name), key_id=raw[:4], signature=raw[4:])


def _checked_name(name: str) -> str:
    if not name or "+" in name or any(letter.isspace() or ord(letter) < 0x20 for letter in name):
        raise BadCheckpoint("a key name is not empty and holds neither spaces nor plus signs")
    return name


def _unbase64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadCheckpoint("not base64") from error
    if base64.b64encode(raw).decode() != text:
        raise BadCheckpoint("not canonical base64")
    return raw
