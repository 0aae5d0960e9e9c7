from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import and_, or_
from sqlmodel import Session, col, delete, select

from server.core.scope import Scope
from server.events.models import Alarm, AnnouncedPhoto, Stroke


def stroke(db: Session, token_id: bytes, number: int) -> Stroke | None:
    return db.exec(select(Stroke).where(Stroke.token_id == token_id, Stroke.stroke == number)).one_or_none()


def strokes(db: Session, scope: Scope, request_id: UUID) -> Sequence[Stroke]:
    query = select(Stroke).where(scope.owns(Stroke), Stroke.request_id == request_id)
    return db.exec(query.order_by(col(Stroke.plan_index), col(Stroke.created_at), col(Stroke.id))).all()


def on_sheet(db: Session, row: Stroke) -> Sequence[Stroke]:
    """The imprints on the same sheet of paper, oldest first; without those that were cancelled with a sheet."""
    query = select(Stroke).where(
        Stroke.tenant_id == row.tenant_id,
        Stroke.request_id == row.request_id,
        Stroke.copy_number == row.copy_number,
        Stroke.page == row.page,
        col(Stroke.trace_code).is_not(None),
        Stroke.state != "spoiled",
    )
    return db.exec(query.order_by(col(Stroke.counter), col(Stroke.created_at), col(Stroke.id))).all()


def unchecked(db: Session, scope: Scope) -> Sequence[Stroke]:
    pressed = and_(col(Stroke.state) == "done", col(Stroke.page_check) != "before")
    query = select(Stroke).where(scope.owns(Stroke), or_(pressed, col(Stroke.state) == "unknown"))
    return db.exec(query.order_by(col(Stroke.created_at), col(Stroke.token_id), col(Stroke.stroke))).all()


def stroke_of_code(db: Session, trace_code: bytes) -> Stroke | None:
    return db.exec(select(Stroke).where(Stroke.trace_code == trace_code).limit(1)).first()


def announced_by(db: Session, device_id: str, digest: bytes) -> AnnouncedPhoto | None:
    query = select(AnnouncedPhoto).where(AnnouncedPhoto.device_id == device_id, AnnouncedPhoto.digest == digest)
    return db.exec(query).one_or_none()


def announced_in(db: Session, scope: Scope, digest: bytes) -> AnnouncedPhoto | None:
    query = select(AnnouncedPhoto).where(scope.owns(AnnouncedPhoto), AnnouncedPhoto.digest == digest)
    return db.exec(query.limit(1)).first()


def stored_among(db: Session, tenant_id: UUID, digests: Collection[bytes]) -> set[bytes]:
    query = select(AnnouncedPhoto.digest).where(
        AnnouncedPhoto.tenant_id == tenant_id,
        col(AnnouncedPhoto.digest).in_(digests),
        col(AnnouncedPhoto.stored_at).is_not(None),
    )
    return set(db.exec(query))


def wanted(db: Session, device_id: str, *, limit: int) -> Sequence[bytes]:
    """Announced and never stored."""
    query = select(AnnouncedPhoto.digest).where(
        AnnouncedPhoto.device_id == device_id, col(AnnouncedPhoto.stored_at).is_(None)
    )
    return db.exec(query.limit(limit)).all()


def alarm(db: Session, leaf_hash: bytes) -> Alarm | None:
    return db.exec(select(Alarm).where(Alarm.leaf_hash == leaf_hash)).one_or_none()


def alarms(db: Session, scope: Scope, *, request_id: UUID | None = None, limit: int = 100) -> Sequence[Alarm]:
    query = select(Alarm).where(scope.owns(Alarm))
    if request_id is not None:
        query = query.where(Alarm.request_id == request_id)
    return db.exec(query.order_by(col(Alarm.created_at).desc(), col(Alarm.id).desc()).limit(limit)).all()


def forget(db: Session) -> None:
    """Everything that came from ledger entries."""
    for table in (Stroke, AnnouncedPhoto, Alarm):
        db.exec(delete(table))


def announced_for_tenant(db: Session, tenant_id: UUID, digest: bytes) -> AnnouncedPhoto | None:
    query = select(AnnouncedPhoto).where(AnnouncedPhoto.tenant_id == tenant_id, AnnouncedPhoto.digest == digest)
    return db.exec(query.limit(1)).first()
