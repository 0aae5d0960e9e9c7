"""Tables of `server.archive`."""

from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Index, Text, UniqueConstraint
from sqlmodel import Field

from server.core.db import CreatedAt, UuidPk


class FiledRecord(UuidPk, CreatedAt, table=True):
    """A request that is complete and kept. Filing again after something was added replaces the lists."""

    __tablename__ = "filed_record"
    __table_args__ = (UniqueConstraint("request_id"), Index("ix_filed_record_tenant", "tenant_id", "created_at"))

    tenant_id: UUID = Field(foreign_key="tenant.id")
    branch_path: str
    request_id: UUID = Field(foreign_key="stamp_request.id")
    title: str
    document_class: str
    document_digest: bytes = Field(max_length=32)
    text: str = Field(sa_type=Text)  # of the document's text layer; empty for a scan
    leaves: list[Any] = Field(sa_type=JSON)  # leaf hashes in hex, as RECORD_FILED binds them
    photos: list[Any] = Field(sa_type=JSON)  # photo digests in hex
    record_digest: bytes = Field(max_length=32)
    leaf_hash: bytes = Field(max_length=32)  # the RECORD_FILED entry
