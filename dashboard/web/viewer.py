"""Who looks at a page: the signed-in person, from our own pages only when something changes."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Depends, Request

from server.core.scope import Role
from server.identity.csrf import same_origin
from server.identity.errors import RoleMissing
from server.identity.guard import CurrentSession
from server.identity.schemas import SignedIn


def viewer(*roles: Role) -> Callable[..., SignedIn]:
    """A dependency: the session, once one of `roles` is held; without roles any will do.

    Raises: NotSignedIn, RoleMissing, CrossSiteRequest.
    """

    def looks(request: Request, session: CurrentSession) -> SignedIn:
        same_origin(request)
        if not session.scope.has(*(roles or tuple(Role))):
            raise RoleMissing
        return session

    looks.allowed_roles = frozenset(roles or tuple(Role))  # type: ignore[attr-defined]
    return looks


Me = Annotated[SignedIn, Depends(viewer())]
Requester = Annotated[SignedIn, Depends(viewer(Role.REQUESTER))]
Approver = Annotated[SignedIn, Depends(viewer(Role.APPROVER))]
Administrator = Annotated[SignedIn, Depends(viewer(Role.ADMINISTRATOR))]
