"""The tree against RFC 6962's own recursion, in every size and in any batches."""

import hashlib
import random

import pytest

from server.ledger import merkle
from server.ledger.merkle import Tile, Tree

# RFC 6962 section 2.1: the root of no leaves is the hash of nothing.
RFC6962_EMPTY_ROOT = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
LEAVES = [merkle.leaf_hash(number.to_bytes(4, "big")) for number in range(1025)]


class Shelf:
    """Tiles in memory, as a table would keep them: the newest width only."""

    def __init__(self) -> None:
        self.tiles: dict[tuple[int, int], Tile] = {}

    def put(self, tiles: list[Tile]) -> None:
        self.tiles |= {(tile.level, tile.index): tile for tile in tiles}

    def read(self, level: int, index: int) -> bytes:
        return self.tiles[level, index].data


def naive_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, word by word, over leaf hashes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:])).digest()


def naive_path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of RFC 6962 section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    if m < k:
        return [*naive_path(m, leaves[:k]), naive_root(leaves[k:])]
    return [*naive_path(m - k, leaves[k:]), naive_root(leaves[:k])]


@pytest.fixture(scope="module")
def grown() -> tuple[Shelf, dict[int, bytes]]:
    """One leaf at a time to 1,025; the root of every size."""
    shelf, tree, roots = Shelf(), Tree(), {0: merkle.EMPTY_ROOT}
    for leaf in LEAVES:
        shelf.put(tree.append([leaf]))
        roots[tree.size] = tree.root()
    return shelf, roots


def test_empty_tree_has_the_root_of_the_rfc() -> None:
    assert Tree().root() == RFC6962_EMPTY_ROOT


def test_every_size_up_to_1025_has_the_naive_root(grown: tuple[Shelf, dict[int, bytes]]) -> None:
    _, roots = grown
    known: dict[tuple[int, int], bytes] = {}

    def root(low: int, high: int) -> bytes:
        if high - low == 1:
            return LEAVES[low]
        if (low, high) not in known:
            k = 1
            while k * 2 < high - low:
                k *= 2
            known[low, high] = hashlib.sha256(b"\x01" + root(low, low + k) + root(low + k, high)).digest()
        return known[low, high]

    for size in range(1, 1026):
        assert roots[size] == root(0, size), size


def test_random_batches_make_the_same_tree_and_reload_anywhere(
    rng: random.Random, grown: tuple[Shelf, dict[int, bytes]]
) -> None:
    one_by_one, roots = grown
    for _ in range(20):
        shelf, tree = Shelf(), Tree()
        while tree.size < len(LEAVES):
            batch = LEAVES[tree.size : tree.size + rng.choice([1, 2, 7, 50, 255, 256, 257, 600])]
            shelf.put(tree.append(batch))
            assert tree.root() == roots[tree.size], tree.size
            tree = Tree.load(tree.size, shelf.read)  # a restart
            assert tree.root() == roots[tree.size], tree.size
        assert shelf.tiles == one_by_one.tiles


def test_append_rewrites_only_what_grew(grown: tuple[Shelf, dict[int, bytes]]) -> None:
    tree = Tree()
    tree.append(LEAVES[:300])
    assert [(tile.level, tile.index, tile.width) for tile in tree.append(LEAVES[300:310])] == [(0, 1, 54)]
    changed = tree.append(LEAVES[310:520])
    assert sorted((tile.level, tile.index, tile.width) for tile in changed) == [(0, 1, 256), (0, 2, 8), (1, 0, 2)]


def test_inclusion_proofs_are_those_of_the_rfc(rng: random.Random, grown: tuple[Shelf, dict[int, bytes]]) -> None:
    shelf, roots = grown
    sizes = [1, 2, 3, 7, 8, 255, 256, 257, 512, 1025, *(rng.randrange(1, 1026) for _ in range(20))]
    for size in sizes:
        for index in {0, size - 1, rng.randrange(size)}:
            path = merkle.inclusion_proof(index, size, shelf.read)
            assert path == naive_path(index, LEAVES[:size])
            assert merkle.verify_inclusion(LEAVES[index], index, size, path, roots[size])


def test_every_small_tree_proves_every_leaf_and_every_older_tree(grown: tuple[Shelf, dict[int, bytes]]) -> None:
    shelf, roots = grown
    for size in range(1, 40):
        for index in range(size):
            path = merkle.inclusion_proof(index, size, shelf.read)
            assert merkle.verify_inclusion(LEAVES[index], index, size, path, roots[size])
        for old in range(size + 1):
            path = merkle.consistency_proof(old, size, shelf.read)
            assert merkle.verify_consistency(old, roots[old], size, roots[size], path), (old, size)


def test_consistency_between_any_two_large_trees(rng: random.Random, grown: tuple[Shelf, dict[int, bytes]]) -> None:
    shelf, roots = grown
    for _ in range(200):
        old, new = sorted(rng.sample(range(1, 1026), 2))
        path = merkle.consistency_proof(old, new, shelf.read)
        assert merkle.verify_consistency(old, roots[old], new, roots[new], path), (old, new)
        wrong = roots[old - 1] if old > 1 else roots[2]
        assert not merkle.verify_consistency(old, wrong, new, roots[new], path), (old, new)


def test_a_changed_proof_proves_nothing(rng: random.Random, grown: tuple[Shelf, dict[int, bytes]]) -> None:
    shelf, roots = grown
    for _ in range(200):
        size = rng.randrange(2, 1026)
        index = rng.randrange(size)
        path = merkle.inclusion_proof(index, size, shelf.read)
        at = rng.randrange(len(path))
        flipped = [*path[:at], bytes([path[at][0] ^ 1]) + path[at][1:], *path[at + 1 :]]
        assert not merkle.verify_inclusion(LEAVES[index], index, size, flipped, roots[size])
        assert not merkle.verify_inclusion(LEAVES[index], index, size, path[:-1], roots[size])
        assert not merkle.verify_inclusion(LEAVES[index], index, size, [*path, path[0]], roots[size])
        assert not merkle.verify_inclusion(LEAVES[index - 1], index, size, path, roots[size])


def test_a_tile_cut_short_is_named(grown: tuple[Shelf, dict[int, bytes]]) -> None:
    shelf, _ = grown
    with pytest.raises(merkle.BrokenTree, match="tile 0/4"):
        merkle.inclusion_proof(1024, 1026, shelf.read)
