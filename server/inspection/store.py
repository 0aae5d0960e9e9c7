from collections.abc import Sequence
from uuid import UUID

from sqlmodel import Session, col, select

from server.core.scope import Scope
from server.inspection.models import Finding


def finding(db: Session, *, kind: str, token_id: bytes, stroke: int, photo_digest: bytes) -> Finding | None:
    query = select(Finding).where(
        Finding.kind == kind,
        Finding.token_id == token_id,
        Finding.stroke == stroke,
        Finding.photo_digest == photo_digest,
    )
    return db.exec(query).one_or_none()


def latest(db: Session, *, kind: str, token_id: bytes, stroke: int) -> Finding | None:
    query = select(Finding).where(Finding.kind == kind, Finding.token_id == token_id, Finding.stroke == stroke)
    return db.exec(query.order_by(col(Finding.created_at).desc(), col(Finding.id).desc()).limit(1)).first()


def by_id(db: Session, scope: Scope, finding_id: UUID) -> Finding | None:
    return db.exec(select(Finding).where(scope.owns(Finding), Finding.id == finding_id)).one_or_none()


def of_request(db: Session, scope: Scope, request_id: UUID) -> Sequence[Finding]:
    query = select(Finding).where(scope.owns(Finding), Finding.request_id == request_id)
    return db.exec(query.order_by(col(Finding.created_at), col(Finding.id))).all()


def of_token(db: Session, token_id: bytes, *, kind: str) -> Sequence[Finding]:
    query = select(Finding).where(Finding.token_id == token_id, Finding.kind == kind)
    return db.exec(query.order_by(col(Finding.created_at), col(Finding.id))).all()


def with_reason(db: Session, reason: str) -> Sequence[Finding]:
    return db.exec(select(Finding).where(Finding.reason == reason).order_by(col(Finding.created_at))).all()
