"""Tiles for proofs, kept in memory: the log only grows, so what a tile holds at one width never changes.

Not for those who check what is stored (fsck, the sequencer's start): they read `log_store.tile_reader`. A proof made
from here is checked by whoever gets it, under a signed root.
"""

import threading
from collections import OrderedDict
from typing import Any, Final, Generic, TypeVar
from weakref import WeakKeyDictionary

from sqlmodel import Session

from server.ledger import log_store, merkle
from server.ledger.merkle import Edge, ReadTile

K = TypeVar("K")
V = TypeVar("V")

MOST_TILES: Final = 4096
"""With their inner nodes 96 MiB at most, and enough for every tile of a million entries."""
MOST_EDGES: Final = 64
"""Tree sizes under which proofs are asked for at one time; one edge is 1 KiB."""


class _Held(Generic[K, V]):
    """The least recently used one is forgotten first. Thread-safe."""

    def __init__(self, most: int) -> None:
        self._held: OrderedDict[K, V] = OrderedDict()
        self._most = most
        self._lock = threading.Lock()

    def get(self, key: K) -> V | None:
        with self._lock:
            found = self._held.get(key)
            if found is not None:
                self._held.move_to_end(key)
            return found

    def put(self, key: K, value: V) -> None:
        with self._lock:
            self._held[key] = value
            if len(self._held) > self._most:
                self._held.popitem(last=False)


class _Cache:
    """Of one database."""

    def __init__(self) -> None:
        self.tiles: _Held[tuple[int, int, int], bytes] = _Held(MOST_TILES)
        self.edges: _Held[int, Edge] = _Held(MOST_EDGES)


_by_database: Final[WeakKeyDictionary[Any, _Cache]] = WeakKeyDictionary()


def inclusion_proof(db: Session, index: int, size: int) -> list[bytes]:
    """As merkle.inclusion_proof; `db` must be a read session, which sees only what was committed.

    Raises: ValueError, BrokenTree.
    """
    read = _reader(db, size)
    return merkle.inclusion_proof(index, size, read, _edge(db, size, read))


def consistency_proof(db: Session, old: int, new: int) -> list[bytes]:
    """As merkle.consistency_proof; `db` as above. Raises: ValueError, BrokenTree."""
    read = _reader(db, new)
    return merkle.consistency_proof(old, new, read, _edge(db, new, read))


def _cache(db: Session) -> _Cache:
    bind = db.get_bind()
    found = _by_database.get(bind)
    return _by_database.setdefault(bind, _Cache()) if found is None else found


def _edge(db: Session, size: int, read: ReadTile) -> Edge:
    edges = _cache(db).edges
    found = edges.get(size)
    if found is None:
        found = merkle.edge(size, read)
        edges.put(size, found)
    return found


def _reader(db: Session, size: int) -> ReadTile:
    """Tiles as they were when the log had `size` entries."""
    tiles = _cache(db).tiles

    def read(level: int, index: int) -> bytes:
        width = merkle.tile_width(level, index, size)
        found = tiles.get((level, index, width))
        if found is None:
            found = log_store.tile(db, level, index)[: width * merkle.HASH_SIZE]
            if len(found) == width * merkle.HASH_SIZE:
                tiles.put((level, index, width), found)
        return found

    return read
