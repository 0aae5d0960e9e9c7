"""Page and imprint checks of one stroke: run in a worker, put on record, kept with their pictures."""

import dataclasses
import hashlib
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlmodel import Session

from firmware_protocol import cbor, trace
from firmware_protocol.errors import ProtocolError
from server.approvals import service as approvals
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.identity import entries
from server.identity.entries import EntryType
from server.inspection import store
from server.inspection.errors import NoSuchFinding
from server.inspection.models import Finding
from server.inspection.results import ImprintCheck, PageCheck, PageNotPrepared
from server.inspection.schemas import DifferenceRead, FindingRead
from server.inspection.vision.finding import Box
from server.inspection.words import text_of

CHECK_S: Final = 10.0
PREPARE_S: Final = 20.0
PX_PER_MM: Final = 200 / 25.4


@dataclass(frozen=True, slots=True, kw_only=True)
class StrokeAt:
    """Which stroke a photo belongs to, as the token's plan says."""

    tenant_id: UUID
    branch_path: str
    request_id: UUID
    seal_id: UUID
    device_id: str
    token_id: bytes
    stroke: int
    page: int
    document_digest: bytes

    @property
    def refs(self) -> dict[str, object]:
        return {
            "request": self.request_id,
            "seal": self.seal_id,
            "device": self.device_id,
            "token": self.token_id,
            "document": self.document_digest,
        }


def look_at_page(run: Runtime, at: StrokeAt, preview: bytes, *, marks: tuple[Box, ...] = ()) -> PageCheck:
    """Compare a preview with the approved page, in the interactive lane. Opens its own read session.

    Raises: WorkerTimeout, WorkerCrashed.
    """
    call = ("server.inspection.tasks:check_page", at.document_digest, at.page, preview, marks)
    try:
        check: PageCheck = run.workers.call(*call, timeout_s=CHECK_S)
    except PageNotPrepared:
        warm_page(run, at.tenant_id, at.document_digest, at.page)
        check = run.workers.call(*call, timeout_s=CHECK_S)
    return check


def warm_page(run: Runtime, tenant_id: UUID, document_digest: bytes, page: int) -> None:
    """Prepare an approved page before the paper lies on the tray. Raises: WorkerTimeout, WorkerCrashed."""
    with run.db.read() as db:
        pdf = approvals.pdf(db, run, tenant_id, document_digest)
    run.workers.call("server.inspection.tasks:prepare_page", pdf, document_digest, page, timeout_s=PREPARE_S)


def keep_page_finding(
    db: Session, run: Runtime, at: StrokeAt, check: PageCheck, *, preview: bytes, event: bytes
) -> FindingRead:
    """Store a page finding with its pictures and put it on record. The same photo again is the same finding."""
    digest = hashlib.sha256(preview).digest()
    known = store.finding(db, kind="page", token_id=at.token_id, stroke=at.stroke, photo_digest=digest)
    if known is not None:
        return read(known)
    scope = Scope.system(at.tenant_id)
    run.blobs.put(db, preview, "image/jpeg", scope=scope)
    differences = []
    for number, difference in enumerate(check.finding.differences):
        plain: dict[str, Any] = dataclasses.asdict(difference)
        if number < len(check.crops):
            approved, photo = check.crops[number]
            plain["approved"] = run.blobs.put(db, approved, "image/jpeg", scope=scope).hex()
            plain["photo"] = run.blobs.put(db, photo, "image/jpeg", scope=scope).hex()
        differences.append(plain)
    report = {name: value for name, value in dataclasses.asdict(check.finding).items() if name != "differences"}
    return _keep(
        db,
        run,
        at,
        kind="page",
        answer=str(check.finding.answer),
        reason=check.finding.reason,
        photo_digest=digest,
        event=event,
        report=report,
        differences=differences,
    )


def known_page_finding(db: Session, at: StrokeAt, photo_digest: bytes) -> FindingRead | None:
    row = store.finding(db, kind="page", token_id=at.token_id, stroke=at.stroke, photo_digest=photo_digest)
    return read(row) if row is not None else None


def look_at_imprint(
    run: Runtime, *, specimen: bytes, diameter_mm: float, before: bytes, after: bytes, at: StrokeAt
) -> ImprintCheck:
    """Compare the full photos before and after a stroke with the specimen. Raises: WorkerTimeout, WorkerCrashed."""
    place = ("server.inspection.tasks:locate_page", at.document_digest, at.page, before)
    try:
        page = run.workers.call(*place, timeout_s=CHECK_S)
    except PageNotPrepared:
        warm_page(run, at.tenant_id, at.document_digest, at.page)
        page = run.workers.call(*place, timeout_s=CHECK_S)
    check: ImprintCheck = run.workers.call(
        "server.inspection.tasks:check_imprint",
        specimen,
        diameter_mm,
        before,
        after,
        page.homography,
        timeout_s=CHECK_S,
    )
    return check


def keep_imprint_finding(
    db: Session, run: Runtime, at: StrokeAt, check: ImprintCheck, *, after: bytes, trace_code: bytes, event: bytes
) -> FindingRead:
    """Store and record what the after-photo shows. The same photo again is the same finding."""
    digest = hashlib.sha256(after).digest()
    known = store.finding(db, kind="imprint", token_id=at.token_id, stroke=at.stroke, photo_digest=digest)
    if known is not None:
        return read(known)
    code_read = _code_on_paper(check.codes, trace_code)
    reason = imprint_reason(check, code_read)
    return _keep(
        db,
        run,
        at,
        kind="imprint",
        answer="agrees" if reason == "photo_agrees" else "look_here",
        reason=reason,
        photo_digest=digest,
        event=event,
        report={
            "imprint": check.imprint,
            "placement": check.placement,
            "code": code_read,
        },
        differences=[],
    )


def imprint_reason(check: ImprintCheck, code_read: str) -> str:
    """The first thing a person should look at; `photo_agrees` when there is none."""
    by_answer = {
        "missing": "no_imprint",
        "extra": "extra_imprint",
        "different": "other_imprint",
        "ambiguous": "unclear_imprint",
    }
    answer = str(check.imprint["answer"])
    if answer in by_answer:
        return by_answer[answer]
    if str(check.placement["answer"]) in {"moved", "swapped"}:
        return "page_moved"
    if code_read != "same":
        return "no_code" if code_read == "none" else "other_code"
    return "photo_agrees"


def finding(db: Session, scope: Scope, finding_id: UUID) -> FindingRead:
    """Raises: NoSuchFinding."""
    row = store.by_id(db, scope, finding_id)
    if row is None:
        raise NoSuchFinding
    return read(row)


def findings(db: Session, scope: Scope, request_id: UUID) -> list[FindingRead]:
    """All findings of a request, oldest first."""
    return [read(row) for row in store.of_request(db, scope, request_id)]


def read(row: Finding) -> FindingRead:
    names = [name for name in FindingRead.model_fields if name not in {"differences", "text"}]
    return FindingRead(
        **{name: getattr(row, name) for name in names},
        differences=tuple(DifferenceRead.model_validate(difference) for difference in row.differences),
        text=text_of(row.reason),
    )


def _code_on_paper(codes: tuple[bytes, ...], trace_code: bytes) -> str:
    """same: the paper carries the code the device signed for; other: a trace code, but another; none: no trace code."""
    found = set()
    for payload in codes:
        try:
            found.add(trace.parse_url(payload.decode("ascii")))
        except (ProtocolError, UnicodeDecodeError):
            continue
    if trace_code in found:
        return "same"
    return "other" if found else "none"


def _keep(
    db: Session,
    run: Runtime,
    at: StrokeAt,
    *,
    kind: str,
    answer: str,
    reason: str,
    photo_digest: bytes,
    event: bytes,
    report: dict[str, Any],
    differences: list[dict[str, Any]],
) -> FindingRead:
    finding_id = run.new_id()
    report, differences = _jsonable(report), _jsonable(differences)
    evidence = cbor.encode(_whole_numbers([report, differences]))
    public: dict[str, object] = {
        "stroke": at.stroke,
        "page": at.page,
        "answer": answer,
        "reason": reason,
        "photo_digest": photo_digest,
        "report_digest": hashlib.sha256(evidence).digest(),
        "event": hashlib.sha256(event).digest(),
    }
    entry_type = EntryType.PAGE_FINDING if kind == "page" else EntryType.IMPRINT_FINDING
    leaf_hash = entries.record(
        db,
        run,
        entry_type,
        tenant_id=at.tenant_id,
        branch_path=at.branch_path,
        refs=at.refs | {"finding": finding_id, "photo": photo_digest},
        public=public,
        private={"report": evidence},
    )
    row = Finding(
        id=finding_id,
        created_at=run.now(),
        tenant_id=at.tenant_id,
        branch_path=at.branch_path,
        kind=kind,
        request_id=at.request_id,
        device_id=at.device_id,
        token_id=at.token_id,
        stroke=at.stroke,
        page=at.page,
        answer=answer,
        reason=reason,
        photo_digest=photo_digest,
        event_digest=hashlib.sha256(event).digest(),
        report=report,
        differences=differences,
        leaf_hash=leaf_hash,
    )
    db.add(row)
    db.flush()
    return read(row)


def _jsonable(value: Any) -> Any:  # noqa: ANN401 - any report
    match value:
        case dict():
            return {str(key): _jsonable(item) for key, item in value.items()}
        case list() | tuple():
            return [_jsonable(item) for item in value]
        case float():
            return round(value, 4)
        case bytes():
            return value.hex()
        case str():
            return str(value)
        case _:
            return value


def _whole_numbers(value: Any) -> Any:  # noqa: ANN401 - any report
    """Entries hold no floats: ten-thousandths instead."""
    match value:
        case dict():
            return {key: _whole_numbers(item) for key, item in value.items()}
        case list():
            return [_whole_numbers(item) for item in value]
        case float():
            return round(value * 10_000)
        case _:
            return value


__all__ = [
    "ImprintCheck",
    "PageCheck",
    "StrokeAt",
    "finding",
    "findings",
    "imprint_reason",
    "keep_imprint_finding",
    "keep_page_finding",
    "known_page_finding",
    "look_at_imprint",
    "look_at_page",
    "warm_page",
]
