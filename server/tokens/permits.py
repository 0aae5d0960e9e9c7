"""A permit for one stroke: the device's own signed PAGE_SEEN, the page check, then the signature, once per photo.

A straddle takes two photos: the cover, which is compared as any page, then the fan, on which the cover must still be
found. What is doubtful and not too old goes to a second person (`cases`).
"""

import dataclasses
import hashlib
from typing import Final
from uuid import UUID

from sqlmodel import Session

from server.approvals import service as approvals
from server.approvals.errors import NoSuchRequest
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.devices import service as devices
from server.devices.schemas import GatewayRead
from server.inspection import service as inspection
from server.inspection.errors import NoSuchFinding
from server.inspection.results import PageCheck
from server.inspection.schemas import DifferenceRead, FindingRead
from server.inspection.vision.finding import Answer
from server.jobs import service as jobs
from server.jobs.sandbox import WorkerCrashed, WorkerTimeout
from server.tokens import cases, permitting, sweeping
from server.tokens.errors import NoSuchToken, SweepIncomplete
from server.tokens.modes import STRADDLE
from server.tokens.schemas import CaseState, PermitDifference, PermitOut
from server.tokens.seeing import MAX_PREVIEW, Seen, seen_for_stroke

__all__ = ["MAX_PREVIEW", "ask", "crop", "warm_pages"]

WARM_PAGES: Final = 4
"""Pages prepared when a token is issued; a worker keeps eight."""
_KINDS: Final = {STRADDLE: ("cover", "fan")}
_NO_SHEET: Final = frozenset({"no_page", "blank_page", "undecodable", "old_photo", "no_strip"})


def ask(run: Runtime, gateway: GatewayRead, *, device_id: str, event: bytes, preview: bytes) -> PermitOut:
    """Check the page; for a match, sign and send the permit. Opens its own sessions: the look itself needs none.

    The same photo again gets the same finding and the same permit. Raises: NoSuchDevice, DeviceNotActive, BadEvent,
    NoSuchToken, TokenOver, WrongStroke, NotReady, SweepIncomplete, WorkerTimeout, WorkerCrashed.
    """
    digest = hashlib.sha256(preview).digest()
    with run.db.read() as db:
        device = devices.device_of_gateway(db, gateway, device_id)
        seen = seen_for_stroke(db, run, device, event=event, preview=preview)
        _check_swept(db, seen)
        kinds = _KINDS.get(seen.token.mode, ("page",))
        finding = inspection.known_page_finding(db, seen.at, digest, kinds=kinds)
    check = None if finding is not None else _look(run, seen)
    with run.db.write() as db:
        if check is not None:
            finding = _keep(db, run, seen, check)
        if finding is None:
            raise NoSuchToken  # unreachable: one of the two is there
        return _settle(db, run, seen, finding)


def warm_pages(run: Runtime, tenant_id: UUID, request_id: UUID) -> None:
    """Prepare what the next photos will be compared with; a page that is not ready in time is prepared then."""
    try:
        with run.db.read() as db:
            request = approvals.request(db, run, Scope.system(tenant_id), request_id)
        pages = sorted({stroke.page for stroke in approvals.plan(request)})
        if request.leaf_through:
            inspection.index_document(run, tenant_id, request.document_digest, request.pages)
            pages = [1, 2][: request.pages]
        for page in pages[:WARM_PAGES]:
            inspection.warm_page(run, tenant_id, request.document_digest, page)
    except (WorkerTimeout, WorkerCrashed, NoSuchRequest) as error:
        run.log.info("pages_not_warmed", request=str(request_id), why=type(error).__name__)


def _check_swept(db: Session, seen: Seen) -> None:
    """Raises: SweepIncomplete."""
    if not seen.token.sweep:
        return
    missing = sweeping.missing(db, seen.token)
    if missing:
        raise SweepIncomplete(missing=", ".join(map(str, missing)), seen=sweeping.of(seen.token) - len(missing))


def _look(run: Runtime, seen: Seen) -> PageCheck:
    check = inspection.look_at_page(run, seen.at, seen.preview, marks=seen.marks, bound=seen.request.bound)
    return inspection.dated(check, shown=seen.shown)


def _keep(db: Session, run: Runtime, seen: Seen, check: PageCheck) -> FindingRead:
    """The finding of a photo that was not looked at before; an old photo raises the alarm."""
    kind, judged = _staged(db, seen, check)
    more = {"photo": seen.body.photo_digest.hex(), "copy": seen.copy}
    finding = inspection.keep_page_finding(
        db, run, seen.at, judged, preview=seen.preview, event=seen.event, kind=kind, more=more
    )
    if finding.reason == "old_photo":
        jobs.enqueue(
            db, sweeping.OLD_PHOTO, {"finding": str(finding.id), "tenant": str(seen.at.tenant_id)}, now=run.now()
        )
    return finding


def _staged(db: Session, seen: Seen, check: PageCheck) -> tuple[str, PageCheck]:
    """What a photo is taken as. A cover that still lies flat after it agreed is a cover again, not a fan."""
    if seen.token.mode != STRADDLE:
        return "page", check
    look = check.finding
    covered = permitting.cover_of(db, seen.at.token_id, seen.copy) is not None
    if not covered or look.answer is Answer.MATCH:
        return "cover", check
    if look.reason in _NO_SHEET:
        return "fan", check
    if check.strip is None:
        judged = dataclasses.replace(look, answer=Answer.DOUBTFUL, reason="no_strip")
    elif look.homography is None:
        judged = dataclasses.replace(look, answer=Answer.DOUBTFUL, reason="fan_without_cover")
    else:
        judged = dataclasses.replace(look, answer=Answer.MATCH, reason="fan", differences=())
    return "fan", dataclasses.replace(check, finding=judged, crops=() if judged.reason == "fan" else check.crops)


def _settle(db: Session, run: Runtime, seen: Seen, finding: FindingRead) -> PermitOut:
    """Permit or case. A cover never gets a permit: the fan comes after it."""
    if seen.token.page_check != "before":
        return _out(finding, sent=False, case_id="")
    case = cases.open_for(db, run, seen, finding)
    allowed = finding.answer == "match" or (case is not None and case.state == CaseState.ANYWAY.value)
    sent = allowed and finding.kind != "cover"
    if sent and finding.kind == "fan":
        cover = permitting.cover_of(db, seen.at.token_id, seen.copy)
        permitting.permit(db, run, seen.body, finding, page=permitting.FAN, cover=cover)
    elif sent:
        permitting.permit(db, run, seen.body, finding, page=seen.at.page)
    return _out(finding, sent=sent, case_id=str(case.id) if case is not None else "")


def crop(db: Session, run: Runtime, gateway: GatewayRead, *, device_id: str, finding_id: UUID, digest: bytes) -> bytes:
    """One picture (JPEG) of a difference that a photo of this device showed. Raises: NoSuchDevice, NoSuchFinding."""
    device = devices.device_of_gateway(db, gateway, device_id)
    scope = Scope.system(gateway.tenant_id)
    finding = inspection.finding(db, scope, finding_id)
    named = {name for difference in finding.differences for name in (difference.approved, difference.photo)}
    if finding.device_id != device.device_id or digest.hex() not in named:
        raise NoSuchFinding
    return run.blobs.get(db, digest, scope=scope)


def _difference(seen: DifferenceRead) -> PermitDifference:
    return PermitDifference(kind=seen.kind, box=seen.box, text=seen.text, approved=seen.approved, photo=seen.photo)


def _out(finding: FindingRead, *, sent: bool, case_id: str) -> PermitOut:
    return PermitOut(
        answer=finding.answer,
        reason=finding.reason,
        stroke=finding.stroke,
        page=finding.page,
        permit_sent=sent,
        differences=tuple(_difference(d) for d in finding.differences),
        finding_id=finding.id,
        text=f"{finding.text.happened} {finding.text.safe} {finding.text.next}",
        happened=finding.text.happened,
        safe=finding.text.safe,
        next=finding.text.next,
        case_id=case_id,
        stage=finding.kind if finding.kind in {"cover", "fan"} else "",
    )
