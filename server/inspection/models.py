"""Table of `server.inspection`."""

from typing import Any
from uuid import UUID

from sqlalchemy import JSON, UniqueConstraint
from sqlmodel import Field

from server.core.db import CreatedAt, UuidPk


class Finding(UuidPk, CreatedAt, table=True):
    """What inspection saw on one photo. `kind`: page, cover, fan, sweep or later (of a page), imprint (after)."""

    __tablename__ = "finding"
    __table_args__ = (UniqueConstraint("kind", "token_id", "stroke", "photo_digest"),)

    tenant_id: UUID
    branch_path: str
    kind: str
    request_id: UUID = Field(index=True)
    device_id: str
    token_id: bytes = Field(max_length=16, index=True)
    stroke: int
    page: int
    answer: str
    reason: str
    photo_digest: bytes = Field(max_length=32)  # what was looked at: the preview, or the after-photo
    event_digest: bytes = Field(max_length=32)  # SHA-256 of the signed event that announced it
    report: dict[str, Any] = Field(sa_type=JSON)
    differences: list[Any] = Field(sa_type=JSON)  # [{kind, box, box_photo, text, score, approved, photo}]
    leaf_hash: bytes = Field(max_length=32)
