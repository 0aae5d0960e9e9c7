"""What one batch reads before it decides and writes after it: device keys, chains, entries; a few statements in all.

All of it happens in the transaction that locked the row of `ledger_log` (see log_store), through `driver`.
"""

from collections.abc import Collection
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlmodel import Session, col, delete, update

from firmware_protocol import events
from server.ledger import driver, merkle, places
from server.ledger.admission import Chain, DeviceKey, Gap, KeyStatus, Link
from server.ledger.log_store import ChainKey, ReceiptFacts
from server.ledger.models import (
    LedgerDeviceHead,
    LedgerDeviceKey,
    LedgerEntry,
    LedgerGap,
    LedgerPhoto,
    LedgerReceipt,
    LedgerRef,
)
from server.ledger.schemas import PhotoState

ENTRY_COLUMNS: Final = (
    "idx",
    "leaf_hash",
    "kind",
    "leaf",
    "tenant_id",
    "branch_path",
    "admitted_at",
    "entry_type",
    "device_id",
    "generation",
    "seq",
)
_CHAIN: Final = places.CHAIN
_GAP: Final = (*_CHAIN, "first_seq", "last_seq", "opened_at", "closed_at")


class KeyOwner(NamedTuple):
    """An enrolled key and whose device it belongs to."""

    key: DeviceKey
    tenant_id: UUID
    branch_path: str


def device_keys(db: Session, wanted: Collection[ChainKey]) -> dict[ChainKey, KeyOwner]:
    columns = (*_CHAIN, "public_key", "status", "tenant_id", "branch_path")
    return {
        (device_id, generation): _owner(*owner)
        for device_id, generation, *owner in driver.look_up(db, LedgerDeviceKey, columns, by=_CHAIN, wanted=wanted)
    }


@lru_cache(maxsize=20_000)
def _owner(public_key: bytes, status: str, tenant_id: UUID, branch_path: str) -> KeyOwner:
    """The same object for the same facts: every batch asks for the keys of its devices anew."""
    return KeyOwner(DeviceKey(public_key, KeyStatus(status)), tenant_id, branch_path)


def chains(db: Session, wanted: dict[ChainKey, set[int]]) -> dict[ChainKey, Chain]:
    """The chains that events with these numbers belong to, with the stored neighbours that `admission.admit` needs."""
    loaded = {chain_key: Chain() for chain_key in wanted}
    columns = (*_CHAIN, "last_seq", "last_hash", "quarantined_at")
    for device_id, generation, last_seq, last_hash, quarantined_at in driver.look_up(
        db, LedgerDeviceHead, columns, by=_CHAIN, wanted=wanted
    ):
        chain = loaded[device_id, generation]
        chain.last_seq, chain.last_hash, chain.quarantined = last_seq, last_hash, quarantined_at is not None
    gaps = driver.look_up(db, LedgerGap, _GAP, by=_CHAIN, wanted=wanted, where="t.closed_at IS NULL")
    for device_id, generation, first_seq, last_seq, opened_at, _open in sorted(gaps, key=lambda gap: int(gap[2])):
        loaded[device_id, generation].gaps.append(Gap(first_seq, last_seq, opened_at))
    late = {
        (*chain_key, seq + step)
        for chain_key, numbers in wanted.items()
        for seq in numbers
        if seq <= loaded[chain_key].last_seq
        for step in (-1, 0, 1)
    }
    for device_id, generation, seq, leaf in places.leaves(db, late):
        event = events.peek(leaf)
        link = Link(merkle.leaf_hash(leaf), events.chain_hash(leaf), event.header.previous)
        loaded[device_id, generation].links[seq] = link
    return loaded


def store_entries(db: Session, entries: driver.Rows, refs: driver.Rows) -> None:
    """`entries` as ENTRY_COLUMNS, in the order of their indexes; `refs` as (reference, index)."""
    driver.insert(db, LedgerEntry, ENTRY_COLUMNS, entries)
    if entries:
        places.add(db, entries[0][0], entries[-1][0])
    driver.insert(db, LedgerRef, ("ref", "idx"), refs)


def store_chains(db: Session, changed: dict[ChainKey, Chain], *, now: datetime) -> None:
    """Heads and gaps of chains that `admission.admit` changed."""
    columns = (*_CHAIN, "last_seq", "last_hash", "prefix_seq")
    heads = [(*chain_key, chain.last_seq, chain.last_hash, chain.prefix_seq) for chain_key, chain in changed.items()]
    driver.upsert(db, LedgerDeviceHead, columns, heads)
    for chain_key, chain in changed.items():
        if chain.quarantined:
            unmarked = col(LedgerDeviceHead.quarantined_at).is_(None)
            db.execute(
                update(LedgerDeviceHead).where(*_is(LedgerDeviceHead, chain_key), unmarked).values(quarantined_at=now)
            )
        if chain.gaps or chain.filled:
            _store_gaps(db, chain_key, chain, now=now)


def _store_gaps(db: Session, chain_key: ChainKey, chain: Chain, *, now: datetime) -> None:
    """The open gaps as they are now, and the closed ones of this batch."""
    db.execute(delete(LedgerGap).where(*_is(LedgerGap, chain_key), col(LedgerGap.closed_at).is_(None)))
    rows = [(gap, None) for gap in chain.gaps] + [(gap, now) for gap in chain.filled]
    driver.insert(
        db, LedgerGap, _GAP, [(*chain_key, gap.first, gap.last, gap.opened_at, closed) for gap, closed in rows]
    )


def heard_over(db: Session, gateways: dict[ChainKey, str]) -> None:
    """Remember over which gateway each device was last heard."""
    rows = [(*chain_key, gateway_id, 0) for chain_key, gateway_id in gateways.items()]
    driver.upsert(db, LedgerReceipt, (*_CHAIN, "gateway_id", "acked_seq"), rows, keep=("acked_seq",))


def acknowledged(db: Session, up_to: dict[ChainKey, int], *, now: datetime) -> None:
    """Devices have receipts up to these numbers; one that has a later receipt already keeps it."""
    columns = (*_CHAIN, "gateway_id", "acked_seq")
    known = driver.look_up(db, LedgerReceipt, columns, by=_CHAIN, wanted=up_to)
    rows = [
        (device_id, generation, gateway_id, up_to[device_id, generation], now)
        for device_id, generation, gateway_id, acked_seq in known
        if acked_seq < up_to[device_id, generation]
    ]
    driver.upsert(db, LedgerReceipt, (*columns, "acked_at"), rows)


def receipt_facts(db: Session, wanted: Collection[ChainKey]) -> dict[ChainKey, ReceiptFacts]:
    """By device; none for one that has no event below its first gap."""
    facts = {
        (device_id, generation): ReceiptFacts(gateway_id, seq, leaf, [])
        for device_id, generation, gateway_id, seq, leaf in places.ends_of_prefixes(db, wanted)
    }
    columns = (*_CHAIN, "digest", "created_at")
    unnamed = driver.look_up(
        db, LedgerPhoto, columns, by=_CHAIN, wanted=wanted, where=f"t.state <> {int(PhotoState.ACKED)}"
    )
    for device_id, generation, digest, _created_at in sorted(unnamed, key=lambda photo: (photo[3], photo[2])):
        if (device_id, generation) in facts:
            facts[device_id, generation].photos.append(digest)
    return facts


def _is(table: Any, chain_key: ChainKey) -> tuple[Any, Any]:  # noqa: ANN401 - any table with the key columns
    return table.device_id == chain_key[0], table.generation == chain_key[1]
