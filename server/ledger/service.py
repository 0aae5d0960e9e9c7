"""What other slices may ask of the ledger. One business step each: session first, keywords, no commit."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlmodel import Session

from firmware_protocol import cose
from firmware_protocol.errors import Malformed
from firmware_protocol.events import EventType
from server.core.clock import Clock
from server.core.ids import new_id
from server.core.rng import Rng
from server.core.scope import Scope, check_branch_path
from server.core.signer import Signer
from server.ledger import entry_codec, log_store, merkle, store, tile_cache, witness_store
from server.ledger.admission import KeyStatus, Reason
from server.ledger.checkpoint import Checkpoint, VerifierKey
from server.ledger.cosignature import Witness
from server.ledger.entry_codec import MAX_LEAF, SALT_SIZE, Entry, Opening
from server.ledger.entry_types import SPECS, EntryType
from server.ledger.errors import LogNotStarted
from server.ledger.models import LedgerDeviceKey, LedgerOpening, LedgerPhoto, LedgerQueue
from server.ledger.proof import InclusionProof
from server.ledger.schemas import (
    AnchorRead,
    CheckpointRead,
    DeviceHead,
    EntryRead,
    EntryRef,
    LeafKind,
    OpenGap,
    PhotoState,
    SetAsideRead,
    WitnessRead,
)

__all__ = [
    "AnchorRead",
    "Checkpoint",
    "CheckpointRead",
    "DeviceHead",
    "EntryRead",
    "EntryRef",
    "EntryType",
    "InclusionProof",
    "KeyStatus",
    "LeafKind",
    "OpenGap",
    "Opening",
    "SetAsideRead",
    "VerifierKey",
]


def enqueue(
    db: Session,
    *,
    kind: LeafKind,
    leaf: bytes,
    tenant_id: UUID,
    branch_path: str,
    refs: Sequence[str] = (),
    now: datetime,
    source: str = "",
) -> bytes:
    """Put exactly these signed bytes on record, in the caller's transaction; returns the leaf hash.

    The same bytes again change nothing. An event goes through admission like one from a gateway (`source`).
    Raises: Malformed for what the sequencer could not store: too long, not a COSE_Sign1, not an entry, a broken ref.
    """
    _check_leaf(kind, leaf, refs)
    leaf_hash = merkle.leaf_hash(leaf)
    row = LedgerQueue(
        leaf_hash=leaf_hash,
        kind=kind,
        leaf=leaf,
        tenant_id=tenant_id,
        branch_path=check_branch_path(branch_path),
        refs=sorted(set(refs)),
        source=source,
        created_at=now,
    )
    store.add_to_queue(db, row)
    return leaf_hash


def record(
    db: Session,
    *,
    key: Signer,
    entry_type: EntryType,
    refs: Mapping[str, object] | None = None,
    public: Mapping[str, object] | None = None,
    private: Mapping[str, object] | None = None,
    tenant_id: UUID,
    branch_path: str,
    now: datetime,
    rng: Rng,
    clock: Clock,
) -> EntryRef:
    """Sign a business entry and put it on record. `key` is the signer for purpose `entry`.

    refs: kind -> id, as {"request": request.id}; bytes are indexed in hex, a list names several. public: fields that
    anyone with the entry may read. private: each becomes a salted commitment; salt and value are kept apart and can be
    erased. Name new fields in entry_types.py and docs/entries.md. Raises: Malformed.
    """
    openings = {
        label: entry_codec.opening(value, salt=rng.token_bytes(SALT_SIZE)) for label, value in (private or {}).items()
    }
    entry = Entry(
        entry_type=entry_type,
        version=SPECS[entry_type].version,
        entry_id=new_id(clock, rng),
        time_ms=entry_codec.milliseconds(now),
        refs=entry_codec.plain(refs or {}),
        commitments={label: opening.commitment() for label, opening in openings.items()},
        public=entry_codec.plain(public or {}),
    )
    leaf = entry_codec.sign(entry, key=key)
    leaf_hash = enqueue(
        db,
        kind=LeafKind.ENTRY,
        leaf=leaf,
        tenant_id=tenant_id,
        branch_path=branch_path,
        refs=entry_codec.ref_strings(entry.refs),
        now=now,
    )
    for label, opening in openings.items():
        db.add(
            LedgerOpening(
                leaf_hash=leaf_hash,
                label=label,
                salt=opening.salt,
                value=opening.value,
                tenant_id=tenant_id,
                branch_path=branch_path,
            )
        )
    return EntryRef(entry_id=entry.entry_id, leaf_hash=leaf_hash)


def checkpoint(db: Session) -> Checkpoint:
    """The newest signed tree head. Raises: LogNotStarted."""
    found = log_store.newest_checkpoint(db)
    if found is None:
        raise LogNotStarted
    return found


def published_checkpoint(db: Session) -> Checkpoint:
    """The newest tree head that strangers get, with the lines of its witnesses. Raises: LogNotStarted."""
    return witness_store.published(db) or checkpoint(db)


def best_checkpoint(db: Session, *, names: Sequence[str], quorum: int, holding: int) -> Checkpoint:
    """The tree head that says most for entries up to index `holding`, with the lines of its witnesses.

    Cosigned (by `quorum` of `names`, at least one) and stamped, before cosigned, before stamped, before merely newest.
    Raises: LogNotStarted.
    """
    theirs = max(quorum, 1)
    for size in (
        witness_store.largest_cosigned(db, names, at_least=theirs, anchored=True),
        witness_store.largest_cosigned(db, names, at_least=theirs),
        witness_store.largest_anchored(db),
    ):
        found = witness_store.checkpoint_at(db, size) if size is not None and size > holding else None
        if found is not None:
            return found
    newest = checkpoint(db)
    return witness_store.checkpoint_at(db, newest.size) or newest


def anchors(db: Session, size: int) -> list[AnchorRead]:
    """Time stamps over the checkpoint of `size` entries: over its exact note, without lines of witnesses."""
    return witness_store.anchors(db, size)


def checkpoint_as_stamped(db: Session, size: int) -> str | None:
    """The exact note that `anchors` stamp; None: there was no checkpoint of that size."""
    return witness_store.own_note(db, size)


def witness_states(db: Session, witnesses: Sequence[Witness]) -> list[WitnessRead]:
    """The configured witnesses, as they stand."""
    return [witness_store.state_of(db, witness) for witness in witnesses]


def published_size(db: Session) -> int:
    """Entries under the newest published tree head; 0: none was published."""
    found = witness_store.published(db)
    return found.size if found else 0


def last_anchor(db: Session, authority: str) -> tuple[int, datetime] | None:
    """(size, when it was kept) of this authority's latest time stamp; None: it never gave one."""
    return witness_store.last_anchor(db, authority)


def keep_anchor(db: Session, anchor: AnchorRead, *, now: datetime) -> None:
    """Keep a time stamp that was verified over the checkpoint's exact note. Again changes nothing."""
    witness_store.keep_anchor(db, anchor, now=now)


def recent_checkpoints(db: Session, *, limit: int = 20) -> list[CheckpointRead]:
    """Published tree heads with what witnesses and time-stamp authorities said, newest first."""
    return witness_store.recent(db, limit)


def head(db: Session) -> tuple[int, bytes]:
    """(size, root) of the log. Raises: LogNotStarted."""
    newest = checkpoint(db)
    return newest.size, newest.root


def verifier_key(db: Session, *, public_key: bytes) -> VerifierKey:
    """The log's vkey; `public_key` is that of purpose `checkpoint`. Raises: LogNotStarted."""
    return VerifierKey(name=checkpoint(db).origin, public_key=public_key)


def proof(db: Session, leaf_hash: bytes, *, under: Checkpoint | None = None) -> InclusionProof | None:
    """Proof that the leaf is in the tree of `under` (default: the newest checkpoint).

    None while it is only queued, unknown, or younger than `under`.
    """
    index = store.index_of(db, leaf_hash)
    if index is None:
        return None
    tree_head = under or checkpoint(db)
    if index >= tree_head.size:
        return None
    path = tile_cache.inclusion_proof(db, index, tree_head.size)
    return InclusionProof(index=index, path=tuple(path), checkpoint=tree_head)


def entry(db: Session, scope: Scope, leaf_hash: bytes) -> EntryRead | None:
    """One entry of the tree, when the scope may see it."""
    return store.entry(db, scope, leaf_hash)


def find(
    db: Session,
    scope: Scope,
    *,
    ref: str | None = None,
    device_id: str | None = None,
    kind: LeafKind | None = None,
    entry_type: EntryType | EventType | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[EntryRead]:
    """Entries in the tree, newest first. `ref`: `kind:value`; `before`: an index, for the next page; limit <= 500."""
    return store.find(
        db, scope, ref=ref, device_id=device_id, kind=kind, entry_type=entry_type, before=before, limit=limit
    )


def leaves(db: Session, *, first: int, last: int) -> list[EntryRead]:
    """Entries `first`..`last` (both included) of the whole log, for projections ("events.project") and exports."""
    return store.leaves(db, first=first, last=last)


def queued(db: Session) -> int:
    """How many leaves wait for the sequencer."""
    return store.queue_length(db)


def openings(db: Session, scope: Scope, leaf_hash: bytes) -> dict[str, Opening | None]:
    """Label -> salt and value, None where they were erased. Works from the moment the entry is recorded."""
    return {
        row.label: None if row.salt is None or row.value is None else Opening(row.salt, row.value)
        for row in store.openings(db, scope, leaf_hash)
    }


def erase_openings(
    db: Session, scope: Scope, leaf_hash: bytes, *, labels: Sequence[str] | None = None, now: datetime
) -> int:
    """Forget salts and values (all, or those of `labels`); returns how many. Leaf, tree and proofs stay as they are."""
    erased = 0
    for row in store.openings(db, scope, leaf_hash):
        if row.erased_at is None and (labels is None or row.label in labels):
            row.salt, row.value, row.erased_at = None, None, now
            db.add(row)
            erased += 1
    return erased


def register_device_key(
    db: Session,
    *,
    device_id: str,
    generation: int,
    public_key: bytes,
    tenant_id: UUID,
    branch_path: str,
    now: datetime,
    status: KeyStatus = KeyStatus.ACTIVE,
) -> None:
    """From now on `public_key` signs this device generation's events. Calling again changes owner, branch or status.

    Events that were set aside for want of this key are tried again. Raises: ValueError for another key under the same
    device and generation: a new key is a new generation.
    """
    known = store.device_key(db, device_id, generation)
    if known is not None and known.public_key != public_key:
        raise ValueError(f"{device_id} generation {generation} has another key")
    row = LedgerDeviceKey(
        device_id=device_id,
        generation=generation,
        public_key=public_key,
        status=status,
        tenant_id=tenant_id,
        branch_path=check_branch_path(branch_path),
    )
    db.merge(row)
    if status is not KeyStatus.REVOKED:
        _try_again(db, row, now=now)


def set_device_key_status(db: Session, *, device_id: str, generation: int, status: KeyStatus) -> None:
    """A suspended device's events are still admitted, a revoked one's are set aside. Raises: KeyError if unknown."""
    known = store.device_key(db, device_id, generation)
    if known is None:
        raise KeyError(f"{device_id} generation {generation}")
    known.status = status
    db.add(known)


def photo_stored(db: Session, *, device_id: str, generation: int, digest: bytes, now: datetime) -> None:
    """The blob store holds this photo completely: the device's next receipt names it. Calling again names it again."""
    store.put_photo(
        db,
        LedgerPhoto(device_id=device_id, generation=generation, digest=digest, state=PhotoState.NEW, created_at=now),
    )


def device_heads(db: Session, scope: Scope) -> list[DeviceHead]:
    """Every enrolled device generation, with how far its chain and its receipts have come."""
    return store.device_heads(db, scope)


def open_gaps(db: Session, scope: Scope) -> list[OpenGap]:
    """Event numbers that are missing, longest missing first."""
    return store.open_gaps(db, scope)


def set_aside(db: Session, scope: Scope) -> list[SetAsideRead]:
    """What arrived and was not admitted, newest first."""
    return store.set_aside(db, scope)


def _check_leaf(kind: LeafKind, leaf: bytes, refs: Sequence[str]) -> None:
    if not leaf or len(leaf) > MAX_LEAF:
        raise Malformed(f"a leaf of {len(leaf)} bytes, at most {MAX_LEAF}")
    if any("\x00" in ref or ":" not in ref for ref in refs):
        raise Malformed("a reference is kind:value")
    if kind is LeafKind.ENTRY:
        entry_codec.peek(leaf)
    elif kind is not LeafKind.EVENT:
        cose.parse1(leaf)


def _try_again(db: Session, key: LedgerDeviceKey, *, now: datetime) -> None:
    for row in store.set_aside_of(db, key.device_id, key.generation, Reason.UNKNOWN_KEY):
        enqueue(
            db,
            kind=LeafKind.EVENT,
            leaf=row.payload,
            tenant_id=key.tenant_id,
            branch_path=key.branch_path,
            now=now,
            source=row.source,
        )
        db.delete(row)
    db.flush()
