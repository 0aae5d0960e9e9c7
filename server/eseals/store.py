from collections.abc import Sequence
from uuid import UUID

from sqlmodel import Session, col, select

from server.core.scope import Scope
from server.eseals.models import Eseal


def eseal(db: Session, scope: Scope, eseal_id: UUID, *, lock: bool = False) -> Eseal | None:
    query = select(Eseal).where(scope.owns(Eseal), Eseal.id == eseal_id)
    return db.exec(query.with_for_update() if lock else query).one_or_none()


def of_request(db: Session, scope: Scope, request_id: UUID) -> Sequence[Eseal]:
    """Newest first; a request whose document was changed and approved again may have more than one."""
    query = select(Eseal).where(scope.owns(Eseal), Eseal.request_id == request_id)
    return db.exec(query.order_by(col(Eseal.created_at).desc())).all()


def of_document(db: Session, tenant_id: UUID, request_id: UUID, document_digest: bytes) -> Eseal | None:
    query = select(Eseal).where(
        Eseal.tenant_id == tenant_id, Eseal.request_id == request_id, Eseal.document_digest == document_digest
    )
    return db.exec(query).one_or_none()


def eseals(db: Session, scope: Scope, *, limit: int) -> Sequence[Eseal]:
    """Newest first."""
    query = select(Eseal).where(scope.owns(Eseal))
    return db.exec(query.order_by(col(Eseal.created_at).desc(), col(Eseal.id).desc()).limit(limit)).all()


def public_of_code(db: Session, code_hash: bytes) -> Eseal | None:
    """For the public page, which asks without a scope."""
    return db.exec(select(Eseal).where(Eseal.code_hash == code_hash)).one_or_none()


def public_of_file(db: Session, sealed_digest: bytes) -> Eseal | None:
    """For the public page, which asks without a scope."""
    return db.exec(select(Eseal).where(Eseal.sealed_digest == sealed_digest)).first()


def withdrawn(db: Session) -> Sequence[Eseal]:
    """Of every tenant: the trust bundle is one for the installation."""
    return db.exec(select(Eseal).where(col(Eseal.withdrawn_at).is_not(None))).all()
