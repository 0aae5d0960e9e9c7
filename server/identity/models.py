"""Tables of `server.identity`."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, UniqueConstraint
from sqlmodel import Field

from server.core.db import CreatedAt, UtcDateTime, UuidPk


class Tenant(UuidPk, CreatedAt, table=True):
    """A company group; nothing is ever shared between two."""

    __tablename__ = "tenant"

    name: str


class Branch(UuidPk, CreatedAt, table=True):
    """One node of a tenant's tree, named by its path: '/', '/spain/', '/spain/madrid/'."""

    __tablename__ = "branch"
    __table_args__ = (UniqueConstraint("tenant_id", "branch_path"),)

    tenant_id: UUID = Field(foreign_key="tenant.id")
    branch_path: str
    name: str


class Person(UuidPk, CreatedAt, table=True):
    """Someone who can sign in. `operator` is the person's number inside tokens and device events."""

    __tablename__ = "person"
    __table_args__ = (UniqueConstraint("tenant_id", "operator"),)

    tenant_id: UUID = Field(foreign_key="tenant.id")
    branch_path: str
    username: str = Field(unique=True)
    name: str
    language: str = "en"
    operator: bytes = Field(max_length=4)
    password_hash: str | None = None  # argon2id, PHC string
    pin_hash: str | None = None
    roster_salt: bytes | None = Field(default=None, max_length=8)  # the same PIN, as devices check it without us
    roster_verifier: bytes | None = Field(default=None, max_length=16)
    active: bool = True


class Badge(UuidPk, CreatedAt, table=True):
    """A card that its reader types as text; kept as a verifier and a lookup hash."""

    __tablename__ = "badge"
    __table_args__ = (Index("ix_badge_lookup", "tenant_id", "lookup"),)

    tenant_id: UUID = Field(foreign_key="tenant.id")
    branch_path: str
    person_id: UUID = Field(foreign_key="person.id", index=True)
    name: str
    lookup: bytes = Field(max_length=8)
    salt: bytes = Field(max_length=8)
    verifier: bytes = Field(max_length=16)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Passkey(UuidPk, CreatedAt, table=True):
    """A key of a person's authenticator, made on a gateway's page; it counts once it is confirmed here."""

    __tablename__ = "passkey"
    __table_args__ = (Index("ix_passkey_credential", "tenant_id", "credential_id"),)

    tenant_id: UUID = Field(foreign_key="tenant.id")
    branch_path: str
    person_id: UUID = Field(foreign_key="person.id", index=True)
    device_id: str  # where the person stood
    gateway_id: str
    rp_id: str  # the host of the gateway's page
    credential_id: bytes = Field(max_length=255)
    public_key: bytes = Field(max_length=33)
    confirmed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class RoleGrant(UuidPk, CreatedAt, table=True):
    """A role held in a branch and everything below it."""

    __tablename__ = "role_grant"
    __table_args__ = (UniqueConstraint("person_id", "role", "branch_path"),)

    tenant_id: UUID = Field(foreign_key="tenant.id")
    branch_path: str
    person_id: UUID = Field(foreign_key="person.id", index=True)
    role: str


class LoginSession(UuidPk, CreatedAt, table=True):
    """One signed-in browser; the cookie holds the token, the table only its hash."""

    __tablename__ = "login_session"

    tenant_id: UUID = Field(foreign_key="tenant.id")
    person_id: UUID = Field(foreign_key="person.id", index=True)
    token_hash: bytes = Field(unique=True, max_length=32)
    method: str  # 'password', 'link'
    acting_path: str  # the branch this session works in
    last_seen_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class LoginLink(UuidPk, CreatedAt, table=True):
    """A link that signs one person in once: the first administrator, the roles of the demo."""

    __tablename__ = "login_link"
    __table_args__ = (Index("ix_login_link_expires", "expires_at"),)

    tenant_id: UUID = Field(foreign_key="tenant.id")
    person_id: UUID = Field(foreign_key="person.id")
    token_hash: bytes = Field(unique=True, max_length=32)
    next_path: str
    expires_at: datetime = Field(sa_type=UtcDateTime)
    used_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
