from uuid import UUID

from sqlmodel import Session, select

from server.archive.models import FiledRecord
from server.core.scope import Scope


def of_request(db: Session, scope: Scope, request_id: UUID, *, lock: bool = False) -> FiledRecord | None:
    query = select(FiledRecord).where(scope.owns(FiledRecord), FiledRecord.request_id == request_id)
    return db.exec(query.with_for_update() if lock else query).one_or_none()
