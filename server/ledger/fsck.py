"""Recompute the whole log from its raw bytes and name what does not fit, first wrong row first.

Trusted is only what the caller brings: the log's verifier key and, per kind, the keys that may have signed leaves.
Everything else (leaf hashes, tiles, signed roots, device chains, heads, gaps) must follow from the stored leaves.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from sqlmodel import Session, col, select

from firmware_protocol import cose, events
from firmware_protocol.errors import ProtocolError
from firmware_protocol.purposes import Purpose
from server.ledger import checkpoint, entry_codec, log_store, merkle, places
from server.ledger.checkpoint import BadCheckpoint, VerifierKey
from server.ledger.log_store import ChainKey
from server.ledger.models import (
    LedgerCheckpoint,
    LedgerDeviceHead,
    LedgerDeviceKey,
    LedgerEntry,
    LedgerGap,
    LedgerRef,
    LedgerTile,
)
from server.ledger.schemas import LeafKind

PURPOSE_OF: Final = {
    LeafKind.EVENT: Purpose.EVENT,
    LeafKind.TOKEN: Purpose.TOKEN,
    LeafKind.PERMIT: Purpose.PERMIT,
    LeafKind.ENTRY: Purpose.ENTRY,
}
_PAGE: Final = 2000


@dataclass(frozen=True, slots=True)
class Problem:
    """One row that does not follow from the leaves; `row` is TABLE KEY."""

    row: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """`log`: the log's name and key. `server`: the public keys that ever signed leaves of a kind."""

    log: VerifierKey
    server: Mapping[LeafKind, tuple[bytes, ...]]


@dataclass(slots=True)
class _Walk:
    """What one pass over the leaves gives for the checks after it."""

    tree: merkle.Tree = field(default_factory=merkle.Tree)
    tiles: dict[tuple[int, int], bytes] = field(default_factory=dict)
    roots: dict[int, bytes] = field(default_factory=dict)  # at the sizes of stored checkpoints
    links: dict[ChainKey, dict[int, tuple[bytes, bytes]]] = field(default_factory=lambda: defaultdict(dict))


def check(db: Session, keys: Keys) -> Iterator[Problem]:
    """Every problem of the log; none means that it is whole. Reads one snapshot."""
    walk = _Walk()
    sizes = set(db.exec(select(LedgerCheckpoint.size)))
    device_keys = {(row.device_id, row.generation): row.public_key for row in db.exec(select(LedgerDeviceKey))}
    refs = _refs(db)
    for index, row in enumerate(_entries(db)):
        if row.idx != index:
            yield Problem(f"ledger_entry {index}", "is missing")
            return
        yield from _check_leaf(row, keys, device_keys, refs.pop(index, set()))
        walk.tiles |= {(tile.level, tile.index): tile.data for tile in walk.tree.append([merkle.leaf_hash(row.leaf)])}
        if walk.tree.size in sizes:
            walk.roots[walk.tree.size] = walk.tree.root()
        if row.kind == LeafKind.EVENT:
            _remember_event(row, walk)
    for index in refs:
        yield Problem(f"ledger_ref {index}", "points behind the end of the log")
    for index in places.wrong(db):
        yield Problem(f"ledger_place of entry {index}", "is not what the entry says")
    yield from _check_log(db, walk)
    yield from _check_checkpoints(db, walk, keys)
    yield from _check_tiles(db, walk)
    yield from _check_chains(db, walk)


def _entries(db: Session) -> Iterator[LedgerEntry]:
    after = -1
    while True:
        query = select(LedgerEntry).where(col(LedgerEntry.idx) > after).order_by(col(LedgerEntry.idx)).limit(_PAGE)
        page = db.exec(query).all()
        if not page:
            return
        yield from page
        after = page[-1].idx
        db.expunge_all()  # memory stays flat over a long log


def _refs(db: Session) -> dict[int, set[str]]:
    found: dict[int, set[str]] = defaultdict(set)
    for ref, index in db.exec(select(LedgerRef.ref, LedgerRef.idx)):
        found[index].add(ref)
    return dict(found)


def _check_leaf(
    row: LedgerEntry, keys: Keys, device_keys: Mapping[ChainKey, bytes], refs: set[str]
) -> Iterator[Problem]:
    name = f"ledger_entry {row.idx}"
    if row.leaf_hash != merkle.leaf_hash(row.leaf):
        yield Problem(name, "its leaf hash is not that of its bytes")
    if row.kind not in set(LeafKind):
        yield Problem(name, f"no leaf is of kind {row.kind!r}")
        return
    kind = LeafKind(row.kind)
    try:
        if kind is LeafKind.EVENT:
            event = events.peek(row.leaf)
            public_key = device_keys.get((event.header.device_id, event.header.generation), b"")
            signers: tuple[bytes, ...] = (public_key,)
            columns = _event_columns(event)
        else:
            signers = keys.server.get(kind, ())
            columns = (int(entry_codec.peek(row.leaf).entry_type) if kind is LeafKind.ENTRY else None, None, None, None)
        cose.verify1(row.leaf, keys=cose.keyring(*signers), purpose=PURPOSE_OF[kind])
    except ProtocolError as error:
        yield Problem(name, f"its leaf does not verify: {error}")
        return
    if columns != (row.entry_type, row.device_id, row.generation, row.seq):
        yield Problem(name, "its columns are not what its leaf says")
    if kind is LeafKind.ENTRY and refs != set(entry_codec.ref_strings(entry_codec.peek(row.leaf).refs)):
        yield Problem(f"ledger_ref {row.idx}", "its references are not those in its leaf")


def _event_columns(event: events.Event) -> tuple[int | None, str | None, int | None, int | None]:
    header = event.header
    return int(header.event_type), header.device_id, header.generation, header.seq


def _remember_event(row: LedgerEntry, walk: _Walk) -> None:
    try:
        header = events.peek(row.leaf).header
    except ProtocolError:
        return  # already named
    links = walk.links[header.device_id, header.generation]
    links[header.seq] = (events.chain_hash(row.leaf), header.previous)


def _check_log(db: Session, walk: _Walk) -> Iterator[Problem]:
    log = log_store.log(db)
    size = log.size if log else 0
    if size != walk.tree.size:
        yield Problem("ledger_log 1", f"says {size} entries, there are {walk.tree.size}")
    newest = log_store.newest_checkpoint(db)
    if newest is None or newest.size != walk.tree.size:
        yield Problem("ledger_checkpoint", f"none was signed for {walk.tree.size} entries")


def _check_checkpoints(db: Session, walk: _Walk, keys: Keys) -> Iterator[Problem]:
    walk.roots[0] = merkle.EMPTY_ROOT
    for row in db.exec(select(LedgerCheckpoint).order_by(col(LedgerCheckpoint.size))):
        name = f"ledger_checkpoint {row.size}"
        try:
            signed = checkpoint.verify(row.note, key=keys.log)
        except BadCheckpoint as error:
            yield Problem(name, f"its note does not verify: {error}")
            continue
        if (signed.size, signed.root) != (row.size, row.root):
            yield Problem(name, "its columns are not what its note says")
        if walk.roots.get(row.size) != row.root:
            yield Problem(name, "its root is not that of the leaves")


def _check_tiles(db: Session, walk: _Walk) -> Iterator[Problem]:
    expected = dict(walk.tiles)
    for row in db.exec(select(LedgerTile).order_by(col(LedgerTile.level), col(LedgerTile.idx))):
        if expected.pop((row.level, row.idx), None) != row.data or row.width * merkle.HASH_SIZE != len(row.data):
            yield Problem(f"ledger_tile {row.level}/{row.idx}", "its hashes are not those of the leaves")
    for level, index in sorted(expected):
        yield Problem(f"ledger_tile {level}/{index}", "is missing")


def _check_chains(db: Session, walk: _Walk) -> Iterator[Problem]:
    heads = {(row.device_id, row.generation): row for row in db.exec(select(LedgerDeviceHead))}
    gaps: dict[ChainKey, set[tuple[int, int]]] = defaultdict(set)
    for gap in db.exec(select(LedgerGap).where(col(LedgerGap.closed_at).is_(None))):
        gaps[gap.device_id, gap.generation].add((gap.first_seq, gap.last_seq))
    for chain_key in sorted({*walk.links, *heads, *gaps}):
        links = walk.links.get(chain_key, {})
        name = f"{chain_key[0]}/{chain_key[1]}"
        for seq, (_, previous) in sorted(links.items()):
            before = (events.FIRST_PREVIOUS, b"") if seq == 1 else links.get(seq - 1)
            if before is not None and before[0] != previous:
                yield Problem(f"ledger_entry of {name} seq {seq}", "does not follow from the event before it")
        missing = _missing(links)
        if gaps.get(chain_key, set()) != missing:
            yield Problem(f"ledger_gap of {name}", f"open gaps should be {sorted(missing)}")
        head = heads.get(chain_key)
        last = max(links, default=0)
        prefix = min((first for first, _ in missing), default=last + 1) - 1
        if head is None or (head.last_seq, head.prefix_seq, head.last_hash) != (last, prefix, links[last][0]):
            yield Problem(f"ledger_device_head {name}", f"should be at {last}, without a gap up to {prefix}")


def _missing(links: Mapping[int, object]) -> set[tuple[int, int]]:
    ranges, expected = set(), 1
    for seq in sorted(links):
        if seq > expected:
            ranges.add((expected, seq - 1))
        expected = seq + 1
    return ranges
