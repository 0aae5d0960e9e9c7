"""Sign-in: passwords, PINs, links, sessions. A session is an opaque token whose hash is a row, so it can be revoked."""

from collections.abc import Collection
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlmodel import Session

from server.core.runtime import Runtime
from server.core.scope import Role, Scope
from server.identity import credentials, people, secrets_of, store
from server.identity.errors import LinkUsed, NoSuchBranch, NoSuchPerson, WrongLogin, WrongPassword, WrongPin
from server.identity.limits import LoginLimits
from server.identity.models import LoginLink, LoginSession, Person
from server.identity.schemas import OpenedSession, PersonRead, RoleHeld, SignedIn

SESSION_LIFE: Final = timedelta(hours=12)
IDLE_LIMIT: Final = timedelta(minutes=30)
IDLE_LIMIT_APPROVER: Final = timedelta(minutes=15)
"""ASVS 5.0 V7.3.1: people who decide idle out sooner."""
TOUCH_EVERY: Final = timedelta(minutes=1)
LINK_LIFE: Final = timedelta(hours=1)


def check_password(
    db: Session, *, username: str, password: str, limits: LoginLimits, place: str = "local"
) -> PersonRead:
    """The person whose name and password these are. Slow on purpose: call it in a read session.

    Raises: WrongLogin, TooManyTries.
    """
    limits.check(kind="login", name=username, place=place)
    row = store.person_named(db, username)
    right = secrets_of.matches(row.password_hash if row else None, password)
    if row is None or not right or not row.active:
        limits.wrong(kind="login", name=username, place=place)
        raise WrongLogin
    return people.read(db, row)


def confirm_password(db: Session, scope: Scope, *, password: str, limits: LoginLimits) -> None:
    """Step-up: the signed-in person types the password again. Call it in a read session, before the step.

    Raises: WrongPassword, TooManyTries.
    """
    name = str(scope.person_id)
    limits.check(kind="step-up", name=name, place="signed in")
    row = db.get(Person, scope.person_id) if scope.person_id else None
    if row is None or row.tenant_id != scope.tenant_id or not secrets_of.matches(row.password_hash, password):
        limits.wrong(kind="step-up", name=name, place="signed in")
        raise WrongPassword


def check_pin(
    db: Session,
    *,
    tenant_id: UUID,
    branch_path: str,
    username: str,
    pin: str,
    limits: LoginLimits,
    place: str,
    deputies: Collection[UUID] = (),
) -> PersonRead:
    """The keeper who stands at a device in `branch_path`, or one of the `deputies` on duty there.

    Raises: WrongPin, TooManyTries.
    """
    limits.check(kind="pin", name=username, place=place)
    row = store.person_named(db, username)
    right = secrets_of.matches(row.pin_hash if row else None, pin)
    allowed = row is not None and _may_operate(db, tenant_id, row, branch_path, deputies)
    if row is None or not right or not allowed or not row.active:
        limits.wrong(kind="pin", name=username, place=place)
        raise WrongPin
    return people.read(db, row)


def check_badge(
    db: Session,
    *,
    tenant_id: UUID,
    branch_path: str,
    badge: str,
    limits: LoginLimits,
    place: str,
    deputies: Collection[UUID] = (),
) -> PersonRead:
    """The same for what a badge reader typed. Raises: WrongPin, TooManyTries."""
    person_id = credentials.badge_owner(db, tenant_id, badge, limits=limits, place=place)
    row = db.get(Person, person_id)
    if row is None or not row.active or not _may_operate(db, tenant_id, row, branch_path, deputies):
        raise WrongPin
    return people.read(db, row)


def open_session(db: Session, run: Runtime, *, person_id: UUID, method: str = "password") -> OpenedSession:
    """A new session for a person whose proof was checked just before.

    Raises: NoSuchPerson.
    """
    row = db.get(Person, person_id)
    if row is None or not row.active:
        raise NoSuchPerson
    held = people.read(db, row).roles
    token, now = secrets_of.new_token(run.rng), run.now()
    opened = LoginSession(
        id=run.new_id(),
        created_at=now,
        tenant_id=row.tenant_id,
        person_id=row.id,
        token_hash=secrets_of.token_hash(token),
        method=method,
        acting_path=_widest(held, home=row.branch_path),
        last_seen_at=now,
        expires_at=now + SESSION_LIFE,
    )
    db.add(opened)
    db.flush()
    return OpenedSession(token=token, session_id=opened.id, expires_at=opened.expires_at)


def session_of(db: Session, run: Runtime, token: str) -> SignedIn | None:
    """Who the cookie's token belongs to, with the roles of this very moment; None when the session is over."""
    row = store.session_by_hash(db, secrets_of.token_hash(token))
    now = run.now()
    if row is None or row.revoked_at is not None or row.expires_at <= now:
        return None
    person_row = db.get(Person, row.person_id)
    if person_row is None or not person_row.active:
        return None
    person = people.read(db, person_row)
    roles = frozenset(held.role for held in person.roles if row.acting_path.startswith(held.branch_path))
    idle = IDLE_LIMIT_APPROVER if roles & {Role.APPROVER, Role.ADMINISTRATOR} else IDLE_LIMIT
    if now - row.last_seen_at > idle:
        return None
    scope = Scope(tenant_id=row.tenant_id, branch_path=row.acting_path, person_id=person.id, roles=roles)
    return SignedIn(session_id=row.id, person=person, scope=scope, method=row.method, expires_at=row.expires_at)


def touch(db: Session, run: Runtime, session_id: UUID) -> None:
    """Note that the session is in use; at most once a minute, so that reading a page rarely writes."""
    row = store.session(db, session_id)
    if row is not None and run.now() - row.last_seen_at >= TOUCH_EVERY:
        row.last_seen_at = run.now()
        db.add(row)


def needs_touch(db: Session, run: Runtime, session_id: UUID) -> bool:
    row = store.session(db, session_id)
    return row is not None and run.now() - row.last_seen_at >= TOUCH_EVERY


def act_in(db: Session, *, session_id: UUID, branch_path: str) -> None:
    """Work in another branch from now on, with the roles held there.

    Raises: NoSuchBranch, when the person holds no role there or it does not exist.
    """
    row = store.session(db, session_id)
    if row is None or store.branch(db, row.tenant_id, branch_path) is None:
        raise NoSuchBranch
    held = store.roles(db, row.tenant_id, [row.person_id])
    if not any(branch_path.startswith(grant.branch_path) for grant in held):
        raise NoSuchBranch
    row.acting_path = branch_path
    db.add(row)


def end_session(db: Session, run: Runtime, *, session_id: UUID) -> None:
    row = store.session(db, session_id)
    if row is not None and row.revoked_at is None:
        row.revoked_at = run.now()
        db.add(row)


def end_all_sessions(db: Session, run: Runtime, *, person_id: UUID) -> int:
    """Sign a person out everywhere; returns how many sessions ended."""
    rows = store.open_sessions(db, person_id)
    for row in rows:
        row.revoked_at = run.now()
        db.add(row)
    return len(rows)


def make_login_link(
    db: Session, run: Runtime, *, person_id: UUID, next_path: str = "/", life: timedelta = LINK_LIFE
) -> str:
    """The token of a link that signs this person in once. Only its hash is kept.

    Raises: NoSuchPerson.
    """
    row = db.get(Person, person_id)
    if row is None:
        raise NoSuchPerson
    token = secrets_of.new_token(run.rng)
    db.add(
        LoginLink(
            id=run.new_id(),
            created_at=run.now(),
            tenant_id=row.tenant_id,
            person_id=row.id,
            token_hash=secrets_of.token_hash(token),
            next_path=next_path if next_path.startswith("/") and not next_path.startswith("//") else "/",
            expires_at=run.now() + life,
        )
    )
    db.flush()
    return token


def use_login_link(db: Session, run: Runtime, *, token: str) -> tuple[OpenedSession, str]:
    """The session the link opens, and the path to go to; the link is used up.

    Raises: LinkUsed.
    """
    link = store.link_by_hash(db, secrets_of.token_hash(token), run.now())
    if link is None:
        raise LinkUsed
    link.used_at = run.now()
    db.add(link)
    return open_session(db, run, person_id=link.person_id, method="link"), link.next_path


def _may_operate(db: Session, tenant_id: UUID, row: Person, branch_path: str, deputies: Collection[UUID]) -> bool:
    keeper = people.holds(db, tenant_id, row.id, Role.KEEPER, branch_path)
    return keeper or (row.tenant_id == tenant_id and row.id in deputies)


def _widest(held: tuple[RoleHeld, ...], *, home: str) -> str:
    """The branch a session starts in: the widest one where the person holds a role."""
    return min((role.branch_path for role in held), key=len, default=home)
