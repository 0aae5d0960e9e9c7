"""Tables of `server.seals`."""

from typing import Any
from uuid import UUID

from sqlalchemy import JSON, UniqueConstraint
from sqlmodel import Field

from server.core.db import CreatedAt, UuidPk


class Seal(UuidPk, CreatedAt, table=True):
    """The asset a company registered. `rule` is the current `ApprovalRule`, `rule_version` counts its changes."""

    __tablename__ = "seal"

    tenant_id: UUID = Field(foreign_key="tenant.id")
    branch_path: str = Field(index=True)
    name: str  # what people call it: "Contract seal 02"
    legal_name: str  # what is engraved: the company's registered name
    artwork_digest: bytes = Field(max_length=32)  # the specimen, a PNG in the blob store
    diameter_mm: float
    state: str
    rule: dict[str, Any] = Field(sa_type=JSON)
    rule_version: int = 1


class Head(UuidPk, CreatedAt, table=True):
    """The engraved piece that leaves a seal's imprint; `head_id` is what the device reads from its chip."""

    __tablename__ = "head"
    __table_args__ = (UniqueConstraint("head_id"),)

    tenant_id: UUID = Field(foreign_key="tenant.id")
    branch_path: str
    seal_id: UUID = Field(foreign_key="seal.id", index=True)
    head_id: bytes = Field(max_length=8)
