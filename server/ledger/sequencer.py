"""The one writer of the log: one transaction per batch for entries, chains, tiles and the signed tree head.

Failure points: before the commit nothing is changed and nothing was acknowledged; after it everything is, and what was
not yet acknowledged arrives again and is a duplicate. A tree head is signed in the transaction that makes it true, so
it leaves this process only when that has committed.
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from sqlmodel import Session

from server.core.clock import Clock
from server.core.db import Database
from server.core.rng import Rng
from server.core.signer import Signer
from server.ledger import batch_store, checkpoint, lease, log_store, partitions, service
from server.ledger.admission import Incoming, Reason, SetAside
from server.ledger.batch import Arrival, Batch, Read, check, find
from server.ledger.entry_types import EntryType
from server.ledger.errors import Fenced
from server.ledger.log_store import ChainKey
from server.ledger.merkle import BrokenTree, Tree
from server.ledger.models import LedgerLog, LedgerQueue
from server.ledger.schemas import LeafKind

QUEUE_ROWS: Final = 500
"""Queued leaves that one batch takes; the rest waits for the next."""
MOST_KEYS: Final = 20_000
"""Devices whose key and gateway are remembered between batches."""

OnEvents = Callable[[Session, int, int, datetime], None]
"""Called in the batch's transaction with the first and last index when device events were admitted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signers:
    """checkpoint: the log's key; entry: for what the ledger itself puts on record."""

    checkpoint: Signer
    entry: Signer


class Acknowledged(NamedTuple):
    """A device has a receipt up to `up_to_seq` that names `photos`."""

    chain_key: ChainKey
    up_to_seq: int
    photos: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one batch did. `due`: devices that get a receipt now."""

    size: int
    entries: int
    events: int
    duplicates: int
    set_aside: int
    due: frozenset[ChainKey]


class Sequencer:
    """Holds the log's lease and right edge. Not thread-safe; one per installation."""

    def __init__(
        self,
        database: Database,
        *,
        signers: Signers,
        origin: str,
        clock: Clock,
        rng: Rng,
        on_events: OnEvents | None = None,
        partition: int = partitions.ENTRIES,
    ) -> None:
        """`partition`: entries in one partition of PostgreSQL's table."""
        self._database = database
        self._signers = signers
        self._origin = origin
        self._clock = clock
        self._rng = rng
        self._on_events = on_events
        self._holder = lease.new_holder(rng)
        self._fence = 0
        self._room = partitions.Room(partition)
        self._tree = Tree()
        self._keys: dict[ChainKey, batch_store.KeyOwner] = {}
        self._heard: dict[ChainKey, str] = {}  # only this sequencer writes it: what was stored is still there

    @property
    def size(self) -> int:
        return self._tree.size

    def open(self) -> None:
        """Take the lease and load the right edge; a new log gets its first, empty checkpoint.

        Raises: Fenced while another sequencer lives, BrokenTree when the tiles do not give the last signed root.
        """
        with self._database.write() as db:
            now = self._clock.now()
            log = lease.take(db, holder=self._holder, origin=self._origin, now=now)
            self._origin, self._fence = log.origin, log.fence
            self._tree = _load(db, log)
            self._heard = {}
            self._room.extend(db, log.size, QUEUE_ROWS)
            if log.size == 0:
                self._sign_head(db, self._tree, now)

    def close(self) -> None:
        with self._database.write() as db:
            lease.release(db, holder=self._holder)

    def renew(self) -> None:
        """Keep the lease while there is nothing to write. Raises: Fenced."""
        with self._database.write() as db:
            lease.hold(db, fence=self._fence, now=self._clock.now())

    def commit(self, arrivals: Sequence[Arrival], acknowledged: Sequence[Acknowledged] = ()) -> Outcome:
        """Admit, store, integrate and sign one batch; when it returns, all of it is durable.

        Raises: Fenced, when another sequencer took over; nothing of the batch is stored then.
        """
        reads = self._read(arrivals)
        self._make_room(len(arrivals) + QUEUE_ROWS)
        tree = self._tree.copy()
        with self._database.write() as db:
            now = self._clock.now()
            size = lease.hold(db, fence=self._fence, now=now)
            if size != tree.size:
                raise Fenced(f"the log has {size} entries, this sequencer sealed {tree.size}")
            batch = Batch(now=now, first_index=tree.size, heard_before=self._heard)
            waits = log_store.work_waits(db)
            self._decide(db, batch, reads, leaves=waits.leaves)
            fresh = batch.write(db)
            batch_store.acknowledged(db, {one.chain_key: one.up_to_seq for one in _rising(acknowledged)}, now=now)
            for receipt in acknowledged:
                log_store.photos_acknowledged(db, receipt.chain_key, receipt.photos)
            due = frozenset(batch.heard) | (log_store.take_new_photos(db) if waits.photos else set())
            if batch.entries:
                log_store.store_tiles(db, tree.append(batch.leaf_hashes))
                self._sign_head(db, tree, now)
                log_store.store_size(db, tree.size)
            self._put_on_record(db, batch, fresh)
            if batch.events and self._on_events is not None:
                self._on_events(db, batch.first_index, tree.size - 1, now)
        self._tree = tree
        self._remember(batch)
        return Outcome(
            size=tree.size,
            entries=len(batch.entries),
            events=batch.events,
            duplicates=batch.duplicates,
            set_aside=len(batch.set_aside),
            due=due,
        )

    def set_aside(self, arrival: Arrival, detail: str) -> None:
        """Keep an arrival that no batch could store, so that it does not come again for ever. Raises: Fenced."""
        with self._database.write() as db:
            now = self._clock.now()
            lease.hold(db, fence=self._fence, now=now)
            batch = Batch(now=now, first_index=self._tree.size)
            batch.set_aside.append((arrival, SetAside(Reason.MALFORMED, detail)))
            self._put_on_record(db, batch, batch.write(db))

    def _make_room(self, most: int) -> None:
        """For a batch of at most so many entries, mostly long before it comes to that. Raises: Fenced."""
        if not self._room.is_short(self.size, most):
            return
        with self._room.patience(self.size, most), self._database.write() as db:
            lease.hold(db, fence=self._fence, now=self._clock.now())
            self._room.extend(db, self.size, most)

    def _read(self, arrivals: Sequence[Arrival]) -> list[Read]:
        """With the keys that earlier batches found; `Batch.load` looks whether they still are."""
        found = find(arrivals)
        if unknown := {one.chain_key for one in found if isinstance(one, Incoming)} - self._keys.keys():
            with self._database.read() as db:
                self._keys |= batch_store.device_keys(db, unknown)
        return check(arrivals, found, self._keys)

    def _remember(self, batch: Batch) -> None:
        if len(self._keys) > MOST_KEYS:
            self._keys, self._heard = {}, {}
        self._keys |= batch.keys
        self._heard |= batch.heard

    def _decide(self, db: Session, batch: Batch, reads: list[Read], *, leaves: bool) -> None:
        queue = log_store.queue_rows(db, QUEUE_ROWS) if leaves else []
        again = [_arrival(row) for row in queue if row.kind == LeafKind.EVENT]
        if again:
            reads = check(again, find(again), {}) + reads
        batch.admit(batch.load(db, reads))
        own = [row for row in queue if row.kind != LeafKind.EVENT]
        known = log_store.known_leaves(db, [row.leaf_hash for row in own])
        batch.add_queued(row for row in own if row.leaf_hash not in known)
        log_store.drop_queue_rows(db, [row.id for row in queue if row.id is not None])

    def _sign_head(self, db: Session, tree: Tree, now: datetime) -> None:
        head = checkpoint.sign(self._origin, tree.size, tree.root(), key=self._signers.checkpoint)
        log_store.store_checkpoint(db, head, now=now)

    def _put_on_record(self, db: Session, batch: Batch, fresh: list[tuple[Arrival, SetAside]]) -> None:
        """What was set aside is itself an entry of the next batch: nobody can empty the quarantine unseen."""
        by_owner: dict[tuple[UUID, str], list[tuple[Arrival, SetAside]]] = {}
        for arrival, why in fresh:
            by_owner.setdefault(batch.owner_of(why), []).append((arrival, why))
        for arrivals in by_owner.values():
            digests = sorted(hashlib.sha256(arrival.payload).digest() for arrival, _ in arrivals)
            public = {
                "count": len(arrivals),
                "digest": hashlib.sha256(b"".join(digests)).digest(),
                "reasons": sorted({why.reason.value for _, why in arrivals}),
            }
            devices = sorted({why.incoming.facts.device_id for _, why in arrivals if why.incoming})
            owner = batch.owner_of(arrivals[0][1])
            self._record(db, EntryType.EVENTS_SET_ASIDE, {"device": devices}, public, owner=owner, now=batch.now)
        for _, why in fresh:
            if why.reason is Reason.EQUIVOCATION and why.incoming is not None:
                self._record_equivocation(db, batch, why)

    def _record_equivocation(self, db: Session, batch: Batch, why: SetAside) -> None:
        if why.incoming is None:
            return
        header = why.incoming.facts
        stored = batch.chains[why.incoming.chain_key].links[header.seq].leaf_hash
        public = {"generation": header.generation, "seq": header.seq, "stored": stored, "other": why.incoming.leaf_hash}
        refs: dict[str, object] = {"device": header.device_id}
        self._record(db, EntryType.EQUIVOCATION, refs, public, owner=batch.owner_of(why), now=batch.now)

    def _record(
        self,
        db: Session,
        entry_type: EntryType,
        refs: dict[str, object],
        public: dict[str, object],
        *,
        owner: tuple[UUID, str],
        now: datetime,
    ) -> None:
        service.record(
            db,
            key=self._signers.entry,
            entry_type=entry_type,
            refs=refs,
            public=public,
            tenant_id=owner[0],
            branch_path=owner[1],
            now=now,
            rng=self._rng,
            clock=self._clock,
        )


def _load(db: Session, log: LedgerLog) -> Tree:
    """Raises: BrokenTree."""
    tree = Tree.load(log.size, log_store.tile_reader(db))
    newest = log_store.newest_checkpoint(db)
    if log.size and (newest is None or newest.size != log.size or newest.root != tree.root()):
        raise BrokenTree(f"the tiles do not give the root signed at size {log.size}; run `cinnabar fsck`")
    return tree


def _rising(acknowledged: Sequence[Acknowledged]) -> list[Acknowledged]:
    """The highest number of a device last."""
    return sorted(acknowledged, key=lambda one: one.up_to_seq)


def _arrival(row: LedgerQueue) -> Arrival:
    return Arrival(row.leaf, row.source)
