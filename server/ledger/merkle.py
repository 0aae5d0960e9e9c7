"""The RFC 6962 Merkle tree over SHA-256, kept as 256-wide tiles (C2SP tlog-tiles), without I/O.

Appending costs about one hash a leaf and touches only the right edge; proofs read O(log n) tiles.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

TILE_WIDTH: Final = 256
"""Hashes in a full tile, C2SP tlog-tiles "Merkle Tree"."""
TILE_HEIGHT: Final = 8
HASH_SIZE: Final = 32
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
"""Root of the tree without leaves, RFC 6962 section 2.1."""

ReadTile: TypeAlias = Callable[[int, int], bytes]
"""(level, index) -> the tile's hashes, as wide as it is stored; wider than a proof needs is fine."""


class BrokenTree(Exception):
    """Stored tiles do not fit the tree size they were asked for."""


def leaf_hash(leaf: bytes) -> bytes:
    """MTH of one entry, RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """MTH of two subtrees, RFC 6962 section 2.1."""
    return hashlib.sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, slots=True)
class Tile:
    """`width` hashes of subtrees of 256**level leaves, beginning at subtree 256 * index."""

    level: int
    index: int
    data: bytes

    @property
    def width(self) -> int:
        return len(self.data) // HASH_SIZE


@dataclass(slots=True)
class Tree:
    """The right edge of a log: enough to append and to know the root. Not thread-safe."""

    size: int = 0
    _edge: list[bytearray] = field(default_factory=list)  # per level, the unfinished tile
    _peaks: list[bytes] = field(default_factory=list)  # roots of the full subtrees, largest first

    @classmethod
    def load(cls, size: int, read_tile: ReadTile) -> "Tree":
        """The tree as it was at `size`, from the right edge of the tiles. Raises: BrokenTree."""
        tree = cls(size=size)
        level, width = 0, size
        while width:
            used = width % TILE_WIDTH
            data = _hashes(read_tile, level, width // TILE_WIDTH, used) if used else b""
            tree._edge.append(bytearray(data))
            width //= TILE_WIDTH
            level += 1
        tree._peaks = _peaks(size, read_tile)
        return tree

    def copy(self) -> "Tree":
        """An independent tree, for appends that may be rolled back."""
        return Tree(self.size, [bytearray(tile) for tile in self._edge], list(self._peaks))

    def append(self, leaf_hashes: Iterable[bytes]) -> list[Tile]:
        """Add leaves; returns every tile that is new or wider than before, ready to be stored."""
        changed: dict[tuple[int, int], Tile] = {}
        first = self.size
        for leaf in leaf_hashes:
            self._put(leaf, changed)
        if self.size > first:
            for level, data in enumerate(self._edge):
                index = (self.size >> (TILE_HEIGHT * level)) // TILE_WIDTH
                grown = (self.size >> (TILE_HEIGHT * level)) > (first >> (TILE_HEIGHT * level))
                if data and grown:
                    changed[level, index] = Tile(level, index, bytes(data))
        return list(changed.values())

    def root(self) -> bytes:
        """MTH of all leaves."""
        return _fold(self._peaks) if self._peaks else EMPTY_ROOT

    def _put(self, node: bytes, changed: dict[tuple[int, int], Tile]) -> None:
        self._extend(0, node, changed)
        height, rest = 0, self.size
        while rest & 1:  # one merge for each trailing one bit of the old size
            node = node_hash(self._peaks.pop(), node)
            rest >>= 1
            height += 1
            if height % TILE_HEIGHT == 0:
                self._extend(height // TILE_HEIGHT, node, changed)
        self._peaks.append(node)
        self.size += 1

    def _extend(self, level: int, node: bytes, changed: dict[tuple[int, int], Tile]) -> None:
        if level == len(self._edge):
            self._edge.append(bytearray())
        tile = self._edge[level]
        tile += node
        if len(tile) == TILE_WIDTH * HASH_SIZE:
            index = (self.size >> (TILE_HEIGHT * level)) // TILE_WIDTH
            changed[level, index] = Tile(level, index, bytes(tile))
            tile.clear()


class Edge(NamedTuple):
    """What every proof in a tree of one size shares: `folds[i]` is the one hash over `peaks[i:]`."""

    peaks: tuple[bytes, ...]  # roots of the full subtrees, largest first
    folds: tuple[bytes, ...]


def edge(size: int, read_tile: ReadTile) -> Edge:
    """Raises: BrokenTree."""
    peaks = _peaks(size, read_tile)
    return Edge(tuple(peaks), tuple(_fold(peaks[at:]) for at in range(len(peaks))))


def inclusion_proof(index: int, size: int, read_tile: ReadTile, known: Edge | None = None) -> list[bytes]:
    """PATH(index, D[size]), RFC 6962 section 2.1.1: sibling hashes from the leaf up.

    `known`: `edge(size)`, by those who keep it.

    Raises: ValueError for an index outside the tree, BrokenTree.
    """
    if not 0 <= index < size:
        raise ValueError(f"no leaf {index} in a tree of {size}")
    return _path(index, 0, size, read_tile, known)


def consistency_proof(old: int, new: int, read_tile: ReadTile, known: Edge | None = None) -> list[bytes]:
    """PROOF(old, D[new]), RFC 6962 section 2.1.2. `known`: `edge(new)`, by those who keep it.

    Raises: ValueError unless 0 <= old <= new, BrokenTree.
    """
    if not 0 <= old <= new:
        raise ValueError(f"no consistency proof from {old} to {new}")
    if old in (0, new):
        return []
    height = (old & -old).bit_length() - 1  # of the last full subtree of the old tree, which stands in both
    first = [] if old == 1 << height else [_subtree(height, (old >> height) - 1, read_tile)]
    return first + _path(old - 1, height, new, read_tile, known)


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Whether `leaf` (a leaf hash) is entry `index` of the tree; RFC 9162 section 2.1.3.2."""
    if not 0 <= index < size or len(leaf) != HASH_SIZE or any(len(node) != HASH_SIZE for node in path):
        return False
    position, last, node = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            return False
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and node == root


def verify_consistency(old: int, old_root: bytes, new: int, new_root: bytes, path: Sequence[bytes]) -> bool:
    """Whether the tree of `new` leaves begins with the tree of `old` leaves; RFC 9162 section 2.1.4.2."""
    if not 0 <= old <= new or any(len(node) != HASH_SIZE for node in path):
        return False
    if old == new:
        return not path and old_root == new_root
    if old == 0:
        return not path and old_root == EMPTY_ROOT
    nodes = list(path) if old & (old - 1) else [old_root, *path]
    if not nodes:
        return False
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    first = second = nodes[0]
    for node in nodes[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            first, second = node_hash(node, first), node_hash(node, second)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            second = node_hash(second, node)
        position, last = position >> 1, last >> 1
    return last == 0 and first == old_root and second == new_root


def tile_width(level: int, index: int, size: int) -> int:
    """How many hashes tile (level, index) has in a tree of `size`; 0: there is no such tile."""
    return max(0, min(TILE_WIDTH, (size >> (TILE_HEIGHT * level)) - index * TILE_WIDTH))


def _path(index: int, height: int, size: int, read_tile: ReadTile, known: Edge | None) -> list[bytes]:
    """Siblings from the subtree of 2**height leaves that holds leaf `index` up to the root of `size` leaves.

    First those inside the full subtree ("peak") that `index` lies in, tile by tile; then all peaks to its right as one
    hash, then each peak to its left. Raises: BrokenTree.
    """
    top = (index ^ size).bit_length() - 1  # the peak's height: the highest bit that only `size` has
    path: list[bytes] = []
    while height < top:
        level, row = divmod(height, TILE_HEIGHT)
        tile = index >> (TILE_HEIGHT * (level + 1))
        rows, within = _expanded(read_tile(level, tile)), index >> (TILE_HEIGHT * level) & (TILE_WIDTH - 1)
        upper = min(TILE_HEIGHT, top - TILE_HEIGHT * level)
        needed = ((within >> upper) + 1) << upper
        if len(rows[0]) < needed * HASH_SIZE:
            raise _too_short(level, tile, rows[0], needed)
        for up in range(row, upper):
            at = HASH_SIZE * (within >> up ^ 1)
            path.append(rows[up][at : at + HASH_SIZE])
        height = TILE_HEIGHT * (level + 1)
    peaks, folds = known or edge(size, read_tile)
    left = (size >> (top + 1)).bit_count()
    if left + 1 < len(peaks):
        path.append(folds[left + 1])
    path += peaks[left - 1 :: -1] if left else ()
    return path


def _full_subtrees(low: int, high: int) -> list[tuple[int, int]]:
    """(height, position) of the full subtrees that make up D[low:high], largest first."""
    parts = []
    while low < high:
        height = (high - low).bit_length() - 1
        parts.append((height, low >> height))
        low += 1 << height
    return parts


def _peaks(size: int, read_tile: ReadTile) -> list[bytes]:
    return [_subtree(height, position, read_tile) for height, position in _full_subtrees(0, size)]


def _subtree(height: int, position: int, read_tile: ReadTile) -> bytes:
    """The hash of the full subtree of 2**height leaves that begins at leaf position * 2**height."""
    level, within = divmod(height, TILE_HEIGHT)
    first = position << within
    index, offset = divmod(first, TILE_WIDTH)
    count = 1 << within
    data = read_tile(level, index)
    if len(data) < (offset + count) * HASH_SIZE:
        raise _too_short(level, index, data, offset + count)
    at = (offset >> within) * HASH_SIZE
    return _expanded(data)[within][at : at + HASH_SIZE]


@lru_cache(maxsize=4096)
def _expanded(data: bytes) -> tuple[bytes, ...]:
    """A tile's hashes, and above them row by row the hashes of its full subtrees.

    A function of the bytes alone, so nothing has to be forgotten when a tile grows. 4096 tiles are 64 MiB and hold the
    inner nodes of a million entries, without which a proof costs 250 hashes a level.
    """
    rows = [data]
    while len(rows[-1]) >= 2 * HASH_SIZE:
        below = rows[-1]
        pairs = range(0, len(below) - HASH_SIZE, 2 * HASH_SIZE)
        rows.append(b"".join(hashlib.sha256(b"\x01" + below[at : at + 2 * HASH_SIZE]).digest() for at in pairs))
    return tuple(rows)


def _hashes(read_tile: ReadTile, level: int, index: int, width: int) -> bytes:
    data = read_tile(level, index)
    if len(data) < width * HASH_SIZE:
        raise _too_short(level, index, data, width)
    return data[: width * HASH_SIZE]


def _too_short(level: int, index: int, data: bytes, width: int) -> BrokenTree:
    return BrokenTree(f"tile {level}/{index} has {len(data)} bytes, {width * HASH_SIZE} are needed")


def _fold(parts: Sequence[bytes]) -> bytes:
    """The root over subtrees given largest first."""
    node = parts[-1]
    for part in reversed(parts[:-1]):
        node = node_hash(part, node)
    return node
