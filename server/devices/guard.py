"""Which gateway calls: the bearer secret of `/gateway/v1`."""

from typing import Annotated, Final

from fastapi import Depends, Request

from server.devices import service
from server.devices.errors import UnknownGateway
from server.devices.schemas import GatewayRead
from server.identity.guard import Run

MAX_EVENT_FILE: Final = 4096
"""Bytes read of a signed event that a gateway sends as a file. A message has 512 at most, so more is none."""
CARRIED_FOR: Final = "carried_for"
"""Where a carried request keeps the gateway that closed its envelope: in its state, out of any header's reach."""


def current_gateway(request: Request, run: Run) -> GatewayRead:
    """Raises: UnknownGateway."""
    carried = getattr(request.state, CARRIED_FOR, None)
    if isinstance(carried, GatewayRead):  # set by the carry route alone, after it checked the envelope's MAC
        return carried
    scheme, _space, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        raise UnknownGateway
    with run.db.read() as db:
        gateway = service.gateway_by_secret(db, secret.strip())
    if gateway is None:
        raise UnknownGateway
    return gateway


CurrentGateway = Annotated[GatewayRead, Depends(current_gateway)]
