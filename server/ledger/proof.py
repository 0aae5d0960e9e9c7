"""A `.tlog-proof`: entry index, inclusion path and checkpoint in one text that needs no network.

Source: c2sp.org/tlog-proof.
"""

import base64
import binascii
from dataclasses import dataclass
from typing import Final

from server.ledger import checkpoint, merkle
from server.ledger.checkpoint import BadCheckpoint, Checkpoint, VerifierKey

FIRST_LINE: Final = "c2sp.org/tlog-proof@v1"
MAX_PATH: Final = 63
"""A tree of 2**63 leaves, the most a 64-bit signed index can name, has paths of 63 hashes."""
MAX_PROOF: Final = checkpoint.MAX_NOTE + 8 * 1024


class BadProof(Exception):
    """The text is not a proof, or it does not prove that the leaf is in the log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InclusionProof:
    """`path` leads from leaf `index` to the root in `checkpoint`."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: Checkpoint

    def text(self) -> str:
        """The `.tlog-proof` file."""
        hashes = "".join(f"{base64.b64encode(node).decode()}\n" for node in self.path)
        return f"{FIRST_LINE}\nindex {self.index}\n{hashes}\n{self.checkpoint.note}"

    @classmethod
    def parse(cls, text: str) -> "InclusionProof":
        """A proof without trust; an `extra` line is skipped, as nothing here uses it. Raises: BadProof."""
        if len(text) > MAX_PROOF:
            raise BadProof(f"longer than {MAX_PROOF} characters")
        head, blank, note = text.partition("\n\n")
        first, *lines = head.split("\n")
        if first != FIRST_LINE or not blank:
            raise BadProof(f"a proof begins with {FIRST_LINE} and carries a checkpoint")
        if lines and lines[0].startswith("extra "):
            del lines[0]
        if not lines:
            raise BadProof("the index line is missing")
        try:
            tree_head, _unbelieved = checkpoint.parse(note)
        except BadCheckpoint as error:
            raise BadProof(f"its checkpoint is damaged: {error}") from error
        return cls(index=_index(lines[0]), path=_path(lines[1:]), checkpoint=tree_head)


def verify(text: str, *, leaf: bytes, key: VerifierKey) -> InclusionProof:
    """The proof, when it shows that the exact bytes `leaf` are in the log that `key` signs for.

    Raises: BadProof.
    """
    proof = InclusionProof.parse(text)
    try:
        tree_head = checkpoint.verify(proof.checkpoint.note, key=key)
    except BadCheckpoint as error:
        raise BadProof(str(error)) from error
    leaf_hash = merkle.leaf_hash(leaf)
    if not merkle.verify_inclusion(leaf_hash, proof.index, tree_head.size, proof.path, tree_head.root):
        raise BadProof(f"the path does not lead from entry {leaf_hash.hex()} to the signed root")
    return proof


def _index(line: str) -> int:
    number = line.removeprefix("index ")
    plain = number.isascii() and number.isdigit() and len(number) <= 19 and (number == "0" or number[0] != "0")
    if not line.startswith("index ") or not plain:
        raise BadProof("the index is not a plain decimal number")
    return int(number)


def _path(lines: list[str]) -> tuple[bytes, ...]:
    if len(lines) > MAX_PATH:
        raise BadProof(f"more than {MAX_PATH} hashes")
    try:
        path = tuple(base64.b64decode(line, validate=True) for line in lines)
    except (binascii.Error, ValueError) as error:
        raise BadProof("a hash is not base64") from error
    if any(base64.b64encode(node).decode() != line for node, line in zip(path, lines, strict=True)):
        raise BadProof("a hash is not canonical base64")
    if any(len(node) != merkle.HASH_SIZE for node in path):
        raise BadProof("a hash is not 32 bytes")
    return path
