from collections.abc import Sequence
from uuid import UUID

from sqlmodel import Session, col, select

from server.core.scope import Scope
from server.seals.models import Head, Seal


def seals(db: Session, scope: Scope) -> Sequence[Seal]:
    return db.exec(select(Seal).where(scope.owns(Seal)).order_by(col(Seal.name))).all()


def seal(db: Session, scope: Scope, seal_id: UUID, *, lock: bool = False) -> Seal | None:
    query = select(Seal).where(scope.owns(Seal), Seal.id == seal_id)
    return db.exec(query.with_for_update() if lock else query).one_or_none()


def usable(db: Session, tenant_id: UUID, paths: Sequence[str]) -> Sequence[Seal]:
    """Seals of these very branches: a branch may ask for its own seals and for those of the branches above."""
    query = select(Seal).where(Seal.tenant_id == tenant_id, col(Seal.branch_path).in_(paths))
    return db.exec(query.order_by(col(Seal.name))).all()


def head(db: Session, head_id: bytes) -> Head | None:
    """By the number in its chip, which is unique everywhere."""
    return db.exec(select(Head).where(Head.head_id == head_id)).one_or_none()


def heads(db: Session, scope: Scope, seal_id: UUID) -> Sequence[Head]:
    return db.exec(select(Head).where(scope.owns(Head), Head.seal_id == seal_id)).all()
