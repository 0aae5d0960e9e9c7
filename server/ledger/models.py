"""Tables of `server.ledger`. Only the sequencer writes entries, heads, gaps, tiles and checkpoints.

Everything but queue, keys, openings and quarantine can be recomputed from `ledger_entry` (see fsck).
"""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import JSON, Column, Connection, Index, Integer, LargeBinary, UniqueConstraint, event, text
from sqlmodel import Field, SQLModel

from server.core.db import BIG, CreatedAt, PostgresqlOnly, UtcDateTime

_UUID_IN_CBOR: Final = text("length(value) = 38")


def _number() -> Any:  # noqa: ANN401 - a column
    return Column(BIG, nullable=False)


def _key() -> Any:  # noqa: ANN401 - a column
    return Column(BIG, primary_key=True, autoincrement=False)


class LedgerQueue(CreatedAt, table=True):
    """Leaves that a business step committed and the sequencer has not yet put into the tree."""

    __tablename__ = "ledger_queue"

    id: int | None = Field(default=None, sa_column=Column(BIG, primary_key=True, autoincrement=True))
    leaf_hash: bytes = Field(max_length=32, unique=True)
    kind: str = Field(max_length=8)  # LeafKind
    leaf: bytes
    tenant_id: UUID
    branch_path: str
    refs: list[str] = Field(sa_column=Column(JSON, nullable=False))
    source: str = ""  # of a set-aside event that is tried again: the gateway it came from


class LedgerEntry(SQLModel, table=True):
    """One leaf of the tree. A row is written once and never changed.

    On PostgreSQL the table is partitioned by `idx` (see partitions), and `ledger_place` keeps hash and number unique.
    """

    __tablename__ = "ledger_entry"
    __table_args__ = (
        Index("uq_ledger_entry_leaf_hash", "leaf_hash", unique=True).ddl_if(dialect="sqlite"),
        Index("uq_ledger_entry_number", "device_id", "generation", "seq", unique=True).ddl_if(dialect="sqlite"),
        Index("ix_ledger_entry_kind", "kind", "entry_type", "idx"),
        Index("ix_ledger_entry_tenant", "tenant_id", "idx"),
        {"postgresql_partition_by": "RANGE (idx)"},
    )

    idx: int = Field(sa_column=_key())  # position in the tree, from 0
    leaf_hash: bytes = Field(max_length=32)
    kind: str = Field(max_length=8)
    leaf: bytes = Field(sa_column=Column(LargeBinary, nullable=False))  # exactly the bytes that were signed
    tenant_id: UUID
    branch_path: str
    admitted_at: datetime = Field(sa_type=UtcDateTime)
    entry_type: int | None = None  # EventType for events, EntryType for entries
    device_id: str | None = Field(default=None, max_length=12)
    generation: int | None = Field(default=None, sa_column=Column(BIG))
    seq: int | None = Field(default=None, sa_column=Column(BIG))


class LedgerPlace(PostgresqlOnly, table=True):
    """Where each leaf and each number of a device stands, once over all partitions of `ledger_entry`."""

    __tablename__ = "ledger_place"
    __table_args__ = (UniqueConstraint("device_id", "generation", "seq"),)

    leaf_hash: bytes = Field(primary_key=True, max_length=32)
    idx: int = Field(sa_column=_number())
    device_id: str | None = Field(default=None, max_length=12)
    generation: int | None = Field(default=None, sa_column=Column(BIG))
    seq: int | None = Field(default=None, sa_column=Column(BIG))


@event.listens_for(LedgerEntry.__table__, "after_create")  # type: ignore[attr-defined]
def _make_places(_table: object, connection: Connection, **_: object) -> None:
    if connection.dialect.name == "postgresql":
        LedgerPlace.metadata.create_all(connection)


class LedgerRef(SQLModel, table=True):
    """What an entry is about, for looking it up: `kind:value`."""

    __tablename__ = "ledger_ref"
    __table_args__ = {"sqlite_with_rowid": False}  # the key is all there is

    ref: str = Field(primary_key=True)
    idx: int = Field(sa_column=_key())


class LedgerDeviceKey(SQLModel, table=True):
    """Which key may sign events of which device generation; written for the devices slice."""

    __tablename__ = "ledger_device_key"

    device_id: str = Field(primary_key=True, max_length=12)
    generation: int = Field(sa_column=_key())
    public_key: bytes = Field(max_length=32)
    status: str = Field(max_length=12)  # admission.KeyStatus
    tenant_id: UUID
    branch_path: str


class LedgerDeviceHead(SQLModel, table=True):
    """How far one device generation's chain has come."""

    __tablename__ = "ledger_device_head"

    device_id: str = Field(primary_key=True, max_length=12)
    generation: int = Field(sa_column=_key())
    last_seq: int = Field(sa_column=_number())
    last_hash: bytes = Field(max_length=32)  # chain hash of event last_seq
    prefix_seq: int = Field(sa_column=_number())  # the last number below the lowest open gap
    quarantined_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class LedgerGap(SQLModel, table=True):
    """Numbers that did not arrive, or (closed) that arrived late."""

    __tablename__ = "ledger_gap"
    __table_args__ = (Index("ix_ledger_gap_device", "device_id", "generation"),)

    id: int | None = Field(default=None, sa_column=Column(BIG, primary_key=True, autoincrement=True))
    device_id: str = Field(max_length=12)
    generation: int = Field(sa_column=_number())
    first_seq: int = Field(sa_column=_number())
    last_seq: int = Field(sa_column=_number())  # included
    opened_at: datetime = Field(sa_type=UtcDateTime)
    closed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class LedgerQuarantine(SQLModel, table=True):
    """What arrived and was not admitted, with the reason. Never thinned out by the server."""

    __tablename__ = "ledger_quarantine"

    digest: bytes = Field(primary_key=True, max_length=32)  # SHA-256 of the whole payload
    payload: bytes  # at most store.MAX_KEPT bytes of it
    size: int  # of the whole payload
    reason: str = Field(max_length=24, index=True)  # admission.Reason
    detail: str
    source: str  # the gateway it came from
    topic_device: str
    first_at: datetime = Field(sa_type=UtcDateTime)
    last_at: datetime = Field(sa_type=UtcDateTime, index=True)
    times: int
    tenant_id: UUID | None = None  # of the device, when it is known
    branch_path: str | None = None
    device_id: str | None = Field(default=None, max_length=12, index=True)
    generation: int | None = Field(default=None, sa_column=Column(BIG))
    seq: int | None = Field(default=None, sa_column=Column(BIG))


class LedgerTile(SQLModel, table=True):
    """256 hashes of subtrees of 256**level leaves; only right-edge tiles are ever rewritten, and only longer."""

    __tablename__ = "ledger_tile"

    level: int = Field(sa_column=Column(Integer, primary_key=True, autoincrement=False))
    idx: int = Field(sa_column=_key())
    width: int
    data: bytes


class LedgerCheckpoint(CreatedAt, table=True):
    """A signed tree head; one per batch."""

    __tablename__ = "ledger_checkpoint"

    size: int = Field(sa_column=_key())
    root: bytes = Field(max_length=32)
    note: str  # with the log's own signature line only
    published_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class LedgerWitness(SQLModel, table=True):
    """What one configured witness saw last, and how the last request to it went."""

    __tablename__ = "ledger_witness"

    name: str = Field(primary_key=True)
    size: int = Field(default=0, sa_column=_number())  # that it cosigned last, as far as we know
    seen_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    asked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    trouble: str = ""  # schemas.Trouble; empty: the last request went well
    detail: str = ""


class LedgerCosignature(SQLModel, table=True):
    """A witness's signature line under one checkpoint, verified before it was stored."""

    __tablename__ = "ledger_cosignature"

    size: int = Field(sa_column=_key())
    name: str = Field(primary_key=True)
    time: int = Field(sa_column=_number())  # Unix seconds, as the witness signed it
    line: str


class LedgerAnchor(CreatedAt, table=True):
    """A time stamp (RFC 3161) over the exact note of one checkpoint, verified before it was stored."""

    __tablename__ = "ledger_anchor"

    size: int = Field(sa_column=_key())
    authority: str = Field(primary_key=True)
    own: bool  # an authority that we run ourselves
    stamped_at: datetime = Field(sa_type=UtcDateTime)  # genTime of the token
    answer: bytes  # DER TimeStampResp


class LedgerLog(SQLModel, table=True):
    """The one log of this installation: its name, and who may write (row `id` 1)."""

    __tablename__ = "ledger_log"

    id: int = Field(default=1, primary_key=True)
    origin: str
    size: int = Field(sa_column=_number())
    fence: int = Field(sa_column=_number())  # rises with each new sequencer; a batch with an older one cannot commit
    holder: str = ""  # HOST:PID:NONCE of the sequencer; empty: nobody
    held_until: datetime = Field(sa_type=UtcDateTime)


class LedgerOpening(SQLModel, table=True):
    """Salt and value behind one commitment. Erasing empties both; the leaf and its proofs stay."""

    __tablename__ = "ledger_opening"
    __table_args__ = (
        # What was committed to about a person: a UUID as CBOR text is 38 bytes; longer values would not fit an index.
        Index("ix_ledger_opening_uuid", "value", sqlite_where=_UUID_IN_CBOR, postgresql_where=_UUID_IN_CBOR),
    )

    leaf_hash: bytes = Field(primary_key=True, max_length=32)
    label: str = Field(primary_key=True)
    salt: bytes | None
    value: bytes | None  # deterministic CBOR
    tenant_id: UUID
    branch_path: str
    erased_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class LedgerReceipt(SQLModel, table=True):
    """How far a device is known to have got its receipts, and over which gateway it was last heard."""

    __tablename__ = "ledger_receipt"

    device_id: str = Field(primary_key=True, max_length=12)
    generation: int = Field(sa_column=_key())
    gateway_id: str
    acked_seq: int = Field(default=0, sa_column=_number())
    acked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class LedgerPhoto(CreatedAt, table=True):
    """A photo that the blob store holds; receipts name it until the device has acknowledged one that does."""

    __tablename__ = "ledger_photo"

    device_id: str = Field(primary_key=True, max_length=12)
    generation: int = Field(sa_column=_key())
    digest: bytes = Field(primary_key=True, max_length=32)
    state: int = Field(default=0, index=True)  # schemas.PhotoState
