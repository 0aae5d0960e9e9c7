"""A `.tlog-proof`: entry index, inclusion path and checkpoint in one text that needs no network.

Source: c2sp.org/tlog-proof.
"""

from dataclasses import dataclass
from typing import Final

from server.ledger import checkpoint, merkle, notes
from server.ledger.checkpoint import BadCheckpoint, Checkpoint, VerifierKey

FIRST_LINE: Final = "c2sp.org/tlog-proof@v1"
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
        return f"{FIRST_LINE}\nindex {self.index}\n{notes.path_text(self.path)}\n{self.checkpoint.note}"

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
        if not lines[0].startswith("index "):
            raise BadProof("the index line is missing")
        with notes.refused_as(BadProof):
            index = notes.number(lines[0].removeprefix("index "), "the index")
            return cls(index=index, path=notes.path(lines[1:]), checkpoint=tree_head)


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
