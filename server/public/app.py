"""The public role: pages for strangers, without login, JavaScript or cookies, from the signed snapshot alone.

No page reads the database. What a page may say is decided in `answer`; here it is only asked and shown.
"""

from pathlib import Path
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.core import http
from server.core.errors import Problem
from server.core.runtime import Runtime
from server.core.trustfile import TrustFile
from server.jobs.sandbox import Workers
from server.public import log
from server.public.log import PublishedLog
from server.public.routes import health, router
from server.public.showing import Shown
from server.public.source import Source, path_in
from server.public.tries import Tries
from server.verification.trust import read_anchor

HEADERS: Final = (
    (
        b"content-security-policy",
        (
            b"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
            b"frame-ancestors 'none'"
        ),
    ),
    (b"referrer-policy", b"no-referrer"),
    (b"x-robots-tag", b"noindex, nofollow"),
    (b"x-content-type-options", b"nosniff"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=()"),
    (b"strict-transport-security", b"max-age=31536000"),
)
JUDGES: Final = "server.public.judging"


def create_app(runtime: Runtime, *, snapshot: Path | None = None, workers: Workers | None = None) -> FastAPI:
    """What `serve --role public` runs. `snapshot`: the signed file, default the one in the home."""
    app = FastAPI(title="Cinnabar public", docs_url=None, redoc_url=None, openapi_url=None)
    settings = runtime.settings
    anchor = read_anchor(TrustFile(settings.home).anchor())
    app.state.source = Source(snapshot or path_in(settings.home), root=anchor.root_key)
    app.state.log = PublishedLog(settings, log_name=anchor.log_name, keys=anchor.keys)
    app.state.shown = Shown(installation=settings.installation, host=settings.public_url, demo=settings.demo)
    app.state.tries = Tries()
    app.state.judges = workers or Workers(functions=(JUDGES,))
    app.include_router(health)  # before the shared one, which asks the database
    app.include_router(router)
    app.include_router(log.router)
    http.prepare(app, runtime, page=_problem, metrics=False)
    app.mount(app.state.shown.static_prefix, app.state.shown.static_files(), name="static")
    app.add_middleware(Fenced)
    return app


def _problem(request: Request, problem: Problem) -> HTMLResponse:
    shown: Shown = request.app.state.shown
    return shown.page(request, "problem.html", status=problem.status, problem=problem)


class Fenced:
    """The headers of every answer; nothing of it may be kept, but static files."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_fenced(message: Message) -> None:
            if message["type"] == "http.response.start":
                given = message["headers"]
                kept = any(name.lower() == b"cache-control" for name, _value in given)
                extra = () if kept else ((b"cache-control", b"no-store"),)
                message = {**message, "headers": [*given, *HEADERS, *extra]}
            await send(message)

        await self._app(scope, receive, send_fenced)
