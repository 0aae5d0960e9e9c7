"""Cosignatures of witnesses on checkpoints, and the request that asks for one; without I/O.

Sources: c2sp.org/tlog-cosignature (Ed25519, signature type 0x04), c2sp.org/tlog-witness "add-checkpoint".
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from firmware_protocol.cose import SigningKey
from server.ledger import checkpoint, notes
from server.ledger.checkpoint import Checkpoint

MAX_REQUEST: Final = checkpoint.MAX_NOTE + 4 * 1024
SIZE_TYPE: Final = "text/x.tlog.size"
"""Content type of a 409, whose body is the size that the witness cosigned last."""
_LATEST: Final = 2**63 - 1


class BadCosignature(Exception):
    """The text is no cosignature, vkey or request of a witness."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessKey:
    """A witness's name and public key."""

    name: str
    public_key: bytes  # 32 bytes, RFC 8032

    @property
    def key_id(self) -> bytes:
        """4 bytes: SHA-256(name || 0x0A || 0x04 || public key)[:4]."""
        return notes.key_id(self.name, notes.COSIGNATURE, self.public_key)

    def text(self) -> str:
        """The vkey: `name+hex(key id)+base64(0x04 || public key)`."""
        return notes.vkey(self.name, notes.COSIGNATURE, self.public_key)

    @classmethod
    def parse(cls, text: str) -> "WitnessKey":
        """Raises: BadCosignature."""
        with notes.refused_as(BadCosignature):
            name, public_key = notes.parse_vkey(text, notes.COSIGNATURE)
        return cls(name=name, public_key=public_key)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosignature:
    """A witness saw this checkpoint, and nothing larger of the log before `time`."""

    name: str
    time: int  # Unix seconds
    line: str  # the signature line, with its newline


@dataclass(frozen=True, slots=True, kw_only=True)
class Witness:
    """A witness that is asked; `own`: run by the operator of the log, so it counts for nothing in the quorum."""

    key: WitnessKey
    url: str  # submission prefix, without a slash at the end
    own: bool = False

    @property
    def name(self) -> str:
        return self.key.name


def sign(note: str, *, name: str, time: int, key: SigningKey) -> Cosignature:
    """The witness's line under the checkpoint in `note`. Raises: BadCheckpoint, BadCosignature."""
    with notes.refused_as(BadCosignature):
        witness = WitnessKey(name=notes.checked_name(name), public_key=key.public_key)
    signature = time.to_bytes(8) + key.sign(_message(note, time))
    return Cosignature(name=name, time=time, line=notes.line(name, witness.key_id, signature))


def verified(note: str, keys: Iterable[WitnessKey]) -> list[Cosignature]:
    """The cosignatures in a note that verify under `keys`, one a key (the newest), in the order of `keys`.

    Lines of other keys, and lines that do not verify, are passed over. Raises: BadCheckpoint.
    """
    _head, signatures = checkpoint.parse(note)
    found = []
    for key in keys:
        good = [
            one
            for line in signatures
            if (line.name, line.key_id) == (key.name, key.key_id)
            and (one := _check(note, key, line.signature)) is not None
        ]
        if good:
            found.append(max(good, key=lambda one: one.time))
    return found


def outside(cosignatures: Iterable[Cosignature], witnesses: Sequence[Witness]) -> int:
    """How many witnesses that others run are among these."""
    theirs = {witness.name for witness in witnesses if not witness.own}
    return len({one.name for one in cosignatures} & theirs)


def with_lines(note: str, lines: Iterable[str]) -> str:
    """The note with these signature lines below its own, each once."""
    return note + "".join(line for line in dict.fromkeys(lines) if line not in note)


@dataclass(frozen=True, slots=True, kw_only=True)
class AddCheckpoint:
    """What a log sends to a witness: the tree grew from `old` leaves to `checkpoint`."""

    old: int
    path: tuple[bytes, ...]
    checkpoint: Checkpoint

    def text(self) -> str:
        """The body of POST add-checkpoint."""
        return f"old {self.old}\n{notes.path_text(self.path)}\n{self.checkpoint.note}"

    @classmethod
    def parse(cls, text: str) -> "AddCheckpoint":
        """The request without trust. Raises: BadCosignature, BadCheckpoint."""
        head, blank, note = text.partition("\n\n")
        first, *lines = head.split("\n")
        if not blank or not first.startswith("old "):
            raise BadCosignature("a request begins with the old size and carries a checkpoint")
        with notes.refused_as(BadCosignature):
            old, path = notes.number(first.removeprefix("old "), "the old size"), notes.path(lines)
        tree_head, _unbelieved = checkpoint.parse(note)
        return cls(old=old, path=path, checkpoint=tree_head)


def _message(note: str, time: int) -> bytes:
    return f"cosignature/v1\ntime {time}\n{notes.signed_text(note)}".encode()


def _check(note: str, key: WitnessKey, raw: bytes) -> Cosignature | None:
    if len(raw) != 8 + 64:
        return None
    time = int.from_bytes(raw[:8])
    if not 0 < time <= _LATEST:
        return None
    try:
        Ed25519PublicKey.from_public_bytes(key.public_key).verify(raw[8:], _message(note, time))
    except InvalidSignature:
        return None
    return Cosignature(name=key.name, time=time, line=notes.line(key.name, key.key_id, raw))
