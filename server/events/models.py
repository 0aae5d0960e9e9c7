"""Tables of `server.events`: read models over what the ledger admitted. All but `change` can be rebuilt from it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Column, Index, UniqueConstraint
from sqlmodel import Field, SQLModel

from server.core.db import BIG, CreatedAt, UtcDateTime, UuidPk


class Stroke(UuidPk, CreatedAt, table=True):
    """One stroke as its device signed it."""

    __tablename__ = "stroke"
    __table_args__ = (UniqueConstraint("token_id", "stroke"), Index("ix_stroke_request", "request_id", "plan_index"))

    tenant_id: UUID
    branch_path: str
    request_id: UUID
    device_id: str
    token_id: bytes = Field(max_length=16)
    stroke: int  # within the token, from 1
    plan_index: int  # within the request, from 0
    copy_number: int
    page: int
    page_check: str = "before"  # of the token: when the page was compared
    state: str  # seen, intent, done, returned, cancelled, aborted, unknown, spoiled
    counter: int | None = Field(default=None, sa_type=BIG)  # mechanical, after the stroke
    seen_seq: int | None = Field(default=None, sa_type=BIG)  # of the event: an older one may come late
    intent_seq: int | None = Field(default=None, sa_type=BIG)
    seen_ms: int | None = Field(default=None, sa_type=BIG)  # device time, Unix ms; None: not known
    intent_ms: int | None = Field(default=None, sa_type=BIG)
    done_ms: int | None = Field(default=None, sa_type=BIG)
    before_preview: bytes | None = Field(default=None, max_length=32)
    before_photo: bytes | None = Field(default=None, max_length=32)
    after_preview: bytes | None = Field(default=None, max_length=32)
    after_photo: bytes | None = Field(default=None, max_length=32)
    label_photo: bytes | None = Field(default=None, max_length=32)  # of the sheet with this stroke's label on
    trace_code: bytes | None = Field(default=None, max_length=136)
    short_code: str | None = Field(default=None, index=True)
    seen_leaf: bytes | None = Field(default=None, max_length=32)
    intent_leaf: bytes | None = Field(default=None, max_length=32)
    done_leaf: bytes | None = Field(default=None, max_length=32)


class AnnouncedPhoto(UuidPk, CreatedAt, table=True):
    """A photo named by an admitted event; only such digests may be uploaded."""

    __tablename__ = "announced_photo"
    __table_args__ = (
        UniqueConstraint("device_id", "digest"),
        Index("ix_announced_photo_wanted", "device_id", "stored_at"),  # announced and never stored
    )

    tenant_id: UUID
    branch_path: str
    device_id: str
    generation: int = Field(sa_type=BIG)
    digest: bytes = Field(max_length=32)
    token_id: bytes | None = Field(default=None, max_length=16)
    stroke: int | None = None
    leaf_hash: bytes = Field(max_length=32)
    stored_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Alarm(UuidPk, CreatedAt, table=True):
    """Something that a person must look at."""

    __tablename__ = "alarm"
    __table_args__ = (UniqueConstraint("leaf_hash"), Index("ix_alarm_tenant", "tenant_id", "created_at"))

    tenant_id: UUID
    branch_path: str
    device_id: str
    kind: str  # extra_stroke, tamper, press_not_confirmed, old_photo
    request_id: UUID | None = None
    leaf_hash: bytes = Field(max_length=32)
    detail: dict[str, Any] = Field(sa_type=JSON)


class Change(SQLModel, table=True):
    """Something about a topic changed: what live pages listen to."""

    __tablename__ = "change"

    id: int | None = Field(default=None, sa_column=Column(BIG, primary_key=True, autoincrement=True))
    tenant_id: UUID = Field(index=True)
    branch_path: str
    topic: str  # request:<uuid>, device:<id>
    at: datetime = Field(sa_type=UtcDateTime)
