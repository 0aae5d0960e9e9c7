"""The signed permit for one stroke on one photo: once per photo, on record, on its way down."""

import hashlib

from sqlmodel import Session

from firmware_protocol import events, orders
from firmware_protocol.events import PageSeen
from firmware_protocol.purposes import Purpose
from server.approvals import service as approvals
from server.approvals.policy import State
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.devices import service as devices
from server.devices.schemas import DownKind
from server.identity import entries
from server.identity.entries import EntryType
from server.inspection import service as inspection
from server.inspection.schemas import FindingRead
from server.ledger import service as ledger
from server.ledger.service import LeafKind
from server.tokens import store
from server.tokens.errors import NoSuchToken, NotReady, TokenOver
from server.tokens.models import DoubtCase, StampPermit, StampToken
from server.tokens.schemas import CaseState

FAN: int = 0
"""The page that a permit names for the fanned-out pages of a straddle."""


def permit(
    db: Session, run: Runtime, body: PageSeen, finding: FindingRead, *, page: int, cover: bytes | None = None
) -> None:
    """Sign, record and send; or send again what was signed for this photo. `cover`: its photo, when `page` is FAN.

    Raises: NoSuchToken, TokenOver, NotReady.
    """
    token = store.token(db, body.token_id, lock=True)
    if token is None:
        raise NoSuchToken
    if token.closed_at is not None or run.now() >= token.lease_until:
        raise TokenOver
    known = store.permit(db, token.token_id, body.stroke, body.stroke_nonce)
    if known is not None:
        devices.resend(db, run, device_id=token.device_id, payload=known.signed, expires_at=token.lease_until)
        return
    request = approvals.request(db, run, Scope.system(token.tenant_id), token.request_id)
    if request.state is not State.IN_USE:
        raise NotReady(state=request.state.value)
    order = orders.Permit(
        device_id=token.device_id,
        token_id=token.token_id,
        stroke=body.stroke,
        page=page,
        page_digest=orders.page_digest(token.document_digest, page),
        photo_digest=body.photo_digest,
        stroke_nonce=body.stroke_nonce,
        cover_digest=cover,
    )
    signed = orders.sign(order, key=devices.issuer(run, Purpose.PERMIT))
    db.add(
        StampPermit(
            id=run.new_id(),
            created_at=run.now(),
            tenant_id=token.tenant_id,
            token_id=token.token_id,
            stroke=body.stroke,
            stroke_nonce=body.stroke_nonce,
            photo_digest=order.photo_digest,
            finding_id=finding.id,
            signed=signed,
            leaf_hash=_record(db, run, token, order, finding=finding, signed=signed),
        )
    )
    db.flush()
    devices.send_down(
        db, run, device_id=token.device_id, kind=DownKind.PERMIT, payload=signed, expires_at=token.lease_until
    )


def permit_case(db: Session, run: Runtime, case: DoubtCase, finding: FindingRead) -> None:
    """After "stamp anyway": the permit for the photo of the case; none for a cover, after which comes the fan.

    Raises: what `permit` raises.
    """
    body = events.peek(case.event).body  # its signature was verified when the case was opened
    if not isinstance(body, PageSeen) or finding.kind == "cover":
        return
    if finding.kind == "fan":
        permit(db, run, body, finding, page=FAN, cover=cover_of(db, case.token_id, copy_of(finding)))
    else:
        permit(db, run, body, finding, page=finding.page)


def cover_of(db: Session, token_id: bytes, copy: int) -> bytes | None:
    """Digest of the last photo on which the cover of this copy agreed, or was answered with "stamp anyway"."""
    found = None
    for look in inspection.findings_of_token(db, token_id, kind="cover"):
        case = store.case_of_finding(db, look.id)
        taken = look.answer == "match" or (case is not None and case.state == CaseState.ANYWAY.value)
        if taken and copy_of(look) == copy:
            found = bytes.fromhex(str(look.report["photo"]))
    return found


def copy_of(finding: FindingRead) -> int:
    return int(finding.report.get("copy", 0))


def _record(
    db: Session, run: Runtime, token: StampToken, order: orders.Permit, *, finding: FindingRead, signed: bytes
) -> bytes:
    refs: dict[str, object] = {
        "request": token.request_id,
        "seal": token.seal_id,
        "device": token.device_id,
        "token": token.token_id,
        "document": token.document_digest,
        "finding": finding.id,
        "photo": finding.photo_digest,
    }
    leaf_hash = ledger.enqueue(
        db,
        kind=LeafKind.PERMIT,
        leaf=signed,
        tenant_id=token.tenant_id,
        branch_path=token.branch_path,
        refs=entries.ref_strings(refs),
        now=run.now(),
    )
    entries.record(
        db,
        run,
        EntryType.PERMIT_ISSUED,
        tenant_id=token.tenant_id,
        branch_path=token.branch_path,
        refs=refs,
        public={
            "permit_digest": hashlib.sha256(signed).digest(),
            "stroke": order.stroke,
            "page": order.page,
            "photo_digest": order.photo_digest,
            "stroke_nonce": order.stroke_nonce,
        },
    )
    return leaf_hash
