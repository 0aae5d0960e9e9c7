"""Queries on the job table. No scope: jobs belong to the system; each payload names the tenant it works for."""

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, delete, func, insert, or_
from sqlmodel import Session, col, select

from server.jobs.models import Job, JobState

_INSERT: Final = insert(Job.__table__).inline()  # type: ignore[attr-defined]


def add(db: Session, *, kind: str, payload: dict[str, Any], patient: bool, now: datetime, run_at: datetime) -> None:
    """Past the ORM: the ledger adds one in every batch."""
    job = Job(kind=kind, payload=payload, patient=patient, created_at=now, run_at=run_at)
    db.connection().execute(_INSERT, job.model_dump(exclude={"id"}))


def waiting(db: Session, *, kind: str, payload: dict[str, Any], by: datetime) -> Job | None:
    """The same job, not begun yet and due no later than `by`."""
    query = select(Job).where(Job.kind == kind, Job.state == JobState.WAITING, col(Job.run_at) <= by)
    return next((job for job in db.exec(query) if job.payload == payload), None)


def anything_due(db: Session, *, now: datetime) -> bool:
    return db.exec(select(Job.id).where(_due(now)).limit(1)).first() is not None


def lease_next(db: Session, *, owner: str, now: datetime, lease: timedelta) -> Job | None:
    """Take the job that has been due longest, patient ones last, with an attempt counted; None when nothing is due."""
    query = select(Job).where(_due(now)).order_by(col(Job.patient), col(Job.run_at), col(Job.id)).limit(1)
    job = db.exec(query.with_for_update(skip_locked=True)).first()
    if job is None:
        return None
    job.state, job.lease, job.lease_until = JobState.LEASED, owner, now + lease
    job.attempts += 1
    db.add(job)
    db.flush()
    return job


def held(db: Session, job_id: int, *, owner: str) -> Job | None:
    """The job, if `owner` still holds its lease."""
    query = select(Job).where(col(Job.id) == job_id, col(Job.lease) == owner, col(Job.state) == JobState.LEASED)
    return db.exec(query.with_for_update()).one_or_none()


def forget_done(db: Session, *, before: datetime) -> int:
    """Delete jobs that were done before `before`; failed ones stay until a person has looked. Returns how many."""
    query = delete(Job).where(col(Job.state) == JobState.DONE, col(Job.finished_at) < before)
    return int(db.connection().execute(query).rowcount)


def counts(db: Session) -> dict[str, int]:
    """How many jobs are in each state."""
    found = dict(db.exec(select(Job.state, func.count()).group_by(col(Job.state))).all())
    return {state.value: found.get(state.value, 0) for state in JobState}


def _due(now: datetime) -> ColumnElement[bool]:
    return or_(
        and_(col(Job.state) == JobState.WAITING, col(Job.run_at) <= now),
        and_(col(Job.state) == JobState.LEASED, col(Job.lease_until) < now),
    )
