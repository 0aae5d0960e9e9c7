"""The web role: the API, the screens, the live stream, the ledger's files, all behind one set of guards."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import FastAPI
from starlette.middleware.gzip import GZipMiddleware

from dashboard.pages import (
    asking,
    cases,
    deputies,
    devices,
    inbox,
    ledger,
    ledger_browser,
    ledger_cases,
    ledger_checkpoints,
    live,
    login,
    passkeys,
    people,
    requests,
    reviews,
    seals,
    trust,
)
from dashboard.web.assets import Assets
from dashboard.web.guarding import Guarding
from dashboard.web.live import LiveHub
from dashboard.web.problems import problem_page
from dashboard.web.rendering import Pages
from server.app import ROUTERS
from server.archive import routes as archive
from server.core import http
from server.core.runtime import Runtime
from server.devices.downlink import CLIENT_ID as DOWNLINK_ID
from server.devices.downlink import Downlink
from server.devices.live import LiveDevices
from server.events import service as events
from server.identity.guard import EVERYONE, allow
from server.identity.limits import LoginLimits
from server.ledger import routes as log
from server.ledger import service as ledger_service
from server.ledger.errors import LogNotStarted
from server.ledger.role import broker_address

SMALLEST_GZIP: Final = 600
"""Bytes; below this a header costs more than it saves."""


def create_app(runtime: Runtime) -> FastAPI:
    """What `serve --role web` runs. Its lifespan connects to the broker."""
    app = FastAPI(title="Cinnabar", lifespan=_lifespan, docs_url=None, redoc_url=None)
    http.prepare(app, runtime, page=problem_page)
    assets = Assets()
    hub = LiveHub(ledger_size=lambda: _ledger_size(runtime), clock=runtime.clock)
    app.state.pages = Pages(runtime, assets)
    app.state.hub = hub
    app.state.login_limits = LoginLimits()
    app.state.live = LiveDevices(runtime.clock, on_change=lambda name: hub.tell(f"device:{name}"))
    events.watch_changes(runtime)
    logs = (log.entries_router(allow(*EVERYONE)), log.public_router)
    for router in (*ROUTERS, *(() if archive.router in ROUTERS else (archive.router,)), *logs):
        app.include_router(router)
    for part in (login, trust, inbox, asking, requests, cases, reviews, devices, deputies, passkeys, people, seals):
        app.include_router(part.router)
    for part in (ledger_browser, ledger_cases, ledger_checkpoints, ledger, live):  # `ledger` takes any name
        app.include_router(part.router)
    app.mount(assets.prefix, assets.files(), name="static")
    app.add_middleware(GZipMiddleware, minimum_size=SMALLEST_GZIP)
    app.add_middleware(Guarding)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    runtime: Runtime = app.state.runtime
    address = broker_address(runtime, DOWNLINK_ID)
    downlink = Downlink(runtime, app.state.live, host=address.host, port=address.port, configure=address.prepare)
    downlink.start()
    try:
        yield
    finally:
        downlink.stop()


def _ledger_size(runtime: Runtime) -> int:
    with runtime.db.read() as db:
        try:
            return ledger_service.head(db)[0]
        except LogNotStarted:
            return 0
