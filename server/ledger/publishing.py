"""Which checkpoint strangers get, and the files they get it from: home/public/log, laid out as c2sp.org/tlog-tiles.

The newest checkpoint that enough outside witnesses cosigned is published; when they stay away, the newest one all the
same, and every page says that they did not see it. What was published is never taken back: sizes only grow. The public
role serves these files and needs no database; a copy of the folder on another machine is as good, since every tile
follows from the signed root.
"""

import os
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from sqlmodel import Session

from server.core.clock import Clock
from server.core.db import Database
from server.ledger import checkpoint, log_store, merkle, tile_names, witness_store
from server.ledger.checkpoint import BadCheckpoint, Checkpoint
from server.ledger.cosignature import Witness
from server.ledger.merkle import HASH_SIZE, TILE_HEIGHT, TILE_WIDTH, Tree

FOLDER: Final = Path("public") / "log"
"""In home."""
CHECKPOINT: Final = "checkpoint"
PATIENCE: Final = timedelta(seconds=60)
"""How long a new checkpoint waits for its quorum before it is published without."""


class Publisher:
    """Writes the folder. One process and one thread: the ledger role's."""

    def __init__(
        self, database: Database, *, folder: Path, witnesses: Sequence[Witness], quorum: int, clock: Clock
    ) -> None:
        self._database = database
        self._folder = folder
        self._witnesses = witnesses
        self._quorum = quorum
        self._clock = clock
        self._written = ""
        self._size: int | None = None  # entries whose tiles are in the folder; None: not looked yet

    def round(self) -> Checkpoint | None:
        """Publish what is new; None when nothing is."""
        now = self._clock.now()
        with self._database.read() as db:
            chosen = choose(db, self._witnesses, self._quorum, now=now)
            if chosen is None or chosen.note == self._written:
                return None
            self._write_tiles(db, chosen.size)
        _replace(self._folder / CHECKPOINT, chosen.note.encode())
        with self._database.write() as db:
            witness_store.publish(db, chosen.size, now=now)
        self._written = chosen.note
        return chosen

    def _write_tiles(self, db: Session, size: int) -> None:
        """Before the checkpoint that needs them."""
        if self._size is None:
            self._size = _tiles_of(db, self._folder, size)
        for level, index in grown(self._size, size):
            width = merkle.tile_width(level, index, size)
            data = log_store.tile(db, level, index)[: width * HASH_SIZE]
            _replace(file_of(self._folder, level, index), data)
        self._size = size


def choose(db: Session, witnesses: Sequence[Witness], quorum: int, *, now: datetime) -> Checkpoint | None:
    """The checkpoint to publish now, with its cosignatures. None before the log has begun."""
    newest = log_store.newest_checkpoint(db)
    if newest is None:
        return None
    before = witness_store.published(db)
    size = newest.size
    if quorum:
        theirs = [witness.name for witness in witnesses if not witness.own]
        held = witness_store.largest_cosigned(db, theirs, at_least=quorum)
        floor = max(-1 if held is None else held, -1 if before is None else before.size)
        waiting_since = witness_store.first_after(db, floor)
        if floor >= 0 and (waiting_since is None or now - waiting_since < PATIENCE):
            size = floor
    return witness_store.checkpoint_at(db, size)


def grown(old: int, new: int) -> Iterable[tuple[int, int]]:
    """(level, index) of every tile that a tree of `new` leaves has and one of `old` leaves lacks, or has narrower."""
    level = 0
    while new >> (TILE_HEIGHT * level):
        have, want = old >> (TILE_HEIGHT * level), new >> (TILE_HEIGHT * level)
        if want > have:
            yield from ((level, index) for index in range(have // TILE_WIDTH, (want - 1) // TILE_WIDTH + 1))
        level += 1


def file_of(folder: Path, level: int, index: int) -> Path:
    """Where the tile is, as wide as it was published: a narrower one is its beginning."""
    return folder / tile_names.tile_path(level, index)


def published_size(folder: Path) -> int:
    """Of the checkpoint in the folder; 0 when there is none to be read."""
    found = _published(folder)
    return found.size if found else 0


def _published(folder: Path) -> Checkpoint | None:
    try:
        return checkpoint.parse((folder / CHECKPOINT).read_text(encoding="utf-8"))[0]
    except (OSError, UnicodeDecodeError, BadCheckpoint):
        return None


def _tiles_of(db: Session, folder: Path, size: int) -> int:
    """How many entries of this log the folder's tiles hold; 0: they are of another history, or not there."""
    head = _published(folder)
    if head is None or head.size > size:
        return 0
    same = Tree.load(head.size, log_store.tile_reader(db)).root() == head.root
    return head.size if same else 0


def _replace(path: Path, data: bytes) -> None:
    """Whole or not at all, also over a power cut."""
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    with fresh.open("wb") as target:
        target.write(data)
        target.flush()
        os.fsync(target.fileno())
    fresh.replace(path)
