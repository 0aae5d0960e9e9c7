"""The log as a whole: what the sequencer reads and writes in one transaction per batch, and tiles for proofs.

Contract: the row of `ledger_log` is locked first, and every write below happens in that transaction. SQLite's write
session is exclusive; on PostgreSQL the row lock makes batches exclusive, and readers see a batch whole or not at all.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import ColumnElement, Table, and_, delete, insert, update
from sqlmodel import Session, SQLModel, col, select

from server.ledger import driver, places
from server.ledger.checkpoint import Checkpoint
from server.ledger.merkle import ReadTile, Tile
from server.ledger.models import (
    LedgerCheckpoint,
    LedgerDeviceHead,
    LedgerLog,
    LedgerPhoto,
    LedgerQuarantine,
    LedgerQueue,
    LedgerReceipt,
    LedgerTile,
)
from server.ledger.schemas import PhotoState

ChainKey = tuple[str, int]
"""(device id, key generation)."""
LOG_ID: Final = 1


def lock_log(db: Session) -> LedgerLog | None:
    return db.exec(select(LedgerLog).where(LedgerLog.id == LOG_ID).with_for_update()).first()


def log(db: Session) -> LedgerLog | None:
    return db.get(LedgerLog, LOG_ID)


def hold_log(db: Session, *, fence: int, held_until: datetime) -> int | None:
    """Lock the log's row and renew its lease; its size, or None when the row has another fence."""
    rows = driver.change(db, LedgerLog, {"held_until": held_until}, {"id": LOG_ID, "fence": fence}, gives=("size",))
    return rows[0][0] if rows else None


def store_size(db: Session, size: int) -> None:
    driver.change(db, LedgerLog, {"size": size}, {"id": LOG_ID})


class Work(NamedTuple):
    """What waits for the next batch besides arrivals."""

    leaves: bool
    photos: bool


def work_waits(db: Session) -> Work:
    leaves, photos = driver.any_rows(db, (LedgerQueue, ""), (LedgerPhoto, f"state = {int(PhotoState.NEW)}"))
    return Work(leaves, photos)


def queue_rows(db: Session, limit: int) -> Sequence[LedgerQueue]:
    return db.exec(select(LedgerQueue).order_by(col(LedgerQueue.id)).limit(limit)).all()


def drop_queue_rows(db: Session, ids: Collection[int]) -> None:
    if ids:
        db.execute(delete(LedgerQueue).where(col(LedgerQueue.id).in_(ids)))


def known_leaves(db: Session, leaf_hashes: Collection[bytes]) -> set[bytes]:
    if not leaf_hashes:
        return set()
    place = places.columns(db)
    return set(db.exec(select(place.leaf_hash).where(place.leaf_hash.in_(leaf_hashes))))


def insert_rows(db: Session, table: type[SQLModel], rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        db.execute(insert(_plain(table)), list(rows))


def upsert(db: Session, table: type[SQLModel], rows: Sequence[dict[str, Any]]) -> None:
    """Insert, or overwrite the given columns where the primary key exists."""
    if rows:
        driver.upsert(db, table, tuple(rows[0]), [tuple(row.values()) for row in rows])


def store_tiles(db: Session, tiles: Iterable[Tile]) -> None:
    rows = [(tile.level, tile.index, tile.width, tile.data) for tile in tiles]
    driver.upsert(db, LedgerTile, ("level", "idx", "width", "data"), rows)


def tile(db: Session, level: int, index: int) -> bytes:
    """Its hashes; empty when there is no such tile."""
    row: bytes | None = driver.fetch(db, LedgerTile, "data", level=level, idx=index)
    return row if row is not None else b""


def tile_reader(db: Session) -> ReadTile:
    """Tiles of this session's snapshot, each read once."""
    seen: dict[tuple[int, int], bytes] = {}

    def read(level: int, index: int) -> bytes:
        if (level, index) not in seen:
            seen[level, index] = tile(db, level, index)
        return seen[level, index]

    return read


def store_checkpoint(db: Session, checkpoint: Checkpoint, *, now: datetime) -> None:
    row = (checkpoint.size, checkpoint.root, checkpoint.note, now)
    driver.upsert(db, LedgerCheckpoint, ("size", "root", "note", "created_at"), [row])


def newest_checkpoint(db: Session) -> Checkpoint | None:
    row = db.exec(select(LedgerCheckpoint).order_by(col(LedgerCheckpoint.size).desc()).limit(1)).first()
    if row is None:
        return None
    origin = row.note.partition("\n")[0]
    return Checkpoint(origin=origin, size=row.size, root=row.root, note=row.note)


def known_set_aside(db: Session, digests: Collection[bytes]) -> set[bytes]:
    if not digests:
        return set()
    return set(db.exec(select(LedgerQuarantine.digest).where(col(LedgerQuarantine.digest).in_(digests))))


def seen_again(db: Session, digests: Collection[bytes], *, now: datetime) -> None:
    if digests:
        again = update(LedgerQuarantine).where(col(LedgerQuarantine.digest).in_(digests))
        db.execute(again.values(times=LedgerQuarantine.times + 1, last_at=now))


def gateway_of(db: Session, chain_key: ChainKey) -> str | None:
    row = db.get(LedgerReceipt, chain_key)
    return None if row is None else row.gateway_id


def photos_acknowledged(db: Session, chain_key: ChainKey, photos: Collection[bytes]) -> None:
    """The device has a receipt that names `photos`."""
    _move_photos(db, chain_key, photos, was=PhotoState.NAMED, now=PhotoState.ACKED)


def name_again(db: Session, chain_key: ChainKey, photos: Collection[bytes]) -> None:
    """Receipts name these again although one that did was acknowledged."""
    _move_photos(db, chain_key, photos, was=PhotoState.ACKED, now=PhotoState.NAMED)


def _move_photos(
    db: Session, chain_key: ChainKey, photos: Collection[bytes], *, was: PhotoState, now: PhotoState
) -> None:
    device_id, generation = chain_key
    if photos:
        db.execute(
            update(LedgerPhoto)
            .where(
                col(LedgerPhoto.device_id) == device_id,
                col(LedgerPhoto.generation) == generation,
                col(LedgerPhoto.digest).in_(photos),
                col(LedgerPhoto.state) == was,
            )
            .values(state=now)
        )


def take_new_photos(db: Session) -> set[ChainKey]:
    """Devices with photos that no receipt names yet; marks those photos as named."""
    query = select(LedgerPhoto.device_id, LedgerPhoto.generation).where(col(LedgerPhoto.state) == PhotoState.NEW)
    found = {(device_id, generation) for device_id, generation in db.exec(query.distinct())}
    if found:
        db.execute(update(LedgerPhoto).where(col(LedgerPhoto.state) == PhotoState.NEW).values(state=PhotoState.NAMED))
    return found


@dataclass(frozen=True, slots=True)
class ReceiptFacts:
    """What a device's receipt says: the last event below its lowest open gap, and stored photos to be named."""

    gateway_id: str
    up_to_seq: int
    leaf: bytes
    photos: list[bytes]  # oldest first


def _same_chain(one: Any, other: Any) -> ColumnElement[bool]:  # noqa: ANN401 - any two tables with the key columns
    return and_(one.device_id == other.device_id, one.generation == other.generation)


def unacknowledged(db: Session) -> set[ChainKey]:
    """Devices that have not acknowledged a receipt for all that could be in one."""
    head, receipt = LedgerDeviceHead, LedgerReceipt
    behind = select(head.device_id, head.generation).join(receipt, _same_chain(head, receipt))
    rows = set(db.exec(behind.where(col(head.prefix_seq) > col(receipt.acked_seq))))
    photos = select(LedgerPhoto.device_id, LedgerPhoto.generation).where(col(LedgerPhoto.state) == PhotoState.NAMED)
    return {(device_id, generation) for device_id, generation in rows | set(db.exec(photos.distinct()))}


def _plain(table: type[SQLModel]) -> Table:
    """The table without its class: bulk writes are twice as fast past the ORM."""
    found: Table = table.__table__  # type: ignore[attr-defined]
    return found
