"""Queries over the tables of `server.identity`, filtered by tenant and branch in SQL."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlmodel import Session, col, select

from server.core.scope import Role, Scope
from server.identity.models import Badge, Branch, LoginLink, LoginSession, Passkey, Person, RoleGrant, Tenant


def tenant(db: Session, tenant_id: UUID) -> Tenant | None:
    return db.get(Tenant, tenant_id)


def tenants(db: Session) -> Sequence[Tenant]:
    return db.exec(select(Tenant).order_by(col(Tenant.created_at))).all()


def branches(db: Session, scope: Scope) -> Sequence[Branch]:
    return db.exec(select(Branch).where(scope.owns(Branch)).order_by(col(Branch.branch_path))).all()


def branch(db: Session, tenant_id: UUID, path: str) -> Branch | None:
    return db.exec(select(Branch).where(Branch.tenant_id == tenant_id, Branch.branch_path == path)).one_or_none()


def people(db: Session, scope: Scope) -> Sequence[Person]:
    return db.exec(select(Person).where(scope.owns(Person)).order_by(col(Person.name))).all()


def person(db: Session, scope: Scope, person_id: UUID) -> Person | None:
    return db.exec(select(Person).where(scope.owns(Person), Person.id == person_id)).one_or_none()


def person_named(db: Session, username: str) -> Person | None:
    """By the name typed at login, before anyone knows the tenant."""
    return db.exec(select(Person).where(Person.username == username)).one_or_none()


def by_operator(db: Session, tenant_id: UUID, operator: bytes) -> Person | None:
    return db.exec(select(Person).where(Person.tenant_id == tenant_id, Person.operator == operator)).one_or_none()


def names(db: Session, tenant_id: UUID, ids: Iterable[UUID]) -> dict[UUID, str]:
    wanted = set(ids)
    rows = db.exec(select(Person.id, Person.name).where(Person.tenant_id == tenant_id, col(Person.id).in_(wanted)))
    return dict(rows.all())


def roles(db: Session, tenant_id: UUID, person_ids: Iterable[UUID]) -> Sequence[RoleGrant]:
    query = select(RoleGrant).where(RoleGrant.tenant_id == tenant_id, col(RoleGrant.person_id).in_(set(person_ids)))
    return db.exec(query.order_by(col(RoleGrant.branch_path), col(RoleGrant.role))).all()


def grant(db: Session, person_id: UUID, role: Role, branch_path: str) -> RoleGrant | None:
    query = select(RoleGrant).where(
        RoleGrant.person_id == person_id, RoleGrant.role == role.value, RoleGrant.branch_path == branch_path
    )
    return db.exec(query).one_or_none()


def holders(db: Session, tenant_id: UUID, role: Role, paths: Iterable[str]) -> Sequence[Person]:
    """Active people who hold `role` in one of `paths`."""
    held = select(RoleGrant.person_id).where(
        RoleGrant.tenant_id == tenant_id, RoleGrant.role == role.value, col(RoleGrant.branch_path).in_(set(paths))
    )
    query = select(Person).where(Person.tenant_id == tenant_id, col(Person.active), col(Person.id).in_(held))
    return db.exec(query.order_by(col(Person.name))).all()


def active_people(db: Session, tenant_id: UUID, ids: Iterable[UUID]) -> Sequence[Person]:
    query = select(Person).where(Person.tenant_id == tenant_id, col(Person.active), col(Person.id).in_(set(ids)))
    return db.exec(query).all()


def badge(db: Session, scope: Scope, badge_id: UUID) -> Badge | None:
    return db.exec(select(Badge).where(scope.owns(Badge), Badge.id == badge_id)).one_or_none()


def badges(db: Session, scope: Scope, person_id: UUID) -> Sequence[Badge]:
    query = select(Badge).where(scope.owns(Badge), Badge.person_id == person_id)
    return db.exec(query.order_by(col(Badge.created_at).desc())).all()


def badge_by_lookup(db: Session, tenant_id: UUID, lookup: bytes) -> Badge | None:
    """The live badge with this lookup hash."""
    query = select(Badge).where(Badge.tenant_id == tenant_id, Badge.lookup == lookup, col(Badge.revoked_at).is_(None))
    return db.exec(query.limit(1)).first()


def live_badges(db: Session, tenant_id: UUID, person_ids: Iterable[UUID]) -> Sequence[Badge]:
    query = select(Badge).where(
        Badge.tenant_id == tenant_id, col(Badge.person_id).in_(set(person_ids)), col(Badge.revoked_at).is_(None)
    )
    return db.exec(query).all()


def passkey(db: Session, tenant_id: UUID, passkey_id: UUID) -> Passkey | None:
    query = select(Passkey).where(Passkey.tenant_id == tenant_id, Passkey.id == passkey_id)
    return db.exec(query.with_for_update()).one_or_none()


def passkey_by_credential(db: Session, tenant_id: UUID, credential_id: bytes) -> Passkey | None:
    """The live one with this credential id."""
    query = select(Passkey).where(
        Passkey.tenant_id == tenant_id, Passkey.credential_id == credential_id, col(Passkey.revoked_at).is_(None)
    )
    return db.exec(query.limit(1)).first()


def live_passkeys(db: Session, tenant_id: UUID, person_ids: Iterable[UUID]) -> Sequence[Passkey]:
    """Confirmed or not."""
    query = select(Passkey).where(
        Passkey.tenant_id == tenant_id, col(Passkey.person_id).in_(set(person_ids)), col(Passkey.revoked_at).is_(None)
    )
    return db.exec(query).all()


def session_by_hash(db: Session, token_hash: bytes) -> LoginSession | None:
    return db.exec(select(LoginSession).where(LoginSession.token_hash == token_hash)).one_or_none()


def session(db: Session, session_id: UUID) -> LoginSession | None:
    return db.get(LoginSession, session_id)


def open_sessions(db: Session, person_id: UUID) -> Sequence[LoginSession]:
    query = select(LoginSession).where(LoginSession.person_id == person_id, col(LoginSession.revoked_at).is_(None))
    return db.exec(query).all()


def link_by_hash(db: Session, token_hash: bytes, now: datetime) -> LoginLink | None:
    """A link that still works, its row locked."""
    query = select(LoginLink).where(
        LoginLink.token_hash == token_hash, col(LoginLink.used_at).is_(None), LoginLink.expires_at > now
    )
    return db.exec(query.with_for_update()).one_or_none()
