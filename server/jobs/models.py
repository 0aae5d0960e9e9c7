"""Table of `server.jobs`."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON
from sqlmodel import Field, Index

from server.core.db import CreatedAt, UtcDateTime


class JobState(StrEnum):
    WAITING = "waiting"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"  # all attempts used; a person looks at it


class Job(CreatedAt, table=True):
    """Work that was promised in some transaction and is done after it, at least once."""

    __tablename__ = "job"
    __table_args__ = (Index("ix_job_due", "state", "patient", "run_at"),)

    id: int | None = Field(default=None, primary_key=True)
    kind: str
    payload: dict[str, Any] = Field(sa_type=JSON)  # plain data: ids and digests, never secrets or files
    state: str = JobState.WAITING
    patient: bool = False  # nobody waits for it: everything else that is due goes first
    run_at: datetime = Field(sa_type=UtcDateTime)
    attempts: int = 0
    lease: str | None = None  # who holds it, until when: a lease that ran out is taken over
    lease_until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_error: str | None = None  # class and code, never the message: it may quote a document
    finished_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
