"""Somebody leaves: the account ends, what was done stays on record."""

from uuid import UUID

from sqlmodel import Session

from server.core.runtime import Runtime
from server.core.scope import Scope
from server.identity import credentials, entries, people, sessions, store
from server.identity.entries import EntryType
from server.identity.errors import NoSuchPerson, NotYourself
from server.identity.schemas import PersonRead


def remove_person(db: Session, run: Runtime, scope: Scope, *, person_id: UUID, reason: str) -> PersonRead:
    """No sign-in anywhere from now on, also not at a device. Raises: NoSuchPerson, NotYourself."""
    row = store.person(db, scope, person_id)
    if row is None:
        raise NoSuchPerson
    if row.id == scope.person_id:
        raise NotYourself
    row.active = False
    db.add(row)
    db.flush()
    sessions.end_all_sessions(db, run, person_id=row.id)
    entries.record(
        db,
        run,
        EntryType.PERSON_REMOVED,
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        refs={"person": str(person_id)},
        private={"reason": reason, "by": scope.person_id},
    )
    credentials.people_changed(db, run, row.tenant_id)
    return people.read(db, row)
