"""Who calls: FastAPI dependencies that turn the session cookie into a `Scope` and check the role, before any step."""

from collections.abc import Callable
from typing import Annotated, Final

from fastapi import Depends, Request, Response

from server.core.runtime import Runtime
from server.core.scope import Role, Scope
from server.identity import service
from server.identity.csrf import same_origin
from server.identity.errors import NotSignedIn, RoleMissing
from server.identity.limits import LoginLimits
from server.identity.schemas import OpenedSession, SignedIn

SESSION_COOKIE: Final = "__Host-cinnabar"
"""The prefix makes browsers insist on Secure, Path=/ and no Domain (RFC 6265bis section 4.1.3.2)."""

EVERYONE: Final = tuple(Role)


def runtime_of(request: Request) -> Runtime:
    runtime: Runtime = request.app.state.runtime
    return runtime


def limits_of(request: Request) -> LoginLimits:
    limits: LoginLimits = request.app.state.login_limits
    return limits


Run = Annotated[Runtime, Depends(runtime_of)]
Limits = Annotated[LoginLimits, Depends(limits_of)]


def signed_in_or_none(request: Request, run: Run) -> SignedIn | None:
    """The session behind the cookie; keeps it awake."""
    token = request.cookies.get(SESSION_COOKIE)
    if not token:
        return None
    with run.db.read() as db:
        signed_in = service.session_of(db, run, token)
        stale = signed_in is not None and service.needs_touch(db, run, signed_in.session_id)
    if signed_in is not None and stale:
        with run.db.write() as db:
            service.touch(db, run, signed_in.session_id)
    return signed_in


def signed_in(found: Annotated[SignedIn | None, Depends(signed_in_or_none)]) -> SignedIn:
    """Raises: NotSignedIn."""
    if found is None:
        raise NotSignedIn
    return found


CurrentSession = Annotated[SignedIn, Depends(signed_in)]
MaybeSession = Annotated[SignedIn | None, Depends(signed_in_or_none)]


def allow(*roles: Role) -> Callable[..., Scope]:
    """A dependency: the caller's scope, once one of `roles` is held in the branch the session works in.

    Raises: NotSignedIn, RoleMissing, CrossSiteRequest.
    """

    def scope_of(request: Request, session: CurrentSession) -> Scope:
        same_origin(request)
        if not session.scope.has(*roles):
            raise RoleMissing
        return session.scope

    scope_of.allowed_roles = frozenset(roles)  # type: ignore[attr-defined]
    return scope_of


AnyRole = Annotated[Scope, Depends(allow(*EVERYONE))]
Administrator = Annotated[Scope, Depends(allow(Role.ADMINISTRATOR))]
Auditor = Annotated[Scope, Depends(allow(Role.AUDITOR))]
Requester = Annotated[Scope, Depends(allow(Role.REQUESTER))]
Approver = Annotated[Scope, Depends(allow(Role.APPROVER))]


def set_cookie(response: Response, opened: OpenedSession) -> None:
    """A session cookie: gone with the browser, unreadable for scripts, never sent by another site."""
    response.set_cookie(SESSION_COOKIE, opened.token, secure=True, httponly=True, samesite="strict", path="/")


def drop_cookie(response: Response) -> None:
    response.delete_cookie(SESSION_COOKIE, secure=True, httponly=True, samesite="strict", path="/")
