"""/live: what changed, for open pages."""

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from dashboard.web.live import LiveHub
from dashboard.web.viewer import Me

router = APIRouter(include_in_schema=False)


@router.get("/live")
async def live(request: Request, _me: Me) -> StreamingResponse:
    """Ids only, no contents: what the reader may not see is not in the fragment that the page then asks for."""
    hub: LiveHub = request.app.state.hub
    return StreamingResponse(hub.stream(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
