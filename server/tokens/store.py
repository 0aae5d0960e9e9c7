from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlmodel import Session, col, delete, func, or_, select, update

from server.core.scope import Scope
from server.tokens.models import DoubtCase, KeeperNote, PaperLabel, SpoiledSheet, StampPermit, StampToken, StrokeUse
from server.tokens.schemas import CaseState


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
    query = (
        select(StampToken)
        .where(scope.owns(StampToken), col(StampToken.closed_at).is_(None), StampToken.lease_until > now)
        .where(or_(col(StampToken.refused_at).is_(None), col(StampToken.granted_at).is_not(None)))
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
    db.exec(update(PaperLabel).values(seen_at=None))
    db.exec(update(StampToken).values(granted_at=None, refused_at=None, closed_at=None, closed_used=None))


def spoiled(db: Session, token_id: bytes, stroke: int) -> SpoiledSheet | None:
    query = select(SpoiledSheet).where(SpoiledSheet.token_id == token_id, SpoiledSheet.stroke == stroke)
    return db.exec(query).one_or_none()


def last_voucher_counter(db: Session, device_id: str) -> int:
    query = select(func.max(StampToken.voucher_counter)).where(StampToken.device_id == device_id)
    return db.exec(query).one() or 0


def case(db: Session, case_id: UUID, *, lock: bool = False) -> DoubtCase | None:
    query = select(DoubtCase).where(DoubtCase.id == case_id)
    return db.exec(query.with_for_update() if lock else query).one_or_none()


def case_of_finding(db: Session, finding_id: UUID) -> DoubtCase | None:
    return db.exec(select(DoubtCase).where(DoubtCase.finding_id == finding_id)).one_or_none()


def waiting_cases(db: Session, scope: Scope) -> Sequence[DoubtCase]:
    """Longest waiting first."""
    query = select(DoubtCase).where(scope.owns(DoubtCase), DoubtCase.state == CaseState.WAITING.value)
    return db.exec(query.order_by(col(DoubtCase.created_at))).all()


def cases_of_request(db: Session, tenant_id: UUID, request_id: UUID) -> Sequence[DoubtCase]:
    query = select(DoubtCase).where(DoubtCase.tenant_id == tenant_id, DoubtCase.request_id == request_id)
    return db.exec(query.order_by(col(DoubtCase.created_at))).all()


def waiting_at(db: Session, token_id: bytes, stroke: int) -> Sequence[DoubtCase]:
    query = select(DoubtCase).where(
        DoubtCase.token_id == token_id, DoubtCase.stroke == stroke, DoubtCase.state == CaseState.WAITING.value
    )
    return db.exec(query).all()


def label(db: Session, device_id: str, label_id: str) -> PaperLabel | None:
    query = select(PaperLabel).where(PaperLabel.device_id == device_id, PaperLabel.label_id == label_id)
    return db.exec(query).one_or_none()


def labels_of_stroke(db: Session, token_id: bytes, stroke: int) -> Sequence[PaperLabel]:
    return db.exec(select(PaperLabel).where(PaperLabel.token_id == token_id, PaperLabel.stroke == stroke)).all()


def labels_of_request(db: Session, tenant_id: UUID, request_id: UUID) -> Sequence[PaperLabel]:
    query = select(PaperLabel).where(PaperLabel.tenant_id == tenant_id, PaperLabel.request_id == request_id)
    return db.exec(query.order_by(col(PaperLabel.created_at), col(PaperLabel.id))).all()


def note(db: Session, device_id: str, note_id: str) -> KeeperNote | None:
    query = select(KeeperNote).where(KeeperNote.device_id == device_id, KeeperNote.note_id == note_id)
    return db.exec(query).one_or_none()


def notes_of_device(db: Session, scope: Scope, device_id: str, most: int) -> Sequence[KeeperNote]:
    query = select(KeeperNote).where(scope.owns(KeeperNote), KeeperNote.device_id == device_id)
    return db.exec(query.order_by(col(KeeperNote.written_at).desc(), col(KeeperNote.id).desc()).limit(most)).all()


def notes_of_request(db: Session, scope: Scope, request_id: UUID) -> Sequence[KeeperNote]:
    query = select(KeeperNote).where(scope.owns(KeeperNote), KeeperNote.request_id == request_id)
    return db.exec(query.order_by(col(KeeperNote.written_at), col(KeeperNote.id))).all()
