"""My passkeys: what its owner confirms or removes of what was made at devices. An administrator does it on a person."""

from collections.abc import Callable
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from sqlmodel import Session

from dashboard.web.rendering import pages_of
from dashboard.web.viewer import Me
from server.core.errors import ServerError
from server.core.runtime import Runtime
from server.identity import service as identity
from server.identity.guard import Run
from server.identity.schemas import PasskeyRead, SignedIn

router = APIRouter(include_in_schema=False, prefix="/passkeys")


@router.get("")
def show_mine(request: Request, run: Run, me: Me) -> Response:
    return _mine(request, run, me)


@router.post("/{passkey_id}/confirm")
def confirm(request: Request, passkey_id: UUID, run: Run, me: Me) -> Response:
    return _change(request, run, me, lambda db: identity.confirm_passkey(db, run, me.scope, passkey_id=passkey_id))


@router.post("/{passkey_id}/remove")
def remove(
    request: Request,
    passkey_id: UUID,
    run: Run,
    me: Me,
    reason: Annotated[str, Form(min_length=3, max_length=500)],
) -> Response:
    return _change(
        request, run, me, lambda db: identity.revoke_passkey(db, run, me.scope, passkey_id=passkey_id, reason=reason)
    )


def _change(request: Request, run: Runtime, me: SignedIn, change: Callable[[Session], PasskeyRead]) -> Response:
    """To the page of whose passkey it is; a refusal stands on one's own."""
    try:
        with run.db.write() as db:
            person_id = change(db).person_id
    except ServerError as error:
        return _mine(request, run, me, error=error)
    return RedirectResponse("/passkeys" if person_id == me.person.id else f"/people/{person_id}", status_code=303)


def _mine(request: Request, run: Runtime, me: SignedIn, *, error: ServerError | None = None) -> Response:
    with run.db.read() as db:
        found = identity.passkeys(db, run, me.scope, me.person.id)
    return pages_of(request).page(
        request,
        "passkeys.html",
        me=me,
        error=error,
        passkeys=found,
    )
