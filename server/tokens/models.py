"""Tables of `server.tokens`."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Index, UniqueConstraint
from sqlmodel import Field

from server.core.db import CreatedAt, UtcDateTime, UuidPk


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
    window_s: int
    lease_until: datetime = Field(sa_type=UtcDateTime)  # after this no device accepts it
    signed: bytes
    leaf_hash: bytes = Field(max_length=32)
    granted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # its GRANT event was admitted
    closed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # its CLOSED event was admitted
    closed_used: int | None = None  # uses the device says it consumed


class StrokeUse(UuidPk, CreatedAt, table=True):
    """What the device signed about one stroke; the last word counts."""

    __tablename__ = "stroke_use"
    __table_args__ = (UniqueConstraint("token_id", "stroke"),)

    tenant_id: UUID
    token_id: bytes = Field(max_length=16)
    stroke: int
    state: str  # StrokeState


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
