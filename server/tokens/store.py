from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlmodel import Session, col, delete, select, update

from server.core.scope import Scope
from server.tokens.models import StampPermit, StampToken, StrokeUse


def token(db: Session, token_id: bytes, *, lock: bool = False) -> StampToken | None:
    query = select(StampToken).where(StampToken.token_id == token_id)
    return db.exec(query.with_for_update() if lock else query).one_or_none()


def token_for_nonce(db: Session, device_id: str, nonce: bytes) -> StampToken | None:
    query = select(StampToken).where(StampToken.device_id == device_id, StampToken.nonce == nonce)
    return db.exec(query).one_or_none()


def tokens_of_request(db: Session, tenant_id: UUID, request_id: UUID) -> Sequence[StampToken]:
    query = select(StampToken).where(StampToken.tenant_id == tenant_id, StampToken.request_id == request_id)
    return db.exec(query.order_by(col(StampToken.created_at), col(StampToken.id))).all()


def live(db: Session, scope: Scope, now: datetime) -> Sequence[StampToken]:
    query = select(StampToken).where(
        scope.owns(StampToken), col(StampToken.closed_at).is_(None), StampToken.lease_until > now
    )
    return db.exec(query.order_by(col(StampToken.lease_until))).all()


def uses(db: Session, token_ids: Collection[bytes]) -> Sequence[StrokeUse]:
    query = select(StrokeUse).where(col(StrokeUse.token_id).in_(token_ids))
    return db.exec(query.order_by(col(StrokeUse.stroke))).all()


def use(db: Session, token_id: bytes, stroke: int) -> StrokeUse | None:
    return db.exec(select(StrokeUse).where(StrokeUse.token_id == token_id, StrokeUse.stroke == stroke)).one_or_none()


def permit(db: Session, token_id: bytes, stroke: int, stroke_nonce: bytes) -> StampPermit | None:
    query = select(StampPermit).where(
        StampPermit.token_id == token_id, StampPermit.stroke == stroke, StampPermit.stroke_nonce == stroke_nonce
    )
    return db.exec(query).one_or_none()


def forget_uses(db: Session) -> None:
    """Everything that came from events; a projection fills it again."""
    db.exec(delete(StrokeUse))
    db.exec(update(StampToken).values(granted_at=None, closed_at=None, closed_used=None))
