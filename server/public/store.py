from collections.abc import Sequence
from uuid import UUID

from sqlmodel import Session, col, select

from server.public.models import PublicCodeRow, PublicCursor, PublicSealRow


def cursor(db: Session) -> PublicCursor:
    return db.get(PublicCursor, 1) or PublicCursor(id=1, next_index=0)


def code(db: Session, code_hash: bytes) -> PublicCodeRow | None:
    return db.get(PublicCodeRow, code_hash)


def code_named(db: Session, short_code: str) -> PublicCodeRow | None:
    return db.exec(select(PublicCodeRow).where(PublicCodeRow.short_code == short_code)).first()


def seal(db: Session, seal_id: UUID) -> PublicSealRow | None:
    return db.get(PublicSealRow, seal_id)


def codes(db: Session) -> Sequence[PublicCodeRow]:
    return db.exec(select(PublicCodeRow).order_by(col(PublicCodeRow.time_ms), col(PublicCodeRow.code_hash))).all()


def seals(db: Session) -> Sequence[PublicSealRow]:
    return db.exec(select(PublicSealRow).order_by(col(PublicSealRow.seal_id))).all()
