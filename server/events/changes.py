"""What changed, for pages that stay live: a row per change, written with it, in the same transaction.

`watch` hears the flushes of every session, so that no slice must remember to say it.
"""

from typing import Any, Final
from uuid import UUID

from sqlalchemy import event, insert
from sqlalchemy.orm import UOWTransaction
from sqlmodel import Session, col, func, select

from server.core.runtime import Runtime
from server.core.scope import Scope
from server.events.models import Change
from server.events.schemas import ChangeRead

_WATCHED: Final = frozenset(
    {"stamp_request", "decision", "stamp_token", "finding", "stroke", "device", "pairing", "alarm", "announced_photo"}
    | {"notice"}
)
MAX_BATCH: Final = 200


def watch(run: Runtime) -> None:
    """Note changes made through this process's database from now on. Calling it twice for a database does no harm."""
    engine = run.db.engine
    if engine in _engines:
        return
    _engines.add(engine)

    def after_flush(session: Any, _context: UOWTransaction) -> None:  # noqa: ANN401 - SQLAlchemy's own Session
        if session.get_bind() is not engine:
            return
        touched = {key for row in (*session.new, *session.dirty) for key in _topics(row)}
        if touched:
            rows = [
                {"tenant_id": tenant_id, "branch_path": path, "topic": topic, "at": run.now()}
                for tenant_id, path, topic in sorted(touched, key=str)
            ]
            session.execute(insert(Change), rows)

    event.listen(Session, "after_flush", after_flush)


_engines: set[Any] = set()


def since(db: Session, scope: Scope, *, after: int) -> list[ChangeRead]:
    """Changes with a number above `after`, oldest first, at most 200."""
    query = select(Change).where(scope.owns(Change), col(Change.id) > after).order_by(col(Change.id)).limit(MAX_BATCH)
    return [ChangeRead.model_validate(row) for row in db.exec(query)]


def latest(db: Session) -> int:
    """The highest number so far; 0 at the beginning."""
    return db.exec(select(func.max(Change.id))).one() or 0


def _topics(row: object) -> list[tuple[UUID, str, str]]:
    if getattr(row, "__tablename__", "") not in _WATCHED:
        return []
    tenant_id, path = getattr(row, "tenant_id", None), getattr(row, "branch_path", "/")
    if not isinstance(tenant_id, UUID):
        return []
    request_id = getattr(row, "id", None) if getattr(row, "__tablename__", "") == "stamp_request" else None
    request_id = request_id or getattr(row, "request_id", None)
    device_id = getattr(row, "device_id", None)
    topics = [f"request:{request_id}"] if request_id else []
    topics += [f"device:{device_id}"] if device_id else []
    return [(tenant_id, path, topic) for topic in topics]
