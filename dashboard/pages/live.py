"""/live: what changed, for open pages."""

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi.responses import StreamingResponse

from dashboard.web.live import LiveHub
from dashboard.web.viewer import Me


def _hub_of(request: Request) -> LiveHub:
    hub: LiveHub = request.app.state.hub
    return hub


Hub = Annotated[LiveHub, Depends(_hub_of)]
router = APIRouter(include_in_schema=False)


@router.get("/live")
async def live(hub: Hub, _me: Me) -> StreamingResponse:
    """Ids only, no contents: what the reader may not see is not in the fragment that the page then asks for."""
    return StreamingResponse(hub.stream(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
