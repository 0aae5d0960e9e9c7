"""Tables of `server.eseals`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlmodel import Field

from server.core.db import CreatedAt, UtcDateTime, UuidPk


class Eseal(UuidPk, CreatedAt, table=True):
    """One electronic seal on one document; the sealed file lies in the blob store under `sealed_digest`."""

    __tablename__ = "eseal"
    __table_args__ = (
        UniqueConstraint("tenant_id", "request_id", "document_digest"),
        UniqueConstraint("short_code"),
    )

    tenant_id: UUID = Field(foreign_key="tenant.id")
    branch_path: str = Field(index=True)
    request_id: UUID  # of a slice above: no foreign key
    seal_id: UUID = Field(foreign_key="seal.id")
    document_digest: bytes = Field(max_length=32)  # the approved PDF, before sealing
    sealed_digest: bytes = Field(max_length=32, index=True)
    level: str
    certificate_serial: str  # hex
    trace_code: bytes = Field(max_length=136)
    code_hash: bytes = Field(max_length=32, index=True)  # how withdrawals name the code
    short_code: str
    sealed_at: datetime = Field(sa_type=UtcDateTime)
    ordered_by: UUID | None = None  # None: the server itself, once the last approval was in
    leaf_hash: bytes = Field(max_length=32)  # the ESEAL_ISSUED entry
    withdrawn_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    withdrawn_because: str = ""
