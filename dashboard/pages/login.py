"""Sign in and out, one-time links, language."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from dashboard.web.problems import own_path
from dashboard.web.rendering import pages_of
from server.core.errors import ServerError
from server.core.i18n import COOKIE, LANGUAGES
from server.identity import service as identity
from server.identity.csrf import same_origin
from server.identity.guard import CurrentSession, Limits, MaybeSession, Run, drop_cookie, set_cookie

router = APIRouter(include_in_schema=False)
OwnPage = Annotated[None, Depends(same_origin)]
ONE_YEAR_S = 365 * 24 * 3600


@router.get("/login")
def show_login(request: Request, session: MaybeSession, next: str = "/") -> Response:  # noqa: A002 - the query's name
    if session is not None:
        return RedirectResponse(own_path(next), status_code=303)
    return pages_of(request).page(request, "login.html", next=own_path(next), username="")


@router.post("/login")
def sign_in(
    request: Request,
    *,
    run: Run,
    limits: Limits,
    _own: OwnPage,
    username: Annotated[str, Form(max_length=80)],
    password: Annotated[str, Form(max_length=200)],
    next: Annotated[str, Form()] = "/",  # noqa: A002 - the field's name
) -> Response:
    place = request.client.host if request.client else "unknown"
    try:
        with run.db.read() as db:
            person = identity.check_password(
                db, username=username.strip(), password=password, limits=limits, place=place
            )
    except ServerError as error:
        return pages_of(request).page(request, "login.html", error=error, next=own_path(next), username=username)
    with run.db.write() as db:
        opened = identity.open_session(db, run, person_id=person.id)
    response = RedirectResponse(own_path(next), status_code=303)
    set_cookie(response, opened)
    if COOKIE not in request.cookies:
        _remember_language(response, person.language)
    return response


@router.get("/login/link/{token}")
def use_link(token: str, run: Run) -> Response:
    """A link that signs one person in once; the demo prints one per role."""
    with run.db.write() as db:
        opened, next_path = identity.use_login_link(db, run, token=token)
    response = RedirectResponse(own_path(next_path), status_code=303)
    set_cookie(response, opened)
    return response


@router.post("/logout")
def sign_out(run: Run, session: CurrentSession, _own: OwnPage) -> Response:
    with run.db.write() as db:
        identity.end_session(db, run, session_id=session.session_id)
    response = RedirectResponse("/login", status_code=303)
    drop_cookie(response)
    return response


@router.get("/language/{name}")
def choose_language(name: str, next: str = "/") -> Response:  # noqa: A002 - the query's name
    response = RedirectResponse(own_path(next), status_code=303)
    if name in LANGUAGES:
        _remember_language(response, name)
    return response


def _remember_language(response: Response, name: str) -> None:
    response.set_cookie(COOKIE, name, max_age=ONE_YEAR_S, secure=True, httponly=True, samesite="lax", path="/")
