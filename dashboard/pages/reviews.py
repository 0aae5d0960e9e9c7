"""Presses that wait for a person's decision: nothing was compared before them, or nobody can confirm them."""

from typing import Annotated

from fastapi import APIRouter, Form, Path, Request
from fastapi.responses import RedirectResponse, Response

from dashboard.view.ways import mode_text
from dashboard.web.rendering import pages_of
from dashboard.web.viewer import Me
from server.audit import reviewing
from server.core.db import DbRead
from server.core.errors import ServerError
from server.core.runtime import Runtime
from server.identity.guard import Run
from server.identity.schemas import SignedIn

router = APIRouter(include_in_schema=False, prefix="/reviews")
TokenId = Annotated[str, Path(pattern="^[0-9a-f]{32}$")]
Stroke = Annotated[int, Path(ge=1, le=255)]


@router.get("")
def show_list(request: Request, db: DbRead, run: Run, me: Me) -> Response:
    rows = reviewing.open_reviews(db, run, me.scope)
    return pages_of(request).page(request, "reviews.html", me=me, rows=rows, mode_text=mode_text)


@router.get("/{token_id}/{stroke}")
def show_review(request: Request, token_id: TokenId, stroke: Stroke, run: Run, me: Me) -> Response:
    return _page(request, run, me, bytes.fromhex(token_id), stroke)


@router.post("/{token_id}/{stroke}")
def decide(
    request: Request,
    *,
    token_id: TokenId,
    stroke: Stroke,
    run: Run,
    me: Me,
    answer: Annotated[str, Form(pattern="^(confirm|refuse)$")],
    reason: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """The person's word, on record with the name and the reason."""
    try:
        with run.db.write() as db:
            reviewing.decide(
                db,
                run,
                me.scope,
                token_id=bytes.fromhex(token_id),
                stroke=stroke,
                confirmed=answer == "confirm",
                reason=reason,
            )
    except ServerError as error:
        return _page(request, run, me, bytes.fromhex(token_id), stroke, error=error, reason=reason)
    return RedirectResponse(f"/reviews/{token_id}/{stroke}", status_code=303)


def _page(
    request: Request,
    run: Runtime,
    me: SignedIn,
    token_id: bytes,
    stroke: int,
    *,
    error: ServerError | None = None,
    reason: str = "",
) -> Response:
    with run.db.read() as db:
        review = reviewing.review(db, run, me.scope, token_id=token_id, stroke=stroke)
        may = reviewing.may_decide(db, run, me.scope, review)
    return pages_of(request).page(
        request,
        "review.html",
        me=me,
        error=error,
        review=review,
        may=may,
        reason=reason,
        mode_text=mode_text,
    )
