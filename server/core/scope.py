"""Who asks, and which part of the organisation they may see. Every store call takes a `Scope` and filters in SQL."""

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Self
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, true

WHOLE_TENANT: Final = "/"
_PATH: Final = re.compile(r"/(?:[^/\x00-\x1f]+/)*")


class Role(StrEnum):
    REQUESTER = "requester"
    KEEPER = "keeper"
    APPROVER = "approver"
    AUDITOR = "auditor"
    ADMINISTRATOR = "administrator"


class MalformedBranchPath(ValueError):
    """A branch path starts and ends with '/' and has no empty part: '/', '/spain/', '/spain/madrid/'."""


def check_branch_path(path: str) -> str:
    """`path` itself.

    Raises: MalformedBranchPath.
    """
    if not _PATH.fullmatch(path):
        raise MalformedBranchPath(path)
    return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One person (or the system) in one tenant, with a subtree of branches and the roles held there."""

    tenant_id: UUID
    branch_path: str  # '/' is the whole tenant, '/spain/madrid/' a subtree
    person_id: UUID | None  # None: the system itself
    roles: frozenset[Role] = field(default_factory=frozenset)

    def __post_init__(self) -> None:
        check_branch_path(self.branch_path)

    @classmethod
    def system(cls, tenant_id: UUID) -> Self:
        """The server acting for itself in one tenant: sees all branches, holds no role, is no person."""
        return cls(tenant_id=tenant_id, branch_path=WHOLE_TENANT, person_id=None)

    @property
    def is_system(self) -> bool:
        return self.person_id is None

    def has(self, *roles: Role) -> bool:
        """Whether any of `roles` is held."""
        return not self.roles.isdisjoint(roles)

    def covers(self, branch_path: str) -> bool:
        """Whether `branch_path` lies in this scope's subtree."""
        return branch_path.startswith(self.branch_path)

    def within(self, column: Any) -> ColumnElement[bool]:  # noqa: ANN401 - a mapped column is typed as its Python value
        """SQL clause: the branch path in `column` lies in this scope's subtree.

        Compares a prefix of exact length: LIKE ignores case on SQLite, ranges depend on the collation on PostgreSQL.
        """
        if self.branch_path == WHOLE_TENANT:
            return true()
        return func.substr(column, 1, len(self.branch_path)) == self.branch_path

    def owns(self, model: Any) -> ColumnElement[bool]:  # noqa: ANN401 - any table class with the two columns
        """SQL clause for a table with `tenant_id` and `branch_path`: same tenant, and within the subtree."""
        return and_(model.tenant_id == self.tenant_id, self.within(model.branch_path))
