"""What others are known to have seen of this log, kept outside its database: home/witnessed.

A database that was restored from an old backup would sign a second history over the entries that it forgot. So before
the sequencer begins, the log is held against the largest checkpoint that a witness cosigned, as this file remembers it
and as the witnesses themselves show it. Only checkpoints that our own key signed count: no witness can stop a log by
a lie.
"""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from sqlmodel import Session

from server.core.keyfile import sync_folder
from server.core.runtime import MustNotRun
from server.ledger import checkpoint, log_store
from server.ledger.checkpoint import BadCheckpoint, Checkpoint, VerifierKey
from server.ledger.merkle import BrokenTree, Tree

NAME: Final = "witnessed"
_WAY_OUT: Final = (
    "Nothing was changed. Bring back a newer backup, or the database as it was when the ledger last ran; how, and what "
    'to do when there is none, is in docs/operations.md, "A restored server does not start".'
)


class LogBehind(MustNotRun):
    """The database ends before a checkpoint that others hold."""

    def __init__(self, *, size: int, seen: int) -> None:
        super().__init__(
            f"This ledger has {size} entries, but a witness cosigned {seen}: the database is older than what others "
            f"hold. To go on would be a second history of the last {seen - size} entries. {_WAY_OUT}"
        )
        self.size = size
        self.seen = seen


class LogForked(MustNotRun):
    """The database holds other entries than a checkpoint that others hold."""

    def __init__(self, *, seen: int) -> None:
        super().__init__(
            f"The first {seen} entries of this ledger are not those that a witness cosigned: another history was "
            f"written over them. {_WAY_OUT}"
        )
        self.seen = seen


class WitnessedRecord:
    """The largest cosigned checkpoint, with its cosignatures. One process writes it: the ledger role."""

    def __init__(self, home: Path) -> None:
        self._path = home / NAME

    def read(self, key: VerifierKey) -> Checkpoint | None:
        """None: nothing was ever cosigned. Raises: MustNotRun, when the file is not what was written."""
        try:
            return checkpoint.verify(self._path.read_text(encoding="utf-8"), key=key)
        except FileNotFoundError:
            return None
        except (BadCheckpoint, UnicodeDecodeError) as error:
            raise MustNotRun(
                f"{self._path} should hold a checkpoint of this ledger and does not ({error}). Bring it back from a "
                "backup of the home folder."
            ) from error

    def keep(self, head: Checkpoint) -> None:
        """Whole or not at all, and durable before this returns."""
        fresh = self._path.with_suffix(".new")
        with fresh.open("w", encoding="utf-8") as target:
            target.write(head.note)
            target.flush()
            os.fsync(target.fileno())
        fresh.replace(self._path)
        sync_folder(self._path.parent)


def check(db: Session, seen: Iterable[Checkpoint]) -> None:
    """Hold the log against checkpoints that its key signed. Raises: LogBehind, LogForked."""
    log = log_store.log(db)
    size = log.size if log else 0
    read_tile = log_store.tile_reader(db)
    for head in sorted(seen, key=lambda one: one.size, reverse=True):
        if head.size > size:
            raise LogBehind(size=size, seen=head.size)
        try:
            root = Tree.load(head.size, read_tile).root()
        except BrokenTree as error:
            raise LogForked(seen=head.size) from error
        if root != head.root:
            raise LogForked(seen=head.size)
