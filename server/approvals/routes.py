"""/api/v1/requests, /api/v1/inbox, /api/v1/scans."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, File, Form, Response, UploadFile
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError

from server.approvals import service
from server.approvals.errors import (
    BadPlace,
    BadRange,
    BadWindow,
    DecidedAlready,
    DocumentRefused,
    KeeperApproval,
    KeeperNotAllowed,
    MustBeLeafedThrough,
    NoSuchPage,
    NoSuchRequest,
    NothingToDecide,
    NotYours,
    NotYourStage,
    OfflineNotAllowed,
    RequestChanged,
    RequestOver,
    SelfApproval,
    TooManyStrokes,
    WrongState,
)
from server.approvals.schemas import DecisionIn, Inbox, MayDecideRead, ReasonIn, RequestIn, RequestRead, ScanRead
from server.core.db import Db, DbRead
from server.core.errors import errors
from server.eseals.errors import CertificateRevoked, NotSealed
from server.eseals.schemas import EsealRead
from server.identity import service as identity
from server.identity.errors import NotSignedIn, RoleMissing, TooManyTries, WrongPassword
from server.identity.guard import Administrator, AnyRole, Approver, Limits, Requester, Run
from server.seals.errors import NoSuchSeal, SealNotActive

router = APIRouter(prefix="/api/v1", tags=["requests"], responses=errors(NotSignedIn, RoleMissing))

_REFUSALS = errors(
    DocumentRefused,
    NoSuchSeal,
    SealNotActive,
    BadPlace,
    BadRange,
    TooManyStrokes,
    MustBeLeafedThrough,
    OfflineNotAllowed,
    BadWindow,
    KeeperNotAllowed,
)


@router.get("/inbox")
def inbox(db: DbRead, run: Run, scope: AnyRole) -> Inbox:
    return service.inbox(db, run, scope)


@router.get("/requests")
def list_requests(db: DbRead, run: Run, scope: AnyRole, before: UUID | None = None) -> list[RequestRead]:
    """The newest 100; `before`: the id of the last one seen, for the next 100, until there are none."""
    return service.requests(db, run, scope, before=before)


@router.post("/requests", status_code=201, responses=_REFUSALS)
def create_request(
    document: Annotated[UploadFile, File()],
    form: Annotated[str, Form(description="RequestIn as JSON")],
    run: Run,
    scope: Requester,
) -> RequestRead:
    fields = _form(form)
    prepared = service.prepare(run, document.file.read())
    with run.db.write() as db:
        return service.create(db, run, scope, prepared=prepared, form=fields)


@router.get("/requests/{request_id}", responses=errors(NoSuchRequest))
def read_request(request_id: UUID, db: DbRead, run: Run, scope: AnyRole) -> RequestRead:
    return service.request(db, run, scope, request_id)


@router.put("/requests/{request_id}", responses=_REFUSALS | errors(NoSuchRequest, NotYours, WrongState))
def change_request(request_id: UUID, body: RequestIn, db: Db, run: Run, scope: Requester) -> RequestRead:
    return service.change(db, run, scope, request_id=request_id, form=body)


@router.post("/requests/{request_id}/submit", responses=errors(NoSuchRequest, NotYours, WrongState, SealNotActive))
def submit_request(request_id: UUID, db: Db, run: Run, scope: Requester) -> RequestRead:
    return service.submit(db, run, scope, request_id=request_id)


@router.post("/requests/{request_id}/withdraw", responses=errors(NoSuchRequest, NotYours, WrongState))
def withdraw_request(request_id: UUID, body: ReasonIn, db: Db, run: Run, scope: Requester) -> RequestRead:
    return service.withdraw(db, run, scope, request_id=request_id, reason=body.reason)


@router.post("/requests/{request_id}/void", responses=errors(NoSuchRequest, WrongState))
def void_request(request_id: UUID, body: ReasonIn, db: Db, run: Run, scope: Administrator) -> RequestRead:
    return service.void(db, run, scope, request_id=request_id, reason=body.reason)


@router.get("/requests/{request_id}/may-decide", responses=errors(NoSuchRequest))
def may_decide(request_id: UUID, db: DbRead, run: Run, scope: AnyRole) -> MayDecideRead:
    return service.may_decide(db, run, scope, request_id)


@router.post(
    "/requests/{request_id}/decisions",
    status_code=201,
    responses=errors(
        NoSuchRequest,
        WrongPassword,
        TooManyTries,
        SelfApproval,
        KeeperApproval,
        DecidedAlready,
        NotYourStage,
        NothingToDecide,
        RequestChanged,
        RequestOver,
    ),
)
def decide(request_id: UUID, body: DecisionIn, run: Run, scope: Approver, limits: Limits) -> RequestRead:
    with run.db.read() as db:
        service.request(db, run, scope, request_id)
        identity.confirm_password(db, scope, password=body.password.get_secret_value(), limits=limits)
    with run.db.write() as db:
        return service.decide(
            db,
            run,
            scope,
            request_id=request_id,
            approve=body.approve,
            seen_digest=bytes.fromhex(body.digest),
            comment=body.comment,
        )


@router.post(
    "/requests/{request_id}/eseal",
    status_code=201,
    responses=errors(NoSuchRequest, WrongState, RequestChanged, SealNotActive, NotSealed, CertificateRevoked),
)
def seal_request(request_id: UUID, run: Run, scope: Requester) -> EsealRead:
    """Now, instead of when the worker comes to it; again gives the same seal."""
    return service.seal_electronically(run, scope, request_id=request_id)


@router.get("/requests/{request_id}/document", responses=errors(NoSuchRequest))
def read_document(request_id: UUID, db: DbRead, run: Run, scope: AnyRole) -> Response:
    request = service.request(db, run, scope, request_id)
    data = service.pdf(db, run, request.tenant_id, request.document_digest)
    headers = {
        "Content-Disposition": f'attachment; filename="{request.short}.pdf"',
        "X-Content-Type-Options": "nosniff",
    }
    return Response(data, media_type="application/pdf", headers=headers)


@router.get("/requests/{request_id}/pages/{page}", responses=errors(NoSuchRequest, NoSuchPage))
def read_page(request_id: UUID, page: int, run: Run, scope: AnyRole) -> Response:
    with run.db.read() as db:
        request = service.request(db, run, scope, request_id)
    png = service.page_png(run, request.tenant_id, request.document_digest, page)
    return Response(png, media_type="image/png")


@router.get("/scans")
def list_scans(db: DbRead, scope: Requester) -> list[ScanRead]:
    return service.scans(db, scope)


def _form(text: str) -> RequestIn:
    try:
        return RequestIn.model_validate_json(text)
    except ValidationError as error:
        raise RequestValidationError(error.errors(include_url=False)) from error
