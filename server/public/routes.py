"""Addresses of the public pages. `/V/CODE` is what a QR opens; `/v` is for typing."""

from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Annotated, Final

from fastapi import APIRouter, Depends, File, Form, Query, Request, UploadFile
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from firmware_protocol import trace
from firmware_protocol.errors import Malformed
from server.core.errors import NotFound, RateLimited, TooLarge, Unavailable
from server.core.i18n import LANGUAGES, N_
from server.jobs.sandbox import WorkerCrashed, WorkerFailed, WorkerTimeout
from server.public.answer import Answer, Outcome, judge
from server.public.snapshot import Reader
from server.public.tries import Tries

if TYPE_CHECKING:
    from server.core.runtime import Runtime
    from server.public.log import PublishedLog
    from server.public.showing import Shown
    from server.public.source import Source

MAX_PDF_BYTES: Final = 20 * 1024 * 1024
JUDGE_S: Final = 15.0
MAX_TYPED: Final = 300

router = APIRouter()
health = APIRouter()


class NoRecordsYet(Unavailable):
    """There is no snapshot that holds."""

    title = N_("We can't check codes right now")
    happened = N_("The list of codes is not here yet.")
    next_step = N_("Try again in a few minutes. Do not rely on the paper until then.")


class TooManyLooks(RateLimited):
    happened = N_("There were too many checks from your network in a short time.")
    next_step = N_("Wait a minute and try again.")


class PdfTooLarge(TooLarge):
    happened = N_("This file is larger than 20 MB, the most that can be checked here.")
    next_step = N_("Check it with the command line tool, or ask the company that sealed it.")


def _reader(request: Request) -> Reader:
    source: Source = request.app.state.source
    found = source.current()
    if found is None:
        raise NoRecordsYet
    return found


def _looked(request: Request) -> None:
    """Raises: TooManyLooks."""
    if not _tries(request).look(_address(request)):
        raise TooManyLooks(retry_after_s=60)


Records = Annotated[Reader, Depends(_reader)]
Looked = Depends(_looked)


@health.get("/readyz", include_in_schema=False)
def readyz(request: Request) -> JSONResponse:
    """The process can do its work: there is a snapshot."""
    source: Source = request.app.state.source
    ready = source.current() is not None
    return JSONResponse({"status": "ready" if ready else "no_snapshot"}, status_code=200 if ready else 503)


@router.get("/", response_class=HTMLResponse)
def home(request: Request) -> HTMLResponse:
    return _page(request, "home.html")


@router.get("/v", response_class=HTMLResponse, dependencies=[Looked])
def typed(
    request: Request, records: Records, code: Annotated[str | None, Query(max_length=MAX_TYPED)] = None
) -> Response:
    """The form, or the answer to what was typed into it; a well-formed short code gets its own address."""
    if not code or not code.strip():
        return RedirectResponse(f"/{_carried(request)}", status_code=303)
    try:
        return RedirectResponse(f"/V/{trace.normalise_short_code(code)}{_carried(request)}", status_code=303)
    except Malformed:
        return _answer(request, code.strip(), records)


@router.get("/v/pdf", response_class=HTMLResponse)
def pdf_form(request: Request) -> HTMLResponse:
    return _page(request, "home.html")


@router.post("/v/pdf", response_class=HTMLResponse)
def check_pdf(request: Request, records: Records, file: Annotated[UploadFile, File()]) -> HTMLResponse:
    """The strict verdict on a sealed PDF, made in a sandboxed child."""
    if not _tries(request).upload(_address(request)):
        raise TooManyLooks(retry_after_s=60)
    data = file.file.read(MAX_PDF_BYTES + 1)
    if len(data) > MAX_PDF_BYTES:
        raise PdfTooLarge
    listed = sha256(data).digest() in records.sealed
    arguments = (data, records.snapshot.trust, listed)
    try:
        verdict = request.app.state.judges.call("server.public.judging:judge_pdf", *arguments, timeout_s=JUDGE_S)
    except (WorkerTimeout, WorkerCrashed, WorkerFailed):
        verdict = ["cannot_verify", "damaged", "", ""]
    outcome, reasons, signer, sealed_at = verdict
    sealed_ms = int(datetime.fromisoformat(sealed_at).timestamp() * 1000) if sealed_at else 0
    return _page(request, "pdf.html", outcome=outcome, reasons=reasons.split(","), signer=signer, sealed_ms=sealed_ms)


@router.get("/V/{code:path}", response_class=HTMLResponse, dependencies=[Looked])
@router.get("/v/{code:path}", response_class=HTMLResponse, dependencies=[Looked])
def scanned(request: Request, code: str, records: Records) -> HTMLResponse:
    return _answer(request, code, records)


@router.post("/v/compare", response_class=HTMLResponse, dependencies=[Looked])
def compare(
    request: Request,
    records: Records,
    code: Annotated[str, Form(max_length=MAX_TYPED)],
    place: Annotated[int, Form(ge=0, le=2)] = 0,
    word: Annotated[str, Form(max_length=200)] = "",
) -> HTMLResponse:
    """One word that the holder typed from the paper, against the record."""
    answer = _judged(request, code, records)
    if answer.outcome is not Outcome.KNOWN or answer.code is None or place >= len(answer.code.places):
        return _shown(request, answer)
    tries, key = _tries(request), answer.code.code_hash.hex()
    if not tries.may_guess(key):
        return _shown(request, answer, compared="too_many", status=429)
    agrees = answer.code.places[place].agrees(word)
    if not agrees:
        tries.wrong(key)
    return _shown(request, answer, compared="match" if agrees else "differs", place=place)


@router.get("/seal/{public_id}", response_class=HTMLResponse, dependencies=[Looked])
def seal(request: Request, public_id: str, records: Records) -> HTMLResponse:
    found = records.seals.get(public_id.lower())
    if found is None:
        raise NotFound
    return _page(request, "seal.html", seal=found, made_ms=records.snapshot.made_ms)


@router.get("/record", response_class=HTMLResponse)
def record(request: Request) -> HTMLResponse:
    """How far the record has come, who else saw it, and how anyone can watch it."""
    log: PublishedLog = request.app.state.log
    return _page(request, "record.html", seen=log.seen())


@router.get("/checkpoint")
def checkpoint(records: Records) -> Response:
    return Response(records.snapshot.checkpoint, media_type="text/plain; charset=utf-8")


@router.get("/trust.cose")
def trust_bundle(records: Records) -> Response:
    return Response(records.snapshot.trust, media_type='application/cose; cose-type="cose-sign1"')


@router.get("/robots.txt")
def robots() -> Response:
    return Response("User-agent: *\nDisallow: /\n", media_type="text/plain")


def _answer(request: Request, code: str, records: Reader) -> HTMLResponse:
    return _shown(request, _judged(request, code, records))


def _judged(request: Request, code: str, records: Reader) -> Answer:
    runtime: Runtime = request.app.state.runtime
    return judge(code, records, now=int(runtime.now().timestamp()))


def _shown(request: Request, answer: Answer, *, compared: str = "", place: int = -1, status: int = 200) -> HTMLResponse:
    """The page of an answer; `compared`: "", match, differs or too_many; `place`: the one that was just tried."""
    code = answer.code
    places = code.places if code and answer.outcome is Outcome.KNOWN else ()
    coming = (place + 1) % len(places) if places else 0
    facts = {"answer": answer, "code": code, "seal": answer.seal, "compared": compared, "coming": coming}
    if answer.outcome is Outcome.UNKNOWN:
        facts["path"] = "/"  # nothing of the code comes back: every unknown code gets the same bytes
    elif compared and code:
        facts["path"] = f"/V/{code.short_code}"  # where the language links lead
    return _page(request, "answer.html", status=status, place=places[coming] if places else None, **facts)


def _carried(request: Request) -> str:
    """The chosen language, for the next address."""
    wanted = request.query_params.get("lang", "")
    return f"?lang={wanted}" if wanted in LANGUAGES else ""


def _page(request: Request, name: str, *, status: int = 200, **context: object) -> HTMLResponse:
    shown: Shown = request.app.state.shown
    return shown.page(request, name, status=status, **context)


def _tries(request: Request) -> Tries:
    tries: Tries = request.app.state.tries
    return tries


def _address(request: Request) -> str:
    return request.client.host if request.client else ""
