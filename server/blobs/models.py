"""Tables of `server.blobs`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlmodel import Field

from server.core.db import CreatedAt, UtcDateTime, UuidPk


class Blob(UuidPk, CreatedAt, table=True):
    """One stored file of one tenant."""

    __tablename__ = "blob"
    __table_args__ = (UniqueConstraint("tenant_id", "digest"),)

    tenant_id: UUID
    digest: bytes = Field(max_length=32)  # SHA-256 of the plain bytes
    size: int  # bytes, plain
    media_type: str
    location: str = Field(unique=True)  # object name; never derived from the content
    wrapped_key: bytes | None  # None: erased
    erased_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class BlobUpload(UuidPk, CreatedAt, table=True):
    """An upload that has begun; its parts are objects named after `location` and their offset."""

    __tablename__ = "blob_upload"
    __table_args__ = (UniqueConstraint("tenant_id", "digest"),)

    tenant_id: UUID
    digest: bytes = Field(max_length=32)
    size: int
    media_type: str
    location: str = Field(unique=True)
    wrapped_key: bytes
