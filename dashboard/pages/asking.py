"""The requester's screens: a new request in two steps (document and facts, then the place on the page), and back."""

from typing import Annotated, Final
from uuid import UUID

from fastapi import APIRouter, Form, Request, UploadFile
from fastapi.responses import RedirectResponse, Response
from pydantic import ValidationError

from dashboard.view import placing
from dashboard.web.rendering import pages_of
from dashboard.web.viewer import Me, Requester
from server.approvals import service as approvals
from server.approvals.schemas import RequestIn, RequestRead, Stamping
from server.core.errors import ServerError, Unprocessable
from server.core.runtime import Runtime
from server.core.scope import Role
from server.identity import service as identity
from server.identity.guard import Run
from server.identity.schemas import SignedIn
from server.seals import service as seals

router = APIRouter(include_in_schema=False, prefix="/requests")
_FIELDS: Final = (
    *("seal_id", "scan", "title", "reason", "copies", "amount", "counterparty", "keeper_id"),
    *("stamping", "first_page", "last_page", "bound", "sweep"),
)


@router.get("/new")
def show_form(request: Request, run: Run, me: Requester, scan: UUID | None = None) -> Response:
    return _form(request, run, me, values={"scan": str(scan or "")})


@router.post("/new")
def make_draft(
    request: Request,
    *,
    run: Run,
    me: Requester,
    seal_id: Annotated[UUID, Form()],
    document: UploadFile | None = None,
    scan: Annotated[str, Form()] = "",
    title: Annotated[str, Form(max_length=200)] = "",
    reason: Annotated[str, Form(max_length=1000)] = "",
    copies: Annotated[int, Form()] = 1,
    amount: Annotated[str, Form(max_length=60)] = "",
    counterparty: Annotated[str, Form(max_length=200)] = "",
    keeper_id: Annotated[str, Form()] = "",
    stamping: Annotated[Stamping, Form()] = Stamping.PAGE_BY_PAGE,
    first_page: Annotated[str, Form(pattern="^[0-9]{0,4}$")] = "",
    last_page: Annotated[str, Form(pattern="^[0-9]{0,4}$")] = "",
    bound: Annotated[bool, Form()] = False,
    sweep: Annotated[bool, Form()] = False,
) -> Response:
    """A draft with the seal at a usual place; the next screen moves it."""
    values = {
        "seal_id": str(seal_id),
        "scan": scan,
        "title": title,
        "reason": reason,
        "copies": copies,
        "amount": amount,
        "counterparty": counterparty,
        "keeper_id": keeper_id,
        "stamping": stamping.value,
        "first_page": first_page,
        "last_page": last_page,
        "bound": bound,
        "sweep": sweep,
    }
    try:
        data = _bytes_of(run, me, document, scan)
        prepared = approvals.prepare(run, data)
        form = _checked(
            seal_id=seal_id,
            title=title.strip() or prepared.title or _stem(document),
            reason=reason.strip(),
            copies=copies,
            amount=amount.strip(),
            counterparty=counterparty.strip(),
            keeper_id=UUID(keeper_id) if keeper_id else None,
            stamping=stamping,
            first_page=_cover(stamping, first_page),
            last_page=(int(last_page) if last_page else prepared.pages) if stamping is Stamping.STRADDLE else None,
            bound=bound,
            sweep=sweep,
            places=(placing.usual_place(prepared.sizes_mm, page=_cover(stamping, first_page)),),
        )
        with run.db.write() as db:
            draft = approvals.create(
                db,
                run,
                me.scope,
                prepared=prepared,
                form=form,
                scan_id=UUID(scan) if scan and not _has_file(document) else None,
            )
    except ServerError as error:
        return _form(request, run, me, values=values, error=error)
    return RedirectResponse(f"/requests/{draft.id}/place", status_code=303)


@router.get("/{request_id}/place")
def show_places(request: Request, request_id: UUID, run: Run, me: Requester) -> Response:
    with run.db.read() as db:
        draft = approvals.request(db, run, me.scope, request_id)
        sizes = approvals.document(db, draft.tenant_id, draft.document_digest).sizes_mm
        seal = seals.usable_seal(db, me.scope, draft.seal_id)
    return pages_of(request).page(
        request,
        "place.html",
        me=me,
        draft=draft,
        seal=seal,
        sheets=placing.sheets(draft, sizes, diameter_mm=seal.diameter_mm),
        shown_px=placing.SHOWN_PX,
    )


@router.post("/{request_id}/place")
async def move_place(request: Request, request_id: UUID, run: Run, me: Requester) -> Response:
    """A tap on a page picture (`at.x`, `at.y` in pixels of `SHOWN_PX`), or millimetres typed, or a place taken off."""
    from starlette.concurrency import run_in_threadpool

    fields = {name: str(value) for name, value in (await request.form()).items()}
    await run_in_threadpool(_save_place, run, me, request_id, fields)
    return RedirectResponse(f"/requests/{request_id}/place#page-{fields.get('page', '1')}", status_code=303)


@router.post("/{request_id}/submit")
def submit(request_id: UUID, run: Run, me: Requester) -> Response:
    with run.db.write() as db:
        approvals.submit(db, run, me.scope, request_id=request_id)
    return RedirectResponse(f"/requests/{request_id}", status_code=303)


@router.post("/{request_id}/withdraw")
def withdraw(request_id: UUID, run: Run, me: Me, reason: Annotated[str, Form(max_length=500)] = "") -> Response:
    with run.db.write() as db:
        approvals.withdraw(db, run, me.scope, request_id=request_id, reason=reason.strip())
    return RedirectResponse(f"/requests/{request_id}", status_code=303)


def _form(
    request: Request, run: Runtime, me: SignedIn, *, values: dict[str, object], error: ServerError | None = None
) -> Response:
    with run.db.read() as db:
        choices = seals.usable_seals(db, me.scope)
        scans = approvals.scans(db, me.scope)
        keepers = identity.holders(db, me.scope.tenant_id, Role.KEEPER, me.scope.branch_path)
    return pages_of(request).page(
        request,
        "new_request.html",
        me=me,
        error=error,
        seals=choices,
        scans=scans,
        offline=max((seal.rule.max_offline_strokes for seal in choices), default=0),
        keepers=[keeper for keeper in keepers if keeper.id != me.person.id],
        values=dict.fromkeys(_FIELDS, "") | values,
    )


def _bytes_of(run: Runtime, me: SignedIn, document: UploadFile | None, scan: str) -> bytes:
    """The uploaded file, else the photo of the scan chosen. Raises: NoSuchScan."""
    if document is not None and _has_file(document):
        return document.file.read()
    if not scan:
        return b""
    with run.db.read() as db:
        return approvals.scan_photo(db, run, me.scope, UUID(scan))


def _has_file(document: UploadFile | None) -> bool:
    return document is not None and bool(document.filename)


def _save_place(run: Runtime, me: SignedIn, request_id: UUID, fields: dict[str, str]) -> None:
    with run.db.read() as db:
        draft = approvals.request(db, run, me.scope, request_id)
        sizes = approvals.document(db, draft.tenant_id, draft.document_digest).sizes_mm
    places = placing.moved(draft.places, fields, sizes)
    form = _checked(**_fields_of(draft) | {"places": places})
    with run.db.write() as db:
        approvals.change(db, run, me.scope, request_id=request_id, form=form)


def _fields_of(draft: RequestRead) -> dict[str, object]:
    return {name: getattr(draft, name) for name in RequestIn.model_fields}


def _checked(**fields: object) -> RequestIn:
    """Raises: Unprocessable, with the fields named."""
    try:
        return RequestIn.model_validate(fields)
    except ValidationError as error:
        malformed = Unprocessable()
        malformed.fields = [  # type: ignore[attr-defined]
            {"where": ".".join(map(str, item["loc"])), "what": str(item["msg"])} for item in error.errors()
        ]
        raise malformed from error


def _cover(stamping: Stamping, first_page: str) -> int | None:
    """The page that a straddle is stamped on and that is compared; none for other ways."""
    return (int(first_page) if first_page else 1) if stamping is Stamping.STRADDLE else None


def _stem(document: UploadFile | None) -> str:
    name = (document.filename or "") if document is not None else ""
    return name.rpartition(".")[0] or name
