from collections.abc import Sequence
from uuid import UUID

from sqlmodel import Session, col, select

from server.core.scope import Scope
from server.notices.models import Notice


def notices(db: Session, scope: Scope, *, unread_only: bool, limit: int) -> Sequence[Notice]:
    """The person's own, newest first."""
    query = select(Notice).where(Notice.tenant_id == scope.tenant_id, Notice.person_id == scope.person_id)
    if unread_only:
        query = query.where(col(Notice.read_at).is_(None))
    return db.exec(query.order_by(col(Notice.created_at).desc(), col(Notice.id).desc()).limit(limit)).all()


def notice(db: Session, scope: Scope, notice_id: UUID) -> Notice | None:
    query = select(Notice).where(
        Notice.tenant_id == scope.tenant_id, Notice.person_id == scope.person_id, Notice.id == notice_id
    )
    return db.exec(query).one_or_none()


def told(db: Session, person_id: UUID, key: str) -> bool:
    return db.exec(select(Notice.id).where(Notice.person_id == person_id, Notice.key == key)).first() is not None
