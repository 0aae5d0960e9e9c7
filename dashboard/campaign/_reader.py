"""A stranger's reader of the log, for `campaign hammer`: tlog-tiles over HTTP, RFC 6962 hashing, Ed25519.

Written from the specifications (c2sp.org/tlog-tiles, tlog-checkpoint, tlog-proof; RFC 9162 sections 2.1.3 and 2.1.4)
and on purpose without one line of `server.ledger`: a fault there must not hide itself here.
"""

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

HASH: Final = 32
WIDTH: Final = 256
PROOF: Final = "c2sp.org/tlog-proof@v1"

Fetch = Callable[[str], bytes | None]
"""Path below the log's address, as "tile/0/000" -> body; None: 404."""


class Mismatch(Exception):
    """What the log shows does not fit together; `kind` is counted."""

    def __init__(self, kind: str, what: str) -> None:
        super().__init__(f"{kind}: {what}")
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Head:
    size: int
    root: bytes


def read_head(note: str, public_key: bytes) -> Head:
    """Raises: Mismatch."""
    body, blank, lines = note.partition("\n\n")
    parts = body.split("\n")
    for line in lines.splitlines():
        signature = base64.b64decode(line.rpartition(" ")[2])[4:]
        try:
            Ed25519PublicKey.from_public_bytes(public_key).verify(signature, f"{body}\n".encode())
        except InvalidSignature:
            continue
        if blank and len(parts) >= 3:
            return Head(int(parts[1]), base64.b64decode(parts[2]))
    raise Mismatch("checkpoint", "the log's key did not sign it")


def leaf_hash(leaf: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(hashes: Sequence[bytes]) -> bytes:
    """RFC 6962 section 2.1: level by level; a node without a partner moves up as it is."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    level = list(hashes)
    while len(level) > 1:
        paired = [node_hash(level[at], level[at + 1]) for at in range(0, len(level) - 1, 2)]
        level = paired + ([level[-1]] if len(level) % 2 else [])
    return level[0]


def tile_name(level: int, index: int, width: int) -> str:
    digits = str(index).zfill(-(-len(str(index)) // 3) * 3)
    groups = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    name = "/".join([f"x{group}" for group in groups[:-1]] + groups[-1:])
    return f"tile/{level}/{name}" + ("" if width == WIDTH else f".p/{width}")


class Reader:
    """One stranger. `public_key`: the log's, from elsewhere."""

    def __init__(self, fetch: Fetch, public_key: bytes) -> None:
        self._fetch = fetch
        self._public_key = public_key

    def head(self) -> Head:
        """The checkpoint of now. Raises: Mismatch."""
        return read_head(self._get("checkpoint").decode(), self._public_key)

    def hashes(self, size: int, *, level: int = 0) -> list[bytes]:
        """All hashes of a level of the tree of `size` leaves, from its tiles. Raises: Mismatch."""
        count = size >> (8 * level)
        found: list[bytes] = []
        for index in range(-(-count // WIDTH)):
            found += self.tile(level, index, min(WIDTH, count - index * WIDTH))
        return found

    def tile(self, level: int, index: int, width: int) -> list[bytes]:
        """Raises: Mismatch."""
        data = self._get(tile_name(level, index, width))
        if len(data) != width * HASH:
            raise Mismatch("tile", f"{level}/{index} has {len(data)} bytes instead of {width * HASH}")
        return [data[at : at + HASH] for at in range(0, len(data), HASH)]

    def read_all(self, before: Head | None) -> Head:
        """Rebuild the root of now from tiles, and that of `before` from the same leaves. Raises: Mismatch."""
        head = self.head()
        leaves = self.hashes(head.size)
        if root_of(leaves) != head.root:
            raise Mismatch("root", f"the leaves of {head.size} entries have another root than the checkpoint")
        if before is not None and (before.size > head.size or root_of(leaves[: before.size]) != before.root):
            raise Mismatch("consistency", f"{before.size} entries are not the beginning of {head.size}")
        whole = [root_of(leaves[at : at + WIDTH]) for at in range(0, len(leaves) - WIDTH + 1, WIDTH)]
        if self.hashes(head.size, level=1) != whole:
            raise Mismatch("tile", "the hashes of level 1 are not those of the tiles below")
        return head

    def check_entry(self, wanted: bytes, leaf: bytes, proof: str) -> None:
        """A leaf under its hash, and its `.tlog-proof`. Raises: Mismatch."""
        if leaf_hash(leaf) != wanted:
            raise Mismatch("leaf", "its bytes have another hash than was asked for")
        head, blank, note = proof.partition("\n\n")
        first, index, *path = head.split("\n")
        if first != PROOF or not blank:
            raise Mismatch("inclusion", "it is no .tlog-proof")
        tree = read_head(note, self._public_key)
        nodes = [base64.b64decode(line) for line in path]
        if climbed(wanted, int(index.removeprefix("index ")), tree.size, nodes) != tree.root:
            raise Mismatch("inclusion", f"entry {index} does not lead to the root of {tree.size} entries")

    def _get(self, path: str) -> bytes:
        data = self._fetch(path)
        if data is None:
            raise Mismatch("tile", f"{path} is not there, though the checkpoint covers it")
        return data


def climbed(node: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that the path leads to (RFC 9162 section 2.1.3.2); b"" when it is too long or too short."""
    at, last = index, size - 1
    if index >= size:
        return b""
    for other in path:
        if last == 0:
            return b""
        if at & 1 or at == last:
            node = node_hash(other, node)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            node = node_hash(node, other)
        at, last = at >> 1, last >> 1
    return node if last == 0 else b""
