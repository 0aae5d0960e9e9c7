"""The HTTP API alone: `/api/v1` for programs, `/gateway/v1` for gateways. The dashboard adds the screens."""

from typing import Final

from fastapi import APIRouter, FastAPI

from server.approvals import gateway_routes as approvals_gateway
from server.approvals import routes as approvals
from server.audit import routes as audit
from server.core import http
from server.core.runtime import Runtime
from server.devices import carry_routes as devices_carry
from server.devices import gateway_routes as devices_gateway
from server.devices import routes as devices
from server.devices.live import LiveDevices
from server.eseals import routes as eseals
from server.events import gateway_routes as events_gateway
from server.events import routes as events
from server.events import service as events_service
from server.identity import routes as identity
from server.identity.limits import LoginLimits
from server.notices import gateway_routes as notices_gateway
from server.seals import routes as seals
from server.tokens import gateway_routes as tokens_gateway
from server.tokens import routes as tokens

ROUTERS: Final[tuple[APIRouter, ...]] = (
    identity.router,
    seals.router,
    devices.router,
    eseals.router,
    approvals.router,
    tokens.router,
    events.router,
    audit.router,
    devices_gateway.router,
    devices_carry.router,
    approvals_gateway.router,
    tokens_gateway.router,
    events_gateway.router,
    events_gateway.devices_router,
    notices_gateway.router,
)


def create_api(runtime: Runtime) -> FastAPI:
    """The API with its own state; no screens, no broker connection."""
    app = FastAPI(title="Cinnabar API", docs_url=None, redoc_url=None)
    http.prepare(app, runtime)
    app.state.login_limits = LoginLimits()
    app.state.live = LiveDevices(runtime.clock)
    events_service.watch_changes(runtime)
    for router in ROUTERS:
        app.include_router(router)
    return app
