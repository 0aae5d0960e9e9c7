"""Tenants, branches, people and the roles they hold. Each change is an entry in the ledger."""

from collections.abc import Iterable
from uuid import UUID

from sqlmodel import Session

from server.core.runtime import Runtime
from server.core.scope import WHOLE_TENANT, Role, Scope
from server.identity import credentials, entries, owning, secrets_of, store
from server.identity.entries import EntryType
from server.identity.errors import NameTaken, NoSuchBranch, NoSuchPerson, ParentMissing
from server.identity.models import Branch, Person, RoleGrant, Tenant
from server.identity.schemas import BranchRead, PersonRead, RoleHeld, TenantRead


def create_tenant(db: Session, run: Runtime, *, name: str) -> TenantRead:
    """A tenant with its root branch '/'."""
    tenant = Tenant(id=run.new_id(), created_at=run.now(), name=name)
    db.add(tenant)
    db.flush()
    root = Branch(id=run.new_id(), created_at=run.now(), tenant_id=tenant.id, branch_path=WHOLE_TENANT, name=name)
    db.add(root)
    db.flush()
    return TenantRead.model_validate(tenant)


def tenants(db: Session) -> list[TenantRead]:
    return [TenantRead.model_validate(row) for row in store.tenants(db)]


def tenant(db: Session, tenant_id: UUID) -> TenantRead:
    """Raises: NoSuchBranch."""
    row = store.tenant(db, tenant_id)
    if row is None:
        raise NoSuchBranch
    return TenantRead.model_validate(row)


def add_branch(db: Session, run: Runtime, scope: Scope, *, path: str, name: str) -> BranchRead:
    """Raises: NoSuchBranch (outside the scope), ParentMissing, NameTaken."""
    if not scope.covers(path):
        raise NoSuchBranch
    parent = path.rstrip("/").rpartition("/")[0] + "/"
    if store.branch(db, scope.tenant_id, parent) is None:
        raise ParentMissing(path=path)
    if store.branch(db, scope.tenant_id, path) is not None:
        raise NameTaken
    row = Branch(id=run.new_id(), created_at=run.now(), tenant_id=scope.tenant_id, branch_path=path, name=name)
    db.add(row)
    db.flush()
    entries.record(
        db,
        run,
        EntryType.BRANCH_SET,
        tenant_id=row.tenant_id,
        branch_path=path,
        refs={"branch": str(row.id)},
        public={"path": path},
        private={"name": name, "by": scope.person_id},
    )
    return BranchRead.model_validate(row)


def branches(db: Session, scope: Scope) -> list[BranchRead]:
    return [BranchRead.model_validate(row) for row in store.branches(db, scope)]


def check_branch(db: Session, scope: Scope, path: str) -> None:
    """Raises: NoSuchBranch, when it does not exist in this scope."""
    if not scope.covers(path) or store.branch(db, scope.tenant_id, path) is None:
        raise NoSuchBranch


def add_person(
    db: Session,
    run: Runtime,
    scope: Scope,
    *,
    username: str,
    name: str,
    branch_path: str,
    language: str = "en",
    password: str | None = None,
    pin: str | None = None,
) -> PersonRead:
    """Raises: NoSuchBranch, NameTaken."""
    check_branch(db, scope, branch_path)
    if store.person_named(db, username) is not None:
        raise NameTaken
    row = Person(
        id=run.new_id(),
        created_at=run.now(),
        tenant_id=scope.tenant_id,
        branch_path=branch_path,
        username=username,
        name=name,
        language=language,
        operator=_free_operator(db, run, scope.tenant_id),
    )
    db.add(row)
    db.flush()
    entries.record(
        db,
        run,
        EntryType.PERSON_ADDED,
        tenant_id=row.tenant_id,
        branch_path=branch_path,
        refs={"person": str(row.id)},
        public={"branch": branch_path, "operator": row.operator, "tenant": row.tenant_id},
        private={"name": name, "username": username, "by": scope.person_id},
    )
    if password is not None:
        set_password(db, run, scope, person_id=row.id, password=password)
    if pin is not None:
        set_pin(db, run, scope, person_id=row.id, pin=pin)
    return read(db, row)


def set_password(db: Session, run: Runtime, scope: Scope, *, person_id: UUID, password: str) -> None:
    """Raises: NoSuchPerson."""
    row = _person(db, scope, person_id)
    row.password_hash = secrets_of.hash_secret(password, run.rng)
    owning.enrolled(db, run, row, public={"method": "password", "attested_by": "server"})


def set_pin(db: Session, run: Runtime, scope: Scope, *, person_id: UUID, pin: str) -> None:
    """The PIN a keeper types at a device. Raises: NoSuchPerson."""
    row = _person(db, scope, person_id)
    row.pin_hash = secrets_of.hash_secret(pin, run.rng)
    row.roster_salt, row.roster_verifier = credentials.salted(pin, run.rng)
    owning.enrolled(db, run, row, public={"method": "pin", "attested_by": "server"})
    credentials.people_changed(db, run, row.tenant_id)


def set_role(
    db: Session, run: Runtime, scope: Scope, *, person_id: UUID, role: Role, branch_path: str, held: bool = True
) -> PersonRead:
    """Give or take a role in a branch and below; it counts from the person's next call.

    Raises: NoSuchPerson, NoSuchBranch.
    """
    row = _person(db, scope, person_id)
    check_branch(db, scope, branch_path)
    grant = store.grant(db, person_id, role, branch_path)
    if held == (grant is not None):
        return read(db, row)
    if grant is not None:
        db.delete(grant)
    else:
        db.add(
            RoleGrant(
                id=run.new_id(),
                created_at=run.now(),
                tenant_id=row.tenant_id,
                branch_path=branch_path,
                person_id=person_id,
                role=role.value,
            )
        )
    db.flush()
    entries.record(
        db,
        run,
        EntryType.ROLE_SET,
        tenant_id=row.tenant_id,
        branch_path=branch_path,
        refs={"person": str(person_id)},
        public={"branch": branch_path, "role": role.value, "granted": held},
        private={"by": scope.person_id},
    )
    if role is Role.KEEPER:
        credentials.people_changed(db, run, row.tenant_id)
    return read(db, row)


def person(db: Session, scope: Scope, person_id: UUID) -> PersonRead:
    """Raises: NoSuchPerson."""
    return read(db, _person(db, scope, person_id))


def person_named(db: Session, username: str) -> PersonRead | None:
    row = store.person_named(db, username)
    return read(db, row) if row is not None else None


def people(db: Session, scope: Scope) -> list[PersonRead]:
    return [read(db, row) for row in store.people(db, scope)]


def names(db: Session, tenant_id: UUID, ids: Iterable[UUID | None]) -> dict[UUID, str]:
    """Names to show beside decisions and requests of this tenant."""
    return store.names(db, tenant_id, [person_id for person_id in ids if person_id is not None])


def holders(db: Session, tenant_id: UUID, role: Role, branch_path: str) -> list[PersonRead]:
    """Who holds `role` in `branch_path`: granted there or in a branch above."""
    return [read(db, row) for row in store.holders(db, tenant_id, role, ancestors(branch_path))]


def holds(db: Session, tenant_id: UUID, person_id: UUID, role: Role, branch_path: str) -> bool:
    held = store.roles(db, tenant_id, [person_id])
    return any(grant.role == role.value and branch_path.startswith(grant.branch_path) for grant in held)


def ancestors(branch_path: str) -> list[str]:
    """'/spain/madrid/' -> ['/', '/spain/', '/spain/madrid/']."""
    parts = branch_path.strip("/").split("/") if branch_path != WHOLE_TENANT else []
    return [WHOLE_TENANT, *("/" + "/".join(parts[: count + 1]) + "/" for count in range(len(parts)))]


def read(db: Session, row: Person) -> PersonRead:
    held = tuple(
        RoleHeld(role=Role(grant.role), branch_path=grant.branch_path)
        for grant in store.roles(db, row.tenant_id, [row.id])
    )
    return PersonRead.model_validate(row).model_copy(update={"roles": held})


def _person(db: Session, scope: Scope, person_id: UUID) -> Person:
    row = store.person(db, scope, person_id)
    if row is None:
        raise NoSuchPerson
    return row


def _free_operator(db: Session, run: Runtime, tenant_id: UUID) -> bytes:
    while True:
        operator = run.rng.token_bytes(4)
        if store.by_operator(db, tenant_id, operator) is None:
            return operator
