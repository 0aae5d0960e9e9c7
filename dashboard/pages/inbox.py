"""The inbox: keepers who wait, what needs this person now, what was told, what waits for others, what is over."""

from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from dashboard.web.rendering import pages_of
from dashboard.web.viewer import Me
from server.approvals import service as approvals
from server.audit import reviewing
from server.core.db import DbRead
from server.core.scope import Role, Scope
from server.identity.guard import Run
from server.notices import service as notices
from server.tokens import service as tokens

router = APIRouter(include_in_schema=False)


@router.get("/")
def show_inbox(request: Request, db: DbRead, run: Run, me: Me) -> Response:
    cases = tokens.waiting_cases(db, run, me.scope)
    return pages_of(request).page(
        request,
        "inbox.html",
        me=me,
        inbox=approvals.inbox(db, run, me.scope),
        cases=[(case, approvals.request(db, run, Scope.system(case.tenant_id), case.request_id)) for case in cases],
        notices=notices.unread(db, run, me.scope),
        reviews=len(reviewing.open_reviews(db, run, me.scope)) if me.scope.has(Role.AUDITOR, Role.APPROVER) else 0,
    )


@router.post("/notices/{notice_id}/read")
def read_notice(notice_id: UUID, run: Run, me: Me) -> Response:
    with run.db.write() as db:
        notices.mark_read(db, run, me.scope, notice_id)
    return RedirectResponse("/", status_code=303)
