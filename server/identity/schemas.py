"""What goes in and out of `server.identity`."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from server.core.scope import Role, Scope, check_branch_path

BranchPath = Annotated[str, AfterValidator(check_branch_path)]

MIN_PASSWORD = 15
"""Characters; ASVS 5.0 V6.2.1 asks for 8 and recommends 15, without rules about what they are."""


class In(BaseModel):
    """A body from outside: an unknown field is refused, so nobody sets what a screen does not show."""

    model_config = ConfigDict(extra="forbid")


class Out(BaseModel):
    """A value for screens and the API; never a table row."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class LoginIn(In):
    username: str = Field(max_length=80)
    password: SecretStr = Field(max_length=200)


class BranchIn(In):
    path: BranchPath
    name: str = Field(min_length=1, max_length=120)


class PersonIn(In):
    username: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{1,60}$")
    name: str = Field(min_length=1, max_length=120)
    branch_path: BranchPath
    language: str = Field(default="en", pattern="^(en|es|zh)$")
    password: SecretStr | None = Field(default=None, min_length=MIN_PASSWORD, max_length=200)
    pin: SecretStr | None = Field(default=None, min_length=4, max_length=12)


class RoleIn(In):
    role: Role
    branch_path: BranchPath
    held: bool = True


class PinIn(In):
    pin: SecretStr = Field(min_length=4, max_length=12)


class PasswordIn(In):
    password: SecretStr = Field(min_length=MIN_PASSWORD, max_length=200)


class BadgeIn(In):
    """`badge` is what the reader typed."""

    badge: SecretStr = Field(max_length=200)
    name: str = Field(min_length=1, max_length=80)


class ReasonIn(In):
    reason: str = Field(min_length=3, max_length=500)


class ActIn(In):
    branch_path: BranchPath


class TenantRead(Out):
    id: UUID
    name: str


class BranchRead(Out):
    id: UUID
    branch_path: str
    name: str


class RoleHeld(Out):
    role: Role
    branch_path: str


class PersonRead(Out):
    id: UUID
    tenant_id: UUID
    branch_path: str
    username: str
    name: str
    language: str
    operator: bytes = Field(exclude=True)
    active: bool
    roles: tuple[RoleHeld, ...] = ()


class SignedIn(Out):
    """Who a session belongs to, and what it may see now."""

    session_id: UUID
    person: PersonRead
    scope: Scope
    method: str
    expires_at: datetime


class BadgeRead(Out):
    """A badge as people know it; what its reader types is never kept."""

    id: UUID
    person_id: UUID
    name: str
    created_at: datetime
    revoked_at: datetime | None


class PasskeyRead(Out):
    """A passkey for devices. `number`: six digits made of its key, the same on the page where it was made."""

    id: UUID
    person_id: UUID
    device_id: str
    gateway_id: str
    rp_id: str
    number: str
    created_at: datetime
    confirmed_at: datetime | None
    ends_at: datetime | None  # until when it waits to be confirmed


class OpenedSession(Out):
    token: str  # goes into the cookie, nowhere else
    session_id: UUID
    expires_at: datetime
