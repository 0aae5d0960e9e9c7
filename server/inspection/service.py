"""Page and imprint checks of one stroke: run in a worker, put on record, kept with their pictures."""

import dataclasses
import hashlib
from collections.abc import Collection
from typing import Any, Final
from uuid import UUID

from sqlmodel import Session

from firmware_protocol import trace
from firmware_protocol.errors import ProtocolError
from server.approvals import service as approvals
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.inspection import store
from server.inspection.errors import NoSuchFinding
from server.inspection.keeping import StrokeAt, keep, read
from server.inspection.results import ImprintCheck, PageCheck, PageNotPrepared, SpoiledCheck
from server.inspection.schemas import FindingRead
from server.inspection.vision.finding import Answer, Box
from server.jobs.sandbox import Lane

CHECK_S: Final = 10.0
JOB_S: Final = 30.0
"""The same work in the background lane, where nobody waits and one job may stand behind another."""
PREPARE_S: Final = 20.0
PX_PER_MM: Final = 200 / 25.4


def look_at_page(
    run: Runtime, at: StrokeAt, preview: bytes, *, marks: tuple[Box, ...] = (), bound: bool = False
) -> PageCheck:
    """Compare a preview with the approved page, in the interactive lane. Opens its own read session.

    Raises: WorkerTimeout, WorkerCrashed.
    """
    call = ("server.inspection.tasks:check_page", at.document_digest, at.page, preview, marks, bound)
    try:
        check: PageCheck = run.workers.call(*call, timeout_s=CHECK_S)
    except PageNotPrepared:
        warm_page(run, at.tenant_id, at.document_digest, at.page)
        check = run.workers.call(*call, timeout_s=CHECK_S)
    return check


def warm_page(
    run: Runtime, tenant_id: UUID, document_digest: bytes, page: int, *, lane: Lane = Lane.INTERACTIVE
) -> None:
    """Prepare an approved page before the paper lies on the tray. Raises: WorkerTimeout, WorkerCrashed."""
    with run.db.read() as db:
        pdf = approvals.pdf(db, run, tenant_id, document_digest)
    run.workers.call("server.inspection.tasks:prepare_page", pdf, document_digest, page, timeout_s=PREPARE_S, lane=lane)


def index_document(run: Runtime, tenant_id: UUID, document_digest: bytes, pages: int) -> None:
    """Prepare for leafing through a document. Raises: WorkerTimeout, WorkerCrashed."""
    with run.db.read() as db:
        pdf = approvals.pdf(db, run, tenant_id, document_digest)
    run.workers.call("server.inspection.tasks:index_pages", pdf, document_digest, pages, timeout_s=PREPARE_S)


def which_pages(run: Runtime, at: StrokeAt, preview: bytes, *, pages: int) -> list[int]:
    """Pages of the document that a preview may show, likeliest first. Raises: WorkerTimeout, WorkerCrashed."""
    call = ("server.inspection.tasks:which_pages", at.document_digest, preview)
    try:
        found: list[int] = run.workers.call(*call, timeout_s=CHECK_S)
    except PageNotPrepared:
        index_document(run, at.tenant_id, at.document_digest, pages)
        found = run.workers.call(*call, timeout_s=CHECK_S)
    return found


def look_at_spoiled(run: Runtime, at: StrokeAt, preview: bytes) -> SpoiledCheck:
    """What a cancelled sheet shows. Raises: WorkerTimeout, WorkerCrashed."""
    call = ("server.inspection.tasks:check_spoiled", at.document_digest, at.page, preview)
    try:
        check: SpoiledCheck = run.workers.call(*call, timeout_s=CHECK_S)
    except PageNotPrepared:
        warm_page(run, at.tenant_id, at.document_digest, at.page)
        check = run.workers.call(*call, timeout_s=CHECK_S)
    return check


def dated(check: PageCheck, *, shown: bytes) -> PageCheck:
    """The check with the frame's age taken in: `shown` is what the device's light strip showed for this photo.

    Another strip: an old photo, whatever is on it. No strip: it may be old, so it is no match.
    """
    finding = check.finding
    if check.strip is None and finding.answer is Answer.MATCH:
        finding = dataclasses.replace(finding, answer=Answer.DOUBTFUL, reason="no_strip")
    elif check.strip is not None and check.strip != shown:
        finding = dataclasses.replace(finding, answer=Answer.WRONG, reason="old_photo")
    return dataclasses.replace(check, finding=finding)


def keep_page_finding(
    db: Session,
    run: Runtime,
    at: StrokeAt,
    check: PageCheck,
    *,
    preview: bytes,
    event: bytes,
    kind: str = "page",
    more: dict[str, Any] | None = None,
) -> FindingRead:
    """Store a page finding with its pictures and put it on record. The same photo again is the same finding.

    `kind`: page (before a stroke), cover and fan (of a straddle), sweep (leafed through), later (compared after the
    stroke). `more` goes into the report.
    """
    digest = hashlib.sha256(preview).digest()
    known = store.finding(db, kind=kind, token_id=at.token_id, stroke=at.stroke, photo_digest=digest)
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
    return keep(
        db,
        run,
        at,
        kind=kind,
        answer=str(check.finding.answer),
        reason=check.finding.reason,
        photo_digest=digest,
        event=event,
        report=report | (more or {}),
        differences=differences,
    )


def known_page_finding(
    db: Session, at: StrokeAt, photo_digest: bytes, *, kinds: Collection[str] = ("page",)
) -> FindingRead | None:
    rows = (
        store.finding(db, kind=kind, token_id=at.token_id, stroke=at.stroke, photo_digest=photo_digest)
        for kind in kinds
    )
    return next((read(row) for row in rows if row is not None), None)


def findings_of_token(db: Session, token_id: bytes, *, kind: str) -> list[FindingRead]:
    """Of one kind, oldest first."""
    return [read(row) for row in store.of_token(db, token_id, kind=kind)]


def look_at_imprint(
    run: Runtime, *, specimen: bytes, diameter_mm: float, before: bytes, after: bytes, at: StrokeAt
) -> ImprintCheck:
    """Compare the full photos before and after a stroke with the specimen. Raises: WorkerTimeout, WorkerCrashed."""
    page = look_later(run, before=before, at=at).finding
    check: ImprintCheck = run.workers.call(
        "server.inspection.tasks:check_imprint",
        specimen,
        diameter_mm,
        before,
        after,
        page.homography,
        timeout_s=JOB_S,
        lane=Lane.BACKGROUND,
    )
    return check


def codes_on(run: Runtime, photo: bytes) -> tuple[bytes, ...]:
    """What codes the photo of a sheet with its label shows. Raises: WorkerTimeout, WorkerCrashed."""
    call = "server.inspection.tasks:codes_on"
    codes: tuple[bytes, ...] = run.workers.call(call, photo, timeout_s=JOB_S, lane=Lane.BACKGROUND)
    return codes


def look_later(run: Runtime, *, before: bytes, at: StrokeAt) -> PageCheck:
    """Compare a full before-photo with the approved page, in the background. Raises: WorkerTimeout, WorkerCrashed."""
    call = ("server.inspection.tasks:locate_page", at.document_digest, at.page, before)
    try:
        check: PageCheck = run.workers.call(*call, timeout_s=JOB_S, lane=Lane.BACKGROUND)
    except PageNotPrepared:
        warm_page(run, at.tenant_id, at.document_digest, at.page, lane=Lane.BACKGROUND)
        check = run.workers.call(*call, timeout_s=JOB_S, lane=Lane.BACKGROUND)
    return check


def keep_imprint_finding(
    db: Session,
    run: Runtime,
    at: StrokeAt,
    check: ImprintCheck,
    *,
    after: bytes,
    trace_code: bytes,
    event: bytes,
    shown: tuple[bytes, bytes],
) -> FindingRead:
    """Store and record what the after-photo shows. The same photo again is the same finding.

    `shown`: what the light strip must show on the photos before and after.
    """
    digest = hashlib.sha256(after).digest()
    known = store.finding(db, kind="imprint", token_id=at.token_id, stroke=at.stroke, photo_digest=digest)
    if known is not None:
        return read(known)
    code_read = code_on_paper(check.codes, trace_code)
    reason = imprint_reason(check, code_read, shown=shown)
    return keep(
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
            "strips": ["same" if seen == want else "other" for seen, want in zip(check.strips, shown, strict=True)],
        },
        differences=[],
    )


def imprint_reason(check: ImprintCheck, code_read: str, *, shown: tuple[bytes, bytes]) -> str:
    """The first thing a person should look at; `photo_agrees` when there is none."""
    if any(seen is not None and seen != want for seen, want in zip(check.strips, shown, strict=True)):
        return "old_photo"
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
    if None in check.strips:
        return "no_strip"
    return "photo_agrees"


def finding(db: Session, scope: Scope, finding_id: UUID) -> FindingRead:
    """Raises: NoSuchFinding."""
    row = store.by_id(db, scope, finding_id)
    if row is None:
        raise NoSuchFinding
    return read(row)


def with_reason(db: Session, reason: str) -> list[FindingRead]:
    """Of every tenant, oldest first: for read models that are made anew."""
    return [read(row) for row in store.with_reason(db, reason)]


def findings(db: Session, scope: Scope, request_id: UUID) -> list[FindingRead]:
    """All findings of a request, oldest first."""
    return [read(row) for row in store.of_request(db, scope, request_id)]


def code_on_paper(codes: tuple[bytes, ...], trace_code: bytes) -> str:
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


__all__ = [
    "ImprintCheck",
    "PageCheck",
    "StrokeAt",
    "code_on_paper",
    "codes_on",
    "dated",
    "finding",
    "findings",
    "findings_of_token",
    "imprint_reason",
    "index_document",
    "keep_imprint_finding",
    "keep_page_finding",
    "known_page_finding",
    "look_at_imprint",
    "look_at_page",
    "look_at_spoiled",
    "look_later",
    "warm_page",
    "which_pages",
    "with_reason",
]
