"""Tables of `server.approvals`."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Index, UniqueConstraint
from sqlmodel import Field

from server.core.db import CreatedAt, UtcDateTime, UuidPk


class Document(UuidPk, CreatedAt, table=True):
    """A PDF in the form that is approved, stamped and filed: `digest` is that of the normalised bytes."""

    __tablename__ = "document"
    __table_args__ = (UniqueConstraint("tenant_id", "digest"),)

    tenant_id: UUID
    digest: bytes = Field(max_length=32)
    original_digest: bytes = Field(max_length=32)
    pages: int
    title: str
    has_text: bool
    sizes_mm: list[Any] = Field(sa_type=JSON)  # [[width, height], ...]
    warnings: list[Any] = Field(sa_type=JSON)  # codes of what normalising removed


class PagePicture(UuidPk, CreatedAt, table=True):
    """A page as people see it on a screen, rendered once."""

    __tablename__ = "page_picture"
    __table_args__ = (UniqueConstraint("tenant_id", "document_digest", "page"),)

    tenant_id: UUID
    document_digest: bytes = Field(max_length=32)
    page: int  # from 1
    picture_digest: bytes = Field(max_length=32)  # PNG in the blob store


class StampRequest(UuidPk, CreatedAt, table=True):
    """What somebody asks to have stamped. `rule`, `canonical` and `digest` are frozen at submission."""

    __tablename__ = "stamp_request"
    __table_args__ = (
        UniqueConstraint("tenant_id", "number"),
        Index("ix_stamp_request_state", "tenant_id", "state", "created_at"),
    )

    tenant_id: UUID = Field(foreign_key="tenant.id")
    branch_path: str
    number: int  # counts within the tenant; people see SR-YEAR-NUMBER
    state: str
    revision: int = 1
    seal_id: UUID = Field(foreign_key="seal.id")
    document_digest: bytes = Field(max_length=32)
    pages: int
    title: str
    reason: str
    places: list[Any] = Field(sa_type=JSON)  # [[page, x_mm, y_mm], ...]
    copies: int
    spares: int
    page_check: str
    stamping: str = "page_by_page"
    first_page: int | None = None
    last_page: int | None = None
    bound: bool = False
    sweep: bool = False
    form: str = "paper"
    not_before: datetime | None = Field(default=None, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    device_id: str | None = None
    amount: str = ""
    counterparty: str = ""
    requester_id: UUID = Field(foreign_key="person.id")
    keeper_id: UUID | None = Field(default=None, foreign_key="person.id")
    policy_version: int | None = None
    rule: dict[str, Any] | None = Field(default=None, sa_type=JSON)
    canonical: bytes | None = None
    digest: bytes | None = Field(default=None, max_length=32)
    submitted_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    approved_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    closed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    closing_reason: str = ""


class Decision(UuidPk, CreatedAt, table=True):
    """One person's yes or no to exactly `request_digest`."""

    __tablename__ = "decision"
    __table_args__ = (UniqueConstraint("request_id", "revision", "approver_id"),)

    tenant_id: UUID
    request_id: UUID = Field(foreign_key="stamp_request.id")
    revision: int
    request_digest: bytes = Field(max_length=32)
    approver_id: UUID = Field(foreign_key="person.id")
    stage: int
    approved: bool
    comment: str
    nonce: bytes = Field(max_length=16)
    payload: bytes  # what was signed: request.decision_payload
    method: str  # 'password': attested by the server
    leaf_hash: bytes = Field(max_length=32)  # the DECISION entry
    voided_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Scan(UuidPk, CreatedAt, table=True):
    """Paper photographed by a device for a new request."""

    __tablename__ = "scan"

    tenant_id: UUID
    branch_path: str
    device_id: str
    event: bytes  # the signed PAGE_SEEN
    photo_digest: bytes = Field(max_length=32, unique=True)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
