"""Table of `server.audit`."""

from uuid import UUID

from sqlalchemy import UniqueConstraint
from sqlmodel import Field

from server.core.db import CreatedAt, UuidPk


class StrokeVerdict(UuidPk, CreatedAt, table=True):
    """What a person decided about a press that no comparison stands for. One word per press; it is not taken back."""

    __tablename__ = "stroke_verdict"
    __table_args__ = (UniqueConstraint("token_id", "stroke"),)

    tenant_id: UUID
    branch_path: str
    request_id: UUID = Field(foreign_key="stamp_request.id", index=True)
    token_id: bytes = Field(max_length=16)
    stroke: int
    confirmed: bool
    reason: str
    person_id: UUID = Field(foreign_key="person.id")
    leaf_hash: bytes = Field(max_length=32)  # the VERDICT entry
