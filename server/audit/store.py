from collections.abc import Collection, Sequence
from uuid import UUID

from sqlmodel import Session, col, select

from server.audit.models import StrokeVerdict


def verdict(db: Session, token_id: bytes, stroke: int) -> StrokeVerdict | None:
    query = select(StrokeVerdict).where(StrokeVerdict.token_id == token_id, StrokeVerdict.stroke == stroke)
    return db.exec(query).one_or_none()


def decided(db: Session, token_ids: Collection[bytes]) -> set[tuple[bytes, int]]:
    query = select(StrokeVerdict.token_id, StrokeVerdict.stroke).where(col(StrokeVerdict.token_id).in_(token_ids))
    return {(token_id, stroke) for token_id, stroke in db.exec(query)}


def of_request(db: Session, tenant_id: UUID, request_id: UUID) -> Sequence[StrokeVerdict]:
    query = select(StrokeVerdict).where(StrokeVerdict.tenant_id == tenant_id, StrokeVerdict.request_id == request_id)
    return db.exec(query.order_by(col(StrokeVerdict.created_at))).all()
