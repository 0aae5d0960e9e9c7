"""A person's credential counts, or counts no more: the row and its entry in one transaction."""

from collections.abc import Mapping

from sqlmodel import Session

from server.core.runtime import Runtime
from server.core.scope import Scope
from server.identity import entries
from server.identity.entries import EntryType
from server.identity.models import Badge, Passkey, Person


def enrolled(
    db: Session,
    run: Runtime,
    row: Person | Badge | Passkey,
    *,
    public: Mapping[str, object],
    by: Scope | None = None,
) -> None:
    """Keep `row` and record CREDENTIAL_ENROLLED. A password or PIN is part of the person; `public` has the method."""
    db.add(row)
    db.flush()
    owned = {"person": str(row.id)} if isinstance(row, Person) else _refs(row)
    entries.record(
        db,
        run,
        EntryType.CREDENTIAL_ENROLLED,
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        refs=owned,
        public=public,
        private={"by": by.person_id} if by else None,
    )


def revoked(db: Session, run: Runtime, scope: Scope, row: Badge | Passkey, *, method: str, reason: str) -> None:
    """From now on it opens nothing; records CREDENTIAL_REVOKED."""
    row.revoked_at = run.now()
    db.add(row)
    db.flush()
    entries.record(
        db,
        run,
        EntryType.CREDENTIAL_REVOKED,
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        refs=_refs(row),
        public={"method": method},
        private={"reason": reason, "by": scope.person_id},
    )


def _refs(row: Badge | Passkey) -> dict[str, str]:
    return {"person": str(row.person_id), "credential": str(row.id)}
