"""People of a branch: accounts, roles, PIN, password, badge, and their end. For administrators."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from dashboard.web.rendering import pages_of
from dashboard.web.viewer import Administrator
from server.core.errors import BadInput, ServerError
from server.core.i18n import N_
from server.core.runtime import Runtime
from server.core.scope import Role
from server.identity import service as identity
from server.identity.guard import Run
from server.identity.schemas import PasswordIn, PersonIn, PinIn, SignedIn

router = APIRouter(include_in_schema=False, prefix="/people")
ROLES: Final = tuple(Role)


class NotAllowed(BadInput):
    title = N_("This cannot be used as it is")
    happened = N_(
        "A user name has small letters, digits, dots and dashes; a PIN 4 to 12 characters; a password 15 or more."
    )
    safe = N_("Nothing was changed.")
    next_step = N_("Correct it and send it again.")


@router.get("")
def show_people(request: Request, run: Run, me: Administrator) -> Response:
    return _list(request, run, me)


@router.post("")
def add_person(
    request: Request,
    *,
    run: Run,
    me: Administrator,
    username: Annotated[str, Form(max_length=80)],
    name: Annotated[str, Form(max_length=120)],
    branch_path: Annotated[str, Form(max_length=200)],
    role: Annotated[Role, Form()],
) -> Response:
    try:
        form = _person(username=username, name=name, branch_path=branch_path)
        with run.db.write() as db:
            person = identity.add_person(
                db, run, me.scope, username=form.username, name=form.name, branch_path=form.branch_path
            )
            identity.set_role(db, run, me.scope, person_id=person.id, role=role, branch_path=form.branch_path)
    except ServerError as error:
        return _list(request, run, me, error=error)
    return _back(person.id)


@router.get("/{person_id}")
def show_person(request: Request, person_id: UUID, run: Run, me: Administrator) -> Response:
    return _one(request, run, me, person_id)


@router.post("/{person_id}/pin")
def set_pin(
    request: Request, person_id: UUID, run: Run, me: Administrator, pin: Annotated[str, Form(max_length=40)]
) -> Response:
    try:
        secret = _checked_pin(pin)
        with run.db.write() as db:
            identity.set_pin(db, run, me.scope, person_id=person_id, pin=secret)
    except ServerError as error:
        return _one(request, run, me, person_id, error=error)
    return _back(person_id)


@router.post("/{person_id}/password")
def set_password(
    request: Request, person_id: UUID, run: Run, me: Administrator, password: Annotated[str, Form(max_length=200)]
) -> Response:
    try:
        secret = _checked_password(password)
        with run.db.write() as db:
            identity.set_password(db, run, me.scope, person_id=person_id, password=secret)
    except ServerError as error:
        return _one(request, run, me, person_id, error=error)
    return _back(person_id)


@router.post("/{person_id}/badge")
def register_badge(
    request: Request,
    *,
    person_id: UUID,
    run: Run,
    me: Administrator,
    badge: Annotated[str, Form(max_length=200)],
    name: Annotated[str, Form(min_length=1, max_length=80)],
) -> Response:
    try:
        with run.db.write() as db:
            identity.register_badge(db, run, me.scope, person_id=person_id, badge=badge, name=name)
    except ServerError as error:
        return _one(request, run, me, person_id, error=error)
    return _back(person_id)


@router.post("/{person_id}/badges/{badge_id}/revoke")
def revoke_badge(
    person_id: UUID,
    badge_id: UUID,
    run: Run,
    me: Administrator,
    reason: Annotated[str, Form(min_length=3, max_length=500)],
) -> Response:
    with run.db.write() as db:
        identity.revoke_badge(db, run, me.scope, badge_id=badge_id, reason=reason)
    return _back(person_id)


@router.post("/{person_id}/roles")
def set_role(
    person_id: UUID,
    *,
    run: Run,
    me: Administrator,
    role: Annotated[Role, Form()],
    branch_path: Annotated[str, Form(max_length=200)],
    held: Annotated[bool, Form()] = True,
) -> Response:
    with run.db.write() as db:
        identity.set_role(db, run, me.scope, person_id=person_id, role=role, branch_path=branch_path, held=held)
    return _back(person_id)


@router.post("/{person_id}/remove")
def remove(
    request: Request,
    person_id: UUID,
    run: Run,
    me: Administrator,
    reason: Annotated[str, Form(min_length=3, max_length=500)],
) -> Response:
    try:
        with run.db.write() as db:
            identity.remove_person(db, run, me.scope, person_id=person_id, reason=reason)
    except ServerError as error:
        return _one(request, run, me, person_id, error=error)
    return _back(person_id)


def _person(*, username: str, name: str, branch_path: str) -> PersonIn:
    try:
        return PersonIn(username=username, name=name, branch_path=branch_path)
    except ValidationError as error:
        raise NotAllowed from error


def _checked_pin(pin: str) -> str:
    try:
        return PinIn.model_validate({"pin": pin}).pin.get_secret_value()
    except ValidationError as error:
        raise NotAllowed from error


def _checked_password(password: str) -> str:
    try:
        return PasswordIn.model_validate({"password": password}).password.get_secret_value()
    except ValidationError as error:
        raise NotAllowed from error


def _back(person_id: UUID) -> Response:
    return RedirectResponse(f"/people/{person_id}", status_code=303)


def _list(request: Request, run: Runtime, me: SignedIn, *, error: ServerError | None = None) -> Response:
    with run.db.read() as db:
        people, branches = identity.people(db, me.scope), identity.branches(db, me.scope)
    return pages_of(request).page(
        request,
        "people.html",
        me=me,
        error=error,
        people=people,
        branches=branches,
        roles=ROLES,
    )


def _one(
    request: Request, run: Runtime, me: SignedIn, person_id: UUID, *, error: ServerError | None = None
) -> Response:
    with run.db.read() as db:
        person = identity.person(db, me.scope, person_id)
        ways = {way.method.name for way in identity.verifiers(db, person.tenant_id, [person.id])}
        passkeys = identity.passkeys(db, run, me.scope, person_id)
        badges, branches = identity.badges(db, me.scope, person_id), identity.branches(db, me.scope)
    return pages_of(request).page(
        request,
        "person.html",
        me=me,
        error=error,
        person=person,
        has_pin="PIN" in ways,
        badge=next((badge for badge in badges if badge.revoked_at is None), None),
        passkeys=passkeys,
        branches=branches,
        roles=ROLES,
    )
