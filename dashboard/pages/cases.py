"""A doubtful page, answered by a second person while the keeper waits: the pairs of crops, two answers, a reason."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from dashboard.view.sentence import difference_text
from dashboard.web.rendering import pages_of
from dashboard.web.viewer import Me
from server.approvals import service as approvals
from server.core.db import DbRead
from server.core.errors import NotFound, ServerError
from server.core.i18n import N_
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.identity import service as identity
from server.identity.guard import Run
from server.identity.schemas import SignedIn
from server.inspection import service as inspection
from server.inspection.schemas import FindingRead
from server.tokens import service as tokens

router = APIRouter(include_in_schema=False, prefix="/cases")
ANSWERS = ("anyway", "no")


class NoSuchPicture(NotFound):
    happened = N_("This question has no such picture.")


@router.get("/waiting")
def waiting(request: Request, db: DbRead, run: Run, me: Me) -> Response:
    """How many wait for this person: the badge on every page, refreshed as the ledger grows."""
    return pages_of(request).page(request, "case_badge.html", me=me, count=len(tokens.waiting_cases(db, run, me.scope)))


@router.get("/{case_id}")
def show_case(request: Request, case_id: UUID, run: Run, me: Me) -> Response:
    return _page(request, run, me, case_id)


@router.post("/{case_id}")
def answer_case(
    request: Request,
    *,
    case_id: UUID,
    run: Run,
    me: Me,
    answer: Annotated[str, Form(pattern="^(anyway|no)$")],
    reason: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Goes on record with the person's name; "anyway" sends the permit for exactly this photo."""
    try:
        with run.db.write() as db:
            tokens.answer_case(db, run, me.scope, case_id=case_id, anyway=answer == "anyway", reason=reason)
    except ServerError as error:
        return _page(request, run, me, case_id, error=error, reason=reason)
    return RedirectResponse(f"/cases/{case_id}", status_code=303)


@router.get("/{case_id}/photos/{digest}.jpg")
def case_photo(case_id: UUID, digest: str, run: Run, me: Me) -> Response:
    """The photo of the case or one of its crops. Raises: NoSuchCase, NoSuchPicture."""
    with run.db.read() as db:
        case = tokens.case(db, run, me.scope, case_id)
        look = inspection.finding(db, Scope.system(case.tenant_id), case.finding_id)
        if digest not in _pictures(look):
            raise NoSuchPicture
        data = run.blobs.get(db, bytes.fromhex(digest), scope=Scope.system(case.tenant_id))
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": "private, max-age=3600"})


def _pictures(look: FindingRead) -> set[str]:
    crops = {crop for item in look.differences for crop in (item.approved, item.photo) if crop}
    return {look.photo_digest.hex(), *crops}


def _page(
    request: Request, run: Runtime, me: SignedIn, case_id: UUID, *, error: ServerError | None = None, reason: str = ""
) -> Response:
    with run.db.read() as db:
        case = tokens.case(db, run, me.scope, case_id)
        asked = approvals.request(db, run, Scope.system(case.tenant_id), case.request_id)
        look = inspection.finding(db, Scope.system(case.tenant_id), case.finding_id)
        names = identity.names(db, case.tenant_id, [case.keeper_id, case.answered_by])
        may = tokens.may_answer(db, run, me.scope, case)
    return pages_of(request).page(
        request,
        "case.html",
        me=me,
        error=error,
        case=case,
        asked=asked,
        look=look,
        keeper=names.get(case.keeper_id, ""),
        answered_by=names.get(case.answered_by, "") if case.answered_by else "",
        may=may,
        reason=reason,
        difference_text=difference_text,
    )
