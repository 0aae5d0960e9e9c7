"""My passkeys: what its owner confirms or removes of what was made at devices. An administrator does it on a person."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from dashboard.web.rendering import pages_of
from dashboard.web.viewer import Me
from server.core.errors import ServerError, problem_of
from server.core.runtime import Runtime
from server.identity import service as identity
from server.identity.guard import Run
from server.identity.schemas import SignedIn

router = APIRouter(include_in_schema=False, prefix="/passkeys")


@router.get("")
def show_mine(request: Request, run: Run, me: Me) -> Response:
    return _mine(request, run, me)


@router.post("/{passkey_id}/confirm")
def confirm(request: Request, passkey_id: UUID, run: Run, me: Me) -> Response:
    try:
        with run.db.write() as db:
            done = identity.confirm_passkey(db, run, me.scope, passkey_id=passkey_id)
    except ServerError as error:
        return _mine(request, run, me, error=error)
    return _back(me, done.person_id)


@router.post("/{passkey_id}/remove")
def remove(
    request: Request,
    passkey_id: UUID,
    run: Run,
    me: Me,
    reason: Annotated[str, Form(min_length=3, max_length=500)],
) -> Response:
    try:
        with run.db.write() as db:
            done = identity.revoke_passkey(db, run, me.scope, passkey_id=passkey_id, reason=reason)
    except ServerError as error:
        return _mine(request, run, me, error=error)
    return _back(me, done.person_id)


def _back(me: SignedIn, person_id: UUID) -> Response:
    path = "/passkeys" if person_id == me.person.id else f"/people/{person_id}"
    return RedirectResponse(path, status_code=303)


def _mine(request: Request, run: Runtime, me: SignedIn, *, error: ServerError | None = None) -> Response:
    with run.db.read() as db:
        found = identity.passkeys(db, run, me.scope, me.person.id)
    problem = problem_of(error, instance="") if error is not None else None
    return pages_of(request).page(
        request,
        "passkeys.html",
        status=problem.status if problem is not None else 200,
        me=me,
        problem=problem,
        passkeys=found,
    )
