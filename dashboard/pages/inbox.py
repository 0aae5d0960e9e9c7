"""The inbox: what needs this person now, what waits for others, what is over."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from dashboard.web.rendering import pages_of
from dashboard.web.viewer import Me
from server.approvals import service as approvals
from server.core.db import DbRead
from server.identity.guard import Run

router = APIRouter(include_in_schema=False)


@router.get("/")
def show_inbox(request: Request, db: DbRead, run: Run, me: Me) -> Response:
    return pages_of(request).page(request, "inbox.html", me=me, inbox=approvals.inbox(db, run, me.scope))
