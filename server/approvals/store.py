from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlmodel import Session, col, func, select

from server.approvals.models import Decision, Document, PagePicture, Scan, StampRequest
from server.core.scope import Scope


def document(db: Session, tenant_id: UUID, digest: bytes) -> Document | None:
    return db.exec(select(Document).where(Document.tenant_id == tenant_id, Document.digest == digest)).one_or_none()


def page_picture(db: Session, tenant_id: UUID, digest: bytes, page: int) -> PagePicture | None:
    query = select(PagePicture).where(
        PagePicture.tenant_id == tenant_id, PagePicture.document_digest == digest, PagePicture.page == page
    )
    return db.exec(query).one_or_none()


def request(db: Session, scope: Scope, request_id: UUID, *, lock: bool = False) -> StampRequest | None:
    query = select(StampRequest).where(scope.owns(StampRequest), StampRequest.id == request_id)
    return db.exec(query.with_for_update() if lock else query).one_or_none()


def requests(
    db: Session, scope: Scope, *, states: Collection[str] | None = None, before: UUID | None = None, limit: int = 100
) -> Sequence[StampRequest]:
    """Newest first; ids rise with time."""
    query = select(StampRequest).where(scope.owns(StampRequest))
    if states is not None:
        query = query.where(col(StampRequest.state).in_(states))
    if before is not None:
        query = query.where(col(StampRequest.id) < before)
    return db.exec(query.order_by(col(StampRequest.id).desc()).limit(limit)).all()


def requests_of_seals(
    db: Session, tenant_id: UUID, seals: Collection[UUID], states: Collection[str]
) -> Sequence[StampRequest]:
    query = select(StampRequest).where(
        StampRequest.tenant_id == tenant_id, col(StampRequest.seal_id).in_(seals), col(StampRequest.state).in_(states)
    )
    return db.exec(query.order_by(col(StampRequest.approved_at))).all()


def next_number(db: Session, tenant_id: UUID) -> int:
    last = db.exec(select(func.max(StampRequest.number)).where(StampRequest.tenant_id == tenant_id)).one()
    return (last or 0) + 1


def overdue(db: Session, now: datetime) -> Sequence[StampRequest]:
    query = select(StampRequest).where(
        col(StampRequest.state).in_(["submitted", "approved"]), StampRequest.expires_at <= now
    )
    return db.exec(query.limit(100)).all()


def decisions(db: Session, request_ids: Collection[UUID]) -> Sequence[Decision]:
    query = select(Decision).where(col(Decision.request_id).in_(request_ids))
    return db.exec(query.order_by(col(Decision.created_at), col(Decision.id))).all()


def scan(db: Session, scope: Scope, scan_id: UUID) -> Scan | None:
    return db.exec(select(Scan).where(scope.owns(Scan), Scan.id == scan_id)).one_or_none()


def scan_of_photo(db: Session, photo_digest: bytes) -> Scan | None:
    return db.exec(select(Scan).where(Scan.photo_digest == photo_digest)).one_or_none()


def scans(db: Session, scope: Scope) -> Sequence[Scan]:
    query = select(Scan).where(scope.owns(Scan), col(Scan.used_at).is_(None))
    return db.exec(query.order_by(col(Scan.created_at).desc()).limit(50)).all()
