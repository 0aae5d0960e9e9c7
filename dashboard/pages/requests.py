"""One request: what is asked, its pages, who decided, where it stands, and the approver's decision."""

from io import BytesIO
from typing import Annotated, Final
from urllib.parse import urlsplit
from uuid import UUID

import segno
from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from dashboard.view import placing, reading_aloud
from dashboard.view.notes import note_text
from dashboard.view.sentence import difference_text, flags, point_text
from dashboard.view.stamping import standing
from dashboard.view.ways import way_text
from dashboard.web.rendering import pages_of
from dashboard.web.viewer import Me
from firmware_protocol import trace
from server.approvals import service as approvals
from server.approvals.schemas import RequestRead
from server.audit import reviewing
from server.audit import service as audit
from server.core.db import DbRead
from server.core.errors import NotFound, ServerError
from server.core.i18n import N_
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.identity import service as identity
from server.identity.guard import Limits, Run
from server.identity.schemas import SignedIn
from server.seals import service as seals
from server.tokens import service as tokens

router = APIRouter(include_in_schema=False, prefix="/requests")
PICTURE_AGE: Final = "private, max-age=3600"
ANSWERS: Final = ("approve", "return", "reject")
"""`return` and `reject` are the same decision; the words ask for a corrected document or give the reason."""


class NoSuchPhoto(NotFound):
    happened = N_("This request has no such photo.")


class PhotoOnItsWay(NotFound):
    happened = N_("The photo has not arrived from the office yet.")
    safe = N_("Its fingerprint is on record; the gateway keeps the photo until it is here.")
    next_step = N_("Wait a moment and load the page again.")


@router.get("/{request_id}")
def show_request(request: Request, request_id: UUID, run: Run, me: Me) -> Response:
    with run.db.read() as db:
        asked = approvals.request(db, run, me.scope, request_id)
        sizes = approvals.document(db, asked.tenant_id, asked.document_digest).sizes_mm
        may = approvals.may_decide(db, run, me.scope, request_id)
        seal = seals.seal(db, Scope.system(asked.tenant_id), asked.seal_id)
        where = standing(db, me.scope, asked)
        verdicts = reviewing.verdicts(db, me.scope, asked.id)
        cases = {case.finding_id: case for case in tokens.cases_of(db, run, me.scope, asked.id)}
        labels = tokens.labels_of(db, me.scope, asked.id)
        notes = tokens.notes_of_request(db, me.scope, asked.id)
        leases = tokens.leases(db, run, Scope.system(asked.tenant_id))
        branches = identity.branches(db, Scope.system(asked.tenant_id))
        others = [other for other in approvals.requests(db, run, me.scope) if other.id != asked.id]
    return pages_of(request).page(
        request,
        "request.html",
        me=me,
        asked=asked,
        may=may,
        seal=seal,
        branch=next((row.name for row in branches if row.branch_path == asked.branch_path), asked.branch_path),
        own=asked.requester_id == me.person.id,
        flags=flags(asked, others),
        sheets=placing.sheets(asked, sizes, diameter_mm=seal.diameter_mm),
        where=where,
        verdicts=verdicts,
        cases=cases,
        labels=labels,
        notes=notes,
        note_text=note_text,
        labels_unused=audit.labels_unused(labels),
        way=way_text(asked),
        leases=[lease for lease in leases if lease.request_id == asked.id],
        difference_text=difference_text,
        trace_url=lambda code: trace.url(code, host=urlsplit(run.settings.public_url).netloc),
    )


@router.get("/{request_id}/pages/{page}.png")
def page_picture(request_id: UUID, page: int, run: Run, me: Me) -> Response:
    asked = _asked(run, me, request_id)
    png = approvals.page_png(run, asked.tenant_id, asked.document_digest, page)
    return Response(png, media_type="image/png", headers={"Cache-Control": PICTURE_AGE})


@router.get("/{request_id}/job.svg")
def job_code(request_id: UUID, run: Run, me: Me) -> Response:
    """The request's number as a QR code: a scanner at the device starts the job with it. It opens nothing by itself."""
    out = BytesIO()
    segno.make_qr(_asked(run, me, request_id).short, error="m").save(out, kind="svg", scale=4, border=4, light="white")
    return Response(out.getvalue(), media_type="image/svg+xml", headers={"Cache-Control": PICTURE_AGE})


@router.get("/{request_id}/photos/{digest}.jpg")
def photo(request_id: UUID, digest: str, run: Run, me: Me) -> Response:
    """A photo or a cut-out of one, when this request's own reports and findings name it. Raises: NoSuchPhoto."""
    with run.db.read() as db:
        asked = approvals.request(db, run, me.scope, request_id)
        named = {known.hex(): known for known in standing(db, me.scope, asked).photos}
        if digest not in named:
            raise NoSuchPhoto
        scope = Scope.system(asked.tenant_id)
        if not run.blobs.exists(db, named[digest], scope=scope):
            raise PhotoOnItsWay
        data = run.blobs.get(db, named[digest], scope=scope)
    return Response(data, media_type="image/jpeg", headers={"Cache-Control": PICTURE_AGE})


@router.get("/{request_id}/text")
def page_texts(request: Request, request_id: UUID, run: Run, me: Me) -> Response:
    """The words of every page, for screen readers, small screens and slow links."""
    asked = _asked(run, me, request_id)
    with run.db.read() as db:
        data = approvals.pdf(db, run, asked.tenant_id, asked.document_digest)
    texts = reading_aloud.page_texts(run.workers, data, pages=asked.pages)
    return pages_of(request).page(request, "request_text.html", me=me, asked=asked, texts=texts)


@router.get("/{request_id}/reconciliation")
def show_reconciliation(request: Request, request_id: UUID, db: DbRead, run: Run, me: Me) -> Response:
    """Approved = granted = pressed = photographed = filed, and what does not agree."""
    counts = audit.reconcile(db, run, me.scope, request_id)
    points = [point_text(code) for code in counts.open_points]
    return pages_of(request).page(request, "reconciliation.html", me=me, counts=counts, points=points)


@router.get("/{request_id}/document.pdf")
def document(request_id: UUID, run: Run, me: Me) -> Response:
    asked = _asked(run, me, request_id)
    with run.db.read() as db:
        data = approvals.pdf(db, run, asked.tenant_id, asked.document_digest)
    named = f'attachment; filename="{asked.short}.pdf"'
    return Response(data, media_type="application/pdf", headers={"Content-Disposition": named})


@router.get("/{request_id}/decide")
def show_decision(request: Request, request_id: UUID, run: Run, me: Me, answer: str = "approve") -> Response:
    return _sheet(request, run, me, request_id, answer=answer if answer in ANSWERS else "approve")


@router.post("/{request_id}/decide")
def decide(
    request: Request,
    *,
    request_id: UUID,
    run: Run,
    me: Me,
    limits: Limits,
    answer: Annotated[str, Form(pattern="^(approve|return|reject)$")],
    digest: Annotated[str, Form(pattern="^[0-9a-f]{64}$")],
    password: Annotated[str, Form(max_length=200)],
    comment: Annotated[str, Form(max_length=1000)] = "",
) -> Response:
    """The person types the password again; the decision signs the digest that was on the screen."""
    try:
        with run.db.read() as db:
            identity.confirm_password(db, me.scope, password=password, limits=limits)
        with run.db.write() as db:
            approvals.decide(
                db,
                run,
                me.scope,
                request_id=request_id,
                approve=answer == "approve",
                seen_digest=bytes.fromhex(digest),
                comment=comment.strip(),
            )
    except ServerError as error:
        return _sheet(request, run, me, request_id, answer=answer, error=error, comment=comment)
    return RedirectResponse(f"/requests/{request_id}", status_code=303)


def _sheet(
    request: Request,
    run: Runtime,
    me: SignedIn,
    request_id: UUID,
    *,
    answer: str,
    error: ServerError | None = None,
    comment: str = "",
) -> Response:
    with run.db.read() as db:
        asked = approvals.request(db, run, me.scope, request_id)
        may = approvals.may_decide(db, run, me.scope, request_id)
    return pages_of(request).page(
        request,
        "decide.html",
        me=me,
        error=error,
        asked=asked,
        may=may,
        answer=answer,
        comment=comment,
    )


def _asked(run: Runtime, me: SignedIn, request_id: UUID) -> RequestRead:
    with run.db.read() as db:
        return approvals.request(db, run, me.scope, request_id)
