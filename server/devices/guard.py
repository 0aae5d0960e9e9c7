"""Which gateway calls: the bearer secret of `/gateway/v1`."""

from typing import Annotated

from fastapi import Depends, Request

from server.devices import service
from server.devices.errors import UnknownGateway
from server.devices.schemas import GatewayRead
from server.identity.guard import Run


def current_gateway(request: Request, run: Run) -> GatewayRead:
    """Raises: UnknownGateway."""
    scheme, _space, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        raise UnknownGateway
    with run.db.read() as db:
        gateway = service.gateway_by_secret(db, secret.strip())
    if gateway is None:
        raise UnknownGateway
    return gateway


CurrentGateway = Annotated[GatewayRead, Depends(current_gateway)]
