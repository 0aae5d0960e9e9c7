"""Table of `server.notices`."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Index, UniqueConstraint
from sqlmodel import Field

from server.core.db import CreatedAt, UtcDateTime, UuidPk


class Notice(UuidPk, CreatedAt, table=True):
    """Something that one person is told afterwards; nothing waits for an answer. `key` names what happened."""

    __tablename__ = "notice"
    __table_args__ = (UniqueConstraint("person_id", "key"), Index("ix_notice_person", "person_id", "read_at"))

    tenant_id: UUID
    branch_path: str
    person_id: UUID = Field(foreign_key="person.id")
    key: str
    kind: str  # NoticeKind
    request_id: UUID = Field(foreign_key="stamp_request.id")
    detail: dict[str, Any] = Field(sa_type=JSON)
    read_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
