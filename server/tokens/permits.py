"""A permit for one stroke: the device's own signed PAGE_SEEN, the page check, then the signature, once per photo."""

import hashlib
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlmodel import Session

from firmware_protocol import events, orders
from firmware_protocol.errors import ProtocolError
from firmware_protocol.events import PageSeen
from firmware_protocol.purposes import Purpose
from server.approvals import service as approvals
from server.approvals.errors import NoSuchRequest
from server.approvals.policy import State
from server.approvals.request import PlannedStroke
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.devices import service as devices
from server.devices.errors import BadEvent, DeviceNotActive
from server.devices.schemas import DeviceRead, DeviceState, DownKind, GatewayRead
from server.identity import entries
from server.identity.entries import EntryType
from server.inspection import service as inspection
from server.inspection.schemas import FindingRead
from server.inspection.service import StrokeAt
from server.inspection.vision.finding import Box
from server.jobs.sandbox import WorkerCrashed, WorkerTimeout
from server.ledger import service as ledger
from server.ledger.service import LeafKind
from server.seals import service as seals
from server.tokens import store
from server.tokens.errors import NoSuchToken, NotReady, TokenOver, WrongStroke
from server.tokens.models import StampPermit, StampToken
from server.tokens.schemas import PermitDifference, PermitOut

PAGE_PX_PER_MM: Final = 200 / 25.4
CODE_REACH_MM: Final = 35.0
"""How far beyond an imprint the coder may have printed its code: 26 mm, its margin and the space between."""
MAX_PREVIEW: Final = 1_000_000
"""Bytes; docs/protocol.md announces at most 200 KB for a preview."""


WARM_PAGES: Final = 4
"""Pages prepared when a token is issued; a worker keeps eight."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A page that the device itself signed for, and the stroke it is meant for."""

    body: PageSeen
    event: bytes
    preview: bytes
    token: StampToken
    at: StrokeAt
    marks: tuple[Box, ...]


def ask(run: Runtime, gateway: GatewayRead, *, device_id: str, event: bytes, preview: bytes) -> PermitOut:
    """Check the page; for a match, sign and send the permit. Opens its own sessions: the look itself needs none.

    The same photo again gets the same finding and the same permit. Raises: NoSuchDevice, DeviceNotActive, BadEvent,
    NoSuchToken, TokenOver, WrongStroke, NotReady, WorkerTimeout, WorkerCrashed.
    """
    with run.db.read() as db:
        device = devices.device_of_gateway(db, gateway, device_id)
        seen = _check_event(db, run, device, event=event, preview=preview)
        finding = inspection.known_page_finding(db, seen.at, hashlib.sha256(preview).digest())
    check = None if finding is not None else inspection.look_at_page(run, seen.at, preview, marks=seen.marks)
    with run.db.write() as db:
        if check is not None:
            finding = inspection.keep_page_finding(db, run, seen.at, check, preview=preview, event=event)
        if finding is None:
            raise NoSuchToken  # unreachable: one of the two is there
        sent = finding.answer == "match" and seen.token.page_check == "before"
        if sent:
            _permit(db, run, seen, finding)
    return _out(finding, sent=sent)


def warm_pages(run: Runtime, tenant_id: UUID, request_id: UUID) -> None:
    """Prepare what the next photos will be compared with; a page that is not ready in time is prepared then."""
    try:
        with run.db.read() as db:
            request = approvals.request(db, run, Scope.system(tenant_id), request_id)
        for page in sorted({stroke.page for stroke in approvals.plan(request)})[:WARM_PAGES]:
            inspection.warm_page(run, tenant_id, request.document_digest, page)
    except (WorkerTimeout, WorkerCrashed, NoSuchRequest) as error:
        run.log.info("pages_not_warmed", request=str(request_id), why=type(error).__name__)


def _check_event(db: Session, run: Runtime, device: DeviceRead, *, event: bytes, preview: bytes) -> _Seen:
    body = _page_seen(db, device, event)
    if hashlib.sha256(preview).digest() != body.preview_digest or len(preview) > MAX_PREVIEW:
        raise BadEvent(why="wrong_photo")
    if device.state is not DeviceState.ACTIVE:
        raise DeviceNotActive(state=device.state.value)
    token = store.token(db, body.token_id)
    if token is None or token.device_id != device.device_id:
        raise NoSuchToken
    if token.closed_at is not None or run.now() >= token.lease_until:
        raise TokenOver
    if not 1 <= body.stroke <= min(token.strokes, len(token.plan)):
        raise WrongStroke
    request = approvals.request(db, run, Scope.system(token.tenant_id), token.request_id)
    if request.state is not State.IN_USE or request.digest != token.request_digest:
        raise NotReady(state=request.state.value)
    plan = approvals.plan(request)
    stroke = plan[token.plan[body.stroke - 1]]
    seal = seals.seal(db, Scope.system(token.tenant_id), token.seal_id)
    at = StrokeAt(
        tenant_id=token.tenant_id,
        branch_path=token.branch_path,
        request_id=token.request_id,
        seal_id=token.seal_id,
        device_id=token.device_id,
        token_id=token.token_id,
        stroke=body.stroke,
        page=stroke.page,
        document_digest=token.document_digest,
    )
    return _Seen(
        body=body,
        event=event,
        preview=preview,
        token=token,
        at=at,
        marks=known_marks(plan, stroke, radius_mm=seal.diameter_mm / 2),
    )


def _page_seen(db: Session, device: DeviceRead, event: bytes) -> PageSeen:
    """Raises: BadEvent, unless this device signed it with its current key."""
    try:
        said = events.verify(event, keys=devices.keys_of(db, device.device_id))
    except ProtocolError as error:
        raise BadEvent(why=error.code) from error
    header = said.header
    if (header.device_id, header.generation) != (device.device_id, device.generation):
        raise BadEvent(why="wrong_device")
    if not isinstance(said.body, PageSeen):
        raise BadEvent(why="wrong_event")
    return said.body


def known_marks(plan: tuple[PlannedStroke, ...], stroke: PlannedStroke, *, radius_mm: float) -> tuple[Box, ...]:
    """Where earlier strokes on this very sheet left imprint and code: pixels of the page at 200 dpi."""
    reach = radius_mm + CODE_REACH_MM
    earlier = [
        before
        for before in plan
        if before.copy == stroke.copy and before.page == stroke.page and before.index < stroke.index
    ]
    return tuple(
        (
            (before.x_mm - reach) * PAGE_PX_PER_MM,
            (before.y_mm - reach) * PAGE_PX_PER_MM,
            (before.x_mm + reach) * PAGE_PX_PER_MM,
            (before.y_mm + reach) * PAGE_PX_PER_MM,
        )
        for before in earlier
    )


def _permit(db: Session, run: Runtime, seen: _Seen, finding: FindingRead) -> None:
    """Sign, record and send; or send again what was signed for this photo."""
    token = store.token(db, seen.token.token_id, lock=True)
    if token is None or token.closed_at is not None or run.now() >= token.lease_until:
        raise TokenOver
    known = store.permit(db, token.token_id, seen.body.stroke, seen.body.stroke_nonce)
    if known is not None:
        devices.resend(db, run, device_id=token.device_id, payload=known.signed, expires_at=token.lease_until)
        return
    request = approvals.request(db, run, Scope.system(token.tenant_id), token.request_id)
    if request.state is not State.IN_USE:
        raise NotReady(state=request.state.value)
    order = orders.Permit(
        device_id=token.device_id,
        token_id=token.token_id,
        stroke=seen.body.stroke,
        page=seen.at.page,
        page_digest=orders.page_digest(token.document_digest, seen.at.page),
        photo_digest=seen.body.photo_digest,
        stroke_nonce=seen.body.stroke_nonce,
    )
    signed = orders.sign(order, key=devices.issuer(run, Purpose.PERMIT))
    db.add(
        StampPermit(
            id=run.new_id(),
            created_at=run.now(),
            tenant_id=token.tenant_id,
            token_id=token.token_id,
            stroke=seen.body.stroke,
            stroke_nonce=seen.body.stroke_nonce,
            photo_digest=order.photo_digest,
            finding_id=finding.id,
            signed=signed,
            leaf_hash=_record(db, run, seen, finding, signed),
        )
    )
    db.flush()
    devices.send_down(
        db, run, device_id=token.device_id, kind=DownKind.PERMIT, payload=signed, expires_at=token.lease_until
    )


def _record(db: Session, run: Runtime, seen: _Seen, finding: FindingRead, signed: bytes) -> bytes:
    refs = seen.at.refs | {"finding": finding.id, "photo": finding.photo_digest}
    leaf_hash = ledger.enqueue(
        db,
        kind=LeafKind.PERMIT,
        leaf=signed,
        tenant_id=seen.at.tenant_id,
        branch_path=seen.at.branch_path,
        refs=entries.ref_strings(refs),
        now=run.now(),
    )
    entries.record(
        db,
        run,
        EntryType.PERMIT_ISSUED,
        tenant_id=seen.at.tenant_id,
        branch_path=seen.at.branch_path,
        refs=refs,
        public={
            "permit_digest": hashlib.sha256(signed).digest(),
            "stroke": seen.body.stroke,
            "page": seen.at.page,
            "photo_digest": seen.body.photo_digest,
            "stroke_nonce": seen.body.stroke_nonce,
        },
    )
    return leaf_hash


def _out(finding: FindingRead, *, sent: bool) -> PermitOut:
    return PermitOut(
        answer=finding.answer,
        reason=finding.reason,
        stroke=finding.stroke,
        page=finding.page,
        permit_sent=sent,
        differences=tuple(PermitDifference(kind=d.kind, box=d.box, text=d.text) for d in finding.differences),
        finding_id=finding.id,
        text=f"{finding.text.happened} {finding.text.safe} {finding.text.next}",
        happened=finding.text.happened,
        safe=finding.text.safe,
        next=finding.text.next,
    )
