"""Tables of `server.tokens`. A stroke use is rebuilt from events; what persons decided is not."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Index, UniqueConstraint
from sqlmodel import Field

from server.core.db import BIG, CreatedAt, UtcDateTime, UuidPk


class StampToken(UuidPk, CreatedAt, table=True):
    """A signed token. `plan` lists the request's stroke indices: stroke k of the token is plan[k-1]."""

    __tablename__ = "stamp_token"
    __table_args__ = (UniqueConstraint("device_id", "nonce"), Index("ix_stamp_token_request", "request_id"))

    tenant_id: UUID = Field(foreign_key="tenant.id")
    branch_path: str
    request_id: UUID = Field(foreign_key="stamp_request.id")
    request_digest: bytes = Field(max_length=32)
    seal_id: UUID
    device_id: str
    nonce: bytes = Field(max_length=16)
    token_id: bytes = Field(unique=True, max_length=16)
    operator_id: UUID
    document_digest: bytes = Field(max_length=32)
    head_id: bytes = Field(max_length=8)
    strokes: int
    plan: list[Any] = Field(sa_type=JSON)
    page_check: str
    mode: str = "single"  # modes.py
    first_page: int | None = None
    last_page: int | None = None
    sweep: bool = False
    voucher_counter: int | None = Field(default=None, sa_type=BIG)  # for use without headquarters; rises on each device
    window_s: int
    lease_until: datetime = Field(sa_type=UtcDateTime)  # after this no device accepts it
    signed: bytes
    leaf_hash: bytes = Field(max_length=32)
    granted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # its GRANT event was admitted
    refused_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # its device refused it, for good
    closed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # its CLOSED event was admitted
    closed_used: int | None = Field(default=None, sa_type=BIG)  # uses the device says it consumed


class StrokeUse(UuidPk, CreatedAt, table=True):
    """What the device signed about one stroke: of its words the last, in whatever order they came."""

    __tablename__ = "stroke_use"
    __table_args__ = (UniqueConstraint("token_id", "stroke"),)

    tenant_id: UUID
    token_id: bytes = Field(max_length=16)
    stroke: int
    state: str  # StrokeState
    seq: int = Field(sa_type=BIG)  # of the event that said so


class StampPermit(UuidPk, CreatedAt, table=True):
    """A signed permit for one stroke on one photo."""

    __tablename__ = "stamp_permit"
    __table_args__ = (UniqueConstraint("token_id", "stroke", "stroke_nonce"),)

    tenant_id: UUID
    token_id: bytes = Field(max_length=16)
    stroke: int
    stroke_nonce: bytes = Field(max_length=16)
    photo_digest: bytes = Field(max_length=32)
    finding_id: UUID
    signed: bytes
    leaf_hash: bytes = Field(max_length=32)


class DoubtCase(UuidPk, CreatedAt, table=True):
    """A doubtful page that a second authorised person looks at while the keeper waits; one per photo."""

    __tablename__ = "doubt_case"
    __table_args__ = (UniqueConstraint("finding_id"), Index("ix_doubt_case_state", "tenant_id", "state"))

    tenant_id: UUID
    branch_path: str
    request_id: UUID = Field(foreign_key="stamp_request.id", index=True)
    device_id: str
    token_id: bytes = Field(max_length=16)
    stroke: int
    page: int
    finding_id: UUID
    event: bytes  # the device's signed PAGE_SEEN: what the permit will name
    keeper_id: UUID  # who stamps; must not answer
    state: str  # CaseState
    ends_at: datetime = Field(sa_type=UtcDateTime)  # the token's end: no permit after it
    answered_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    answered_by: UUID | None = None
    reason: str = ""
    leaf_hash: bytes | None = Field(default=None, max_length=32)  # the VERDICT entry


class SpoiledSheet(UuidPk, CreatedAt, table=True):
    """A sheet that was cancelled and photographed: its place is free again, its use is not."""

    __tablename__ = "spoiled_sheet"
    __table_args__ = (UniqueConstraint("token_id", "stroke"),)

    tenant_id: UUID
    branch_path: str
    request_id: UUID = Field(foreign_key="stamp_request.id", index=True)
    device_id: str
    token_id: bytes = Field(max_length=16)
    stroke: int
    preview_digest: bytes = Field(max_length=32)
    photo_digest: bytes = Field(max_length=32)
    leaf_hash: bytes = Field(max_length=32)  # the CODE_WITHDRAWN entry


class PaperLabel(UuidPk, CreatedAt, table=True):
    """A label that the gateway's printer made for a stroke, and what became of it."""

    __tablename__ = "paper_label"
    __table_args__ = (UniqueConstraint("device_id", "label_id"),)

    tenant_id: UUID
    branch_path: str
    request_id: UUID = Field(foreign_key="stamp_request.id", index=True)
    device_id: str
    token_id: bytes = Field(max_length=16)
    stroke: int
    label_id: str
    printer: str
    outcome: str  # printed, stuck, spoiled: what the gateway said last
    seen_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # the device's LABEL event arrived


class KeeperNote(UuidPk, CreatedAt, table=True):
    """What a keeper wrote at a device. `request_id` is None when it is about the device alone."""

    __tablename__ = "keeper_note"
    __table_args__ = (UniqueConstraint("device_id", "note_id"),)

    tenant_id: UUID
    branch_path: str
    device_id: str = Field(index=True)
    note_id: str = Field(max_length=36)  # the gateway's name for it
    kind: str  # NoteKind
    text: str
    written_by: UUID | None = None
    request_id: UUID | None = Field(default=None, foreign_key="stamp_request.id", index=True)
    token_id: bytes | None = Field(default=None, max_length=16)
    stroke: int | None = None
    seq: int | None = Field(default=None, sa_type=BIG)  # number of the device's event that it is about
    written_at: datetime = Field(sa_type=UtcDateTime)  # by the gateway's clock
    leaf_hash: bytes = Field(max_length=32)  # the KEEPER_NOTE entry
