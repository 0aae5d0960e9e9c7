"""The web role: the API, the screens, the live stream, the ledger's files, all behind one set of guards."""

import importlib
import pkgutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Final

from fastapi import APIRouter, FastAPI
from starlette.middleware.gzip import GZipMiddleware

import server
from dashboard.pages import asking, devices, inbox, ledger, live, login, requests, seals, trust
from dashboard.web.assets import Assets
from dashboard.web.guarding import Guarding
from dashboard.web.live import LiveHub
from dashboard.web.problems import problem_page
from dashboard.web.rendering import Pages
from server.core import http
from server.core.runtime import Runtime
from server.devices.downlink import Downlink
from server.devices.live import LiveDevices
from server.identity.guard import EVERYONE, allow
from server.identity.limits import LoginLimits
from server.ledger import routes as ledger_routes
from server.ledger import service as ledger_service
from server.ledger.errors import LogNotStarted

SMALLEST_GZIP: Final = 600
"""Bytes; below this a header costs more than it saves."""
_API: Final = ("routes", "gateway_routes")
_OTHER_ROLES: Final = {"public", "ledger"}
"""Slices whose routes are served by a process of their own, or that let the composition say who may read."""


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
    for router in (*_api_routers(), ledger_routes.public_router, ledger_routes.entries_router(allow(*EVERYONE))):
        app.include_router(router)
    for part in (login, trust, inbox, asking, requests, devices, seals, ledger, live):
        app.include_router(part.router)
    app.mount(assets.prefix, assets.files(), name="static")
    app.add_middleware(GZipMiddleware, minimum_size=SMALLEST_GZIP)
    app.add_middleware(Guarding)
    return app


def _api_routers() -> Iterator[APIRouter]:
    """`/api/v1` and `/gateway/v1` of every slice of the server."""
    for slice_ in pkgutil.iter_modules(server.__path__, "server."):
        if not slice_.ispkg or slice_.name.rpartition(".")[2] in _OTHER_ROLES:
            continue
        names = {module.name for module in pkgutil.iter_modules(importlib.import_module(slice_.name).__path__)}
        for name in _API:
            found = importlib.import_module(f"{slice_.name}.{name}") if name in names else None
            if hasattr(found, "router"):
                yield found.router


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    runtime: Runtime = app.state.runtime
    host, port = runtime.settings.broker_address
    downlink = Downlink(runtime, app.state.live, host=host, port=port)
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
