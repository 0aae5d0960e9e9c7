"""The server's errors and how they are answered: RFC 9457 problem details, translated, with a code.

An error class states facts; three texts tell a person what happened, whether the work is safe, and what to do next.
A slice subclasses the status it needs (`class SelfApproval(Conflict)`); routes list them with `responses=errors(...)`.
"""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Final

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from server.core.i18n import N_, _

PROBLEM_JSON: Final = "application/problem+json"

log = structlog.get_logger(__name__)


class ServerError(Exception):
    """Root of everything the server answers on purpose.

    Keyword facts become attributes of the error and may be named in the texts as `%(name)s`.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "server_error"
    title: ClassVar[str] = N_("Something went wrong on the server")
    happened: ClassVar[str] = N_("The server met a problem it did not expect.")
    safe: ClassVar[str] = N_("Nothing was changed by this step.")
    next_step: ClassVar[str] = N_("Try again. If it happens again, give the number below to your administrator.")
    headers: ClassVar[dict[str, str]] = {}

    def __init_subclass__(cls, **kwargs: object) -> None:
        super().__init_subclass__(**kwargs)
        if "code" not in cls.__dict__:
            cls.code = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()

    def __init__(self, *args: object, **facts: object) -> None:
        super().__init__(*args)
        self.facts: dict[str, object] = facts
        for name, value in facts.items():
            setattr(self, name, value)

    def __str__(self) -> str:
        parts = [str(argument) for argument in self.args] + [f"{name}={value}" for name, value in self.facts.items()]
        return f"{self.code}: {', '.join(parts)}" if parts else self.code

    def text(self, message: str) -> str:
        """One of the three texts in the current language, with the facts filled in."""
        translated = _(message)
        return translated % self.facts if self.facts else translated


class BadInput(ServerError):
    status = 400
    title = N_("This cannot be used as it is")
    happened = N_("What was sent cannot be used.")
    next_step = N_("Correct it and send it again.")


class Unauthenticated(ServerError):
    status = 401
    title = N_("Please sign in")
    happened = N_("You are not signed in, or your session has ended.")
    next_step = N_("Sign in and do this step again.")


class Forbidden(ServerError):
    status = 403
    title = N_("You may not do this")
    happened = N_("Your role does not allow this step.")
    next_step = N_("Ask an administrator if you should have this right.")


class NotFound(ServerError):
    status = 404
    title = N_("Not found")
    happened = N_("There is nothing here, or it belongs to another branch.")
    next_step = N_("Check the address, or go back to your inbox.")


class Conflict(ServerError):
    status = 409
    title = N_("This step does not fit any more")
    happened = N_("Someone or something was faster, or a rule forbids this step.")
    next_step = N_("Look at the current state and decide again.")


class TooLarge(ServerError):
    status = 413
    title = N_("Too large")
    happened = N_("The file is larger than this server accepts.")
    next_step = N_("Send a smaller file.")


class Unprocessable(ServerError):
    status = 422
    title = N_("Some fields are missing or malformed")
    happened = N_("Some fields are missing or malformed.")
    next_step = N_("Correct the fields named and send again.")


class RateLimited(ServerError):
    """Fact `retry_after_s` becomes the Retry-After header."""

    status = 429
    title = N_("Too many tries")
    happened = N_("There were too many tries in a short time.")
    next_step = N_("Wait a moment and try again.")


class Unavailable(ServerError):
    status = 503
    title = N_("Not available right now")
    happened = N_("A part that this step needs is not available right now.")
    next_step = N_("Wait a moment and try again.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """The body of an answer; field names as in RFC 9457 section 3.1, then ours."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    happened: str
    safe: str
    next: str
    instance: str
    errors: list[dict[str, str]] = field(default_factory=list)  # malformed fields: where, what


ProblemPage = Callable[[Request, Problem], Response]
"""Renders a problem as a page for people; the dashboard registers one."""


def problem_of(error: ServerError, *, instance: str) -> Problem:
    """The problem document of `error` in the current language."""
    happened = error.text(error.happened)
    return Problem(
        type=f"urn:cinnabar:problem:{error.code}",
        title=error.text(error.title),
        status=error.status,
        detail=happened,
        code=error.code,
        happened=happened,
        safe=error.text(error.safe),
        next=error.text(error.next_step),
        instance=instance,
        errors=list(getattr(error, "fields", [])),
    )


def errors(*classes: type[ServerError]) -> dict[int | str, dict[str, Any]]:
    """OpenAPI `responses=` for the errors a route may answer with."""
    by_status: dict[int | str, dict[str, Any]] = {}
    for cls in classes:
        entry = by_status.setdefault(cls.status, {"description": "", "content": {PROBLEM_JSON: {"schema": _SCHEMA}}})
        line = f"`{cls.code}`: {cls.title}"
        entry["description"] = f"{entry['description']}\n\n{line}".strip()
    return by_status


_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["type", "title", "status", "detail", "code", "happened", "safe", "next", "instance"],
    "properties": {
        name: {"type": "integer" if name == "status" else "string"}
        for name in ("type", "title", "status", "detail", "code", "happened", "safe", "next", "instance")
    },
}

_BY_STATUS: Final[dict[int, type[ServerError]]] = {
    cls.status: cls
    for cls in (
        BadInput,
        Unauthenticated,
        Forbidden,
        NotFound,
        Conflict,
        TooLarge,
        Unprocessable,
        RateLimited,
        Unavailable,
    )
}


def install(app: FastAPI, *, page: ProblemPage | None = None) -> Callable[[Request, Exception], Response]:
    """Answer every error of `app` as a problem; as a page when `page` is given and the client asks for HTML.

    Returns what answers an unexpected exception, for middleware that wants to catch it nearer to the route.
    """

    def answer(request: Request, error: ServerError) -> Response:
        problem = problem_of(error, instance=_instance(request))
        headers = dict(error.headers)
        if isinstance(error, RateLimited) and "retry_after_s" in error.facts:
            headers["Retry-After"] = str(error.facts["retry_after_s"])
        if page is not None and "text/html" in request.headers.get("accept", ""):
            response = page(request, problem)
            response.headers.update(headers)
            return response
        return JSONResponse(asdict(problem), status_code=problem.status, headers=headers, media_type=PROBLEM_JSON)

    def on_server_error(request: Request, error: Exception) -> Response:
        return answer(request, error if isinstance(error, ServerError) else ServerError())

    def on_http(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 500
        return answer(request, _from_status(status, dict(getattr(error, "headers", None) or {})))

    def on_malformed(request: Request, error: Exception) -> Response:
        found = error.errors() if isinstance(error, RequestValidationError) else []
        # Never echo the input: it may be a password.
        fields = [{"where": ".".join(map(str, item["loc"])), "what": str(item["msg"])} for item in found]
        malformed = Unprocessable()
        malformed.fields = fields  # type: ignore[attr-defined]
        return answer(request, malformed)

    def on_gone(request: Request, _error: Exception) -> Response:
        """Whoever asked went away in mid-sentence: nobody reads the answer, and nothing is wrong here."""
        log.info("client_gone", path=request.url.path)
        return answer(request, BadInput())

    def on_unexpected(request: Request, error: Exception) -> Response:
        log.error("unexpected_error", path=request.url.path, exc_info=error)
        return answer(request, ServerError())

    app.add_exception_handler(ServerError, on_server_error)
    app.add_exception_handler(HTTPException, on_http)
    app.add_exception_handler(RequestValidationError, on_malformed)
    app.add_exception_handler(ClientDisconnect, on_gone)
    app.add_exception_handler(Exception, on_unexpected)
    return on_unexpected


def _from_status(status: int, headers: dict[str, str]) -> ServerError:
    base = _BY_STATUS.get(status, BadInput if status < 500 else ServerError)
    if base.status == status and not headers:
        return base()
    named = type(base.__name__, (base,), {"status": status, "code": base.code, "headers": headers})
    error: ServerError = named()
    return error


def _instance(request: Request) -> str:
    """The number a person can give to an administrator: the request's correlation id, else its path."""
    number = getattr(request.state, "correlation_id", None)
    return f"urn:uuid:{number}" if number else request.url.path
