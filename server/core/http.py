"""What every HTTP app of the server shares: state, problems, correlation id, language, body cap, health and metrics.

`prepare(app, runtime)` once per app. Pure ASGI, so that streamed answers (server-sent events) stay streams.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any, Final

import structlog
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.core import errors, i18n
from server.core.clock import Clock
from server.core.errors import ProblemPage, TooLarge, Unavailable
from server.core.i18n import N_
from server.core.rng import Rng
from server.core.runtime import Runtime

CORRELATION_HEADER: Final = b"x-request-id"
_OURS: Final = re.compile(rb"[0-9a-f-]{36}")


class DatabaseUnavailable(Unavailable):
    happened = N_("The database does not answer right now.")


class BodyTooLarge(TooLarge):
    """Fact: `limit`, in bytes."""

    happened = N_("What was sent is larger than %(limit)s bytes, the most this server accepts.")


class Metrics:
    """One app's counters; a registry of their own, so that two apps in one process do not meet."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route", "status")
        self.requests = Counter("cinnabar_requests_total", "Answers sent.", labels, registry=self.registry)
        self.seconds = Histogram(
            "cinnabar_request_seconds", "Time to the first byte.", ("route",), registry=self.registry
        )


def prepare(app: FastAPI, runtime: Runtime, *, page: ProblemPage | None = None, metrics: bool = True) -> None:
    """Give `app` its runtime, error answers, middleware and health routes; `/metrics` unless it faces the public."""
    app.state.runtime = runtime
    app.state.metrics = Metrics()
    on_unexpected = errors.install(app, page=page)
    app.include_router(health)
    if metrics:
        app.include_router(measures)
    app.add_middleware(Frame, runtime=runtime, metrics=app.state.metrics, on_unexpected=on_unexpected)


class Frame:
    """Around every request: correlation id, language, body cap, counters."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        runtime: Runtime,
        metrics: Metrics,
        on_unexpected: Callable[[Request, Exception], Response],
    ) -> None:
        self._app = app
        self._on_unexpected = on_unexpected
        self._runtime = runtime
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        number = _correlation_id(scope, self._runtime)
        scope.setdefault("state", {})["correlation_id"] = number
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request=number)
        i18n.set_language(
            i18n.choose_language(
                cookie=connection.cookies.get(i18n.COOKIE),
                accept_language=connection.headers.get("accept-language"),
                default=self._runtime.settings.language,
            )
        )
        start = self._runtime.clock.monotonic()
        begun = False

        async def send_marked(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                message = {**message, "headers": [*message["headers"], (CORRELATION_HEADER, number.encode())]}
                route = _route_of(scope)
                self._metrics.requests.labels(scope["method"], route, message["status"]).inc()
                self._metrics.seconds.labels(route).observe(self._runtime.clock.monotonic() - start)
            await send(message)

        limit = self._runtime.settings.max_upload_bytes
        try:
            await self._app(scope, _capped(scope, receive, limit), send_marked)
        except Exception as error:
            if begun:  # half an answer is out: only closing the connection tells the client
                raise
            await self._on_unexpected(Request(scope), error)(scope, receive, send_marked)


def _capped(scope: Scope, receive: Receive, limit: int) -> Receive:
    """`receive` that refuses a body longer than `limit`, by its announced length before the first byte is read."""
    announced = dict(scope["headers"]).get(b"content-length", b"0")
    seen = 0

    async def counted() -> Message:
        nonlocal seen
        if announced.isdigit() and int(announced) > limit:
            raise BodyTooLarge(limit=limit)
        message = await receive()
        seen += len(message.get("body", b""))
        if seen > limit:
            raise BodyTooLarge(limit=limit)
        return message

    return counted


def _correlation_id(scope: Scope, runtime: Runtime) -> str:
    """The caller's number when it looks like ours (a gateway passes its own), else a new one."""
    given = bytes(dict(scope["headers"]).get(CORRELATION_HEADER, b""))
    return given.decode() if _OURS.fullmatch(given) else str(runtime.new_id())


def _route_of(scope: Scope) -> str:
    """The route's pattern, never the path: ids and codes do not belong in metrics."""
    return str(getattr(scope.get("route"), "path", "unmatched"))


health = APIRouter(tags=["health"])
measures = APIRouter(tags=["health"])


@health.get("/healthz")
def healthz() -> dict[str, str]:
    """The process runs."""
    return {"status": "ok"}


@health.get("/readyz", responses=errors.errors(DatabaseUnavailable))
def readyz(request: Request) -> dict[str, str]:
    """The process can do its work: the database answers."""
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with request.app.state.runtime.db.read() as db:
            db.connection().execute(text("SELECT 1"))
    except SQLAlchemyError as error:
        raise DatabaseUnavailable from error
    return {"status": "ready"}


@measures.get("/metrics", include_in_schema=False)
def show_metrics(request: Request) -> Response:
    """Prometheus text format."""
    return Response(generate_latest(request.app.state.metrics.registry), media_type=CONTENT_TYPE_LATEST)


def _runtime(request: Request) -> Any:  # noqa: ANN401 - FastAPI would read a Runtime as a body model
    return request.app.state.runtime


def _clock(request: Request) -> Any:  # noqa: ANN401 - same
    return request.app.state.runtime.clock


def _rng(request: Request) -> Any:  # noqa: ANN401 - same
    return request.app.state.runtime.rng


CurrentRuntime = Annotated[Runtime, Depends(_runtime)]
CurrentClock = Annotated[Clock, Depends(_clock)]
CurrentRng = Annotated[Rng, Depends(_rng)]
