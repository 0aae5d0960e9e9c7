"""A spoiled sheet: the keeper cancels it before stamping another on a spare, and the approvers hear of it afterwards.

It is taken only when the sheet itself shows the stroke's own trace code and the large CANCELLED that the device signed
for. Then the codes on that sheet are withdrawn, and its places are free again within the approved spares.
"""

import hashlib
from dataclasses import dataclass
from typing import Final

from sqlmodel import Session

from firmware_protocol.events import Spoiled
from server.approvals import service as approvals
from server.core.i18n import N_, _
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.devices import service as devices
from server.devices.errors import BadEvent
from server.devices.schemas import GatewayRead
from server.events import store
from server.events.models import Stroke
from server.events.withdrawing import withdraw_code
from server.identity import entries
from server.identity.entries import EntryType
from server.inspection import service as inspection
from server.inspection.service import StrokeAt
from server.jobs import service as jobs
from server.tokens import service as tokens
from server.tokens.errors import NoSuchToken, WrongStroke
from server.tokens.schemas import SpoiledOut, TokenRead

TELL: Final = "notices.spoiled"
"""The job that tells the approvers; notices are a matter of an upper slice."""
MAX_PREVIEW: Final = 1_000_000
_WORDS: Final = {
    "cancelled": N_("The sheet is cancelled and its code withdrawn. Its place is free again."),
    "not_yet": N_("The report of this press has not arrived yet. Wait a moment; the device tries again."),
    "old_photo": N_("This is not a photo of now: the light strip on it shows an earlier moment."),
    "no_code": N_(
        "The code of this press cannot be read on the sheet. Lay the sheet that was spoiled, whole and flat."
    ),
    "other_code": N_("The code on this sheet belongs to another press. Lay the sheet that was spoiled."),
    "not_marked": N_("The word CANCELLED cannot be seen on the sheet. Lay it flat and whole, then try again."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sheet:
    body: Spoiled
    counter: int
    token: TokenRead
    stroke: Stroke | None


def spoil(run: Runtime, gateway: GatewayRead, *, device_id: str, event: bytes, preview: bytes) -> SpoiledOut:
    """Decide about a cancelled sheet now, by its preview. Opens its own sessions. Said twice, it is the same.

    Raises: NoSuchDevice, BadEvent, NoSuchToken, WrongStroke, WorkerTimeout, WorkerCrashed.
    """
    with run.db.read() as db:
        sheet = _sheet(db, gateway, device_id=device_id, event=event, preview=preview)
        decided = tokens.spoiled(db, sheet.body.token_id, sheet.body.stroke)
    reason = "cancelled" if decided else _reason(run, sheet, preview)
    with run.db.write() as db:
        if reason == "cancelled" and not decided:
            _cancel(db, run, sheet, preview)
        request = approvals.request(db, run, Scope.system(gateway.tenant_id), sheet.token.request_id)
        left = tokens.left(db, run, request)
    return SpoiledOut(accepted=reason == "cancelled", reason=reason, text=_(_WORDS[reason]), strokes_left=left.strokes)


def _sheet(db: Session, gateway: GatewayRead, *, device_id: str, event: bytes, preview: bytes) -> _Sheet:
    device = devices.device_of_gateway(db, gateway, device_id)
    said = tokens.signed_event(db, device, event)
    body = said.body
    if not isinstance(body, Spoiled):
        raise BadEvent(why="wrong_event")
    if hashlib.sha256(preview).digest() != body.preview_digest or len(preview) > MAX_PREVIEW:
        raise BadEvent(why="wrong_photo")
    token = tokens.token(db, Scope.system(gateway.tenant_id), body.token_id)
    if token is None or token.device_id != device.device_id:
        raise NoSuchToken
    if not 1 <= body.stroke <= len(token.plan):
        raise WrongStroke
    stroke = store.stroke(db, body.token_id, body.stroke)
    return _Sheet(body=body, counter=said.header.counter, token=token, stroke=stroke)


def _reason(run: Runtime, sheet: _Sheet, preview: bytes) -> str:
    stroke = sheet.stroke
    if stroke is None or stroke.trace_code is None:
        return "not_yet"
    at = StrokeAt(
        tenant_id=stroke.tenant_id,
        branch_path=stroke.branch_path,
        request_id=stroke.request_id,
        seal_id=sheet.token.seal_id,
        device_id=stroke.device_id,
        token_id=stroke.token_id,
        stroke=stroke.stroke,
        page=stroke.page,
        document_digest=sheet.token.document_digest,
    )
    check = inspection.look_at_spoiled(run, at, preview)
    nonce = hashlib.sha256(stroke.token_id + stroke.stroke.to_bytes(2, "big")).digest()[:16]
    if check.strip is not None and check.strip != tokens.strip_data(nonce, sheet.counter):
        return "old_photo"
    code = inspection.code_on_paper(check.codes, stroke.trace_code)
    if code != "same":
        return "no_code" if code == "none" else "other_code"
    return "cancelled" if check.marked else "not_marked"


def _cancel(db: Session, run: Runtime, sheet: _Sheet, preview: bytes) -> None:
    """Every imprint on the sheet goes with it: the strokes of the same copy and page."""
    if sheet.stroke is None:
        return
    scope = Scope.system(sheet.stroke.tenant_id)
    run.blobs.put(db, preview, "image/jpeg", scope=scope)
    here = (sheet.stroke.copy_number, sheet.stroke.page)
    for row in store.strokes(db, scope, sheet.stroke.request_id):
        on_it = (row.copy_number, row.page) == here and row.state in {"done", "unknown"} and row.trace_code
        if on_it and not tokens.spoiled(db, row.token_id, row.stroke):
            _withdraw(db, run, row, sheet)
    about = {"token": sheet.body.token_id.hex(), "stroke": sheet.body.stroke, "tenant": str(scope.tenant_id)}
    jobs.enqueue(db, TELL, about, now=run.now())


def _withdraw(db: Session, run: Runtime, row: Stroke, sheet: _Sheet) -> None:
    leaf_hash = entries.record(
        db,
        run,
        EntryType.CODE_WITHDRAWN,
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        refs={
            "code": row.short_code or "",
            "request": row.request_id,
            "seal": sheet.token.seal_id,
            "token": row.token_id,
        },
        public={"since_ms": run.now()},
        private={"reason": "spoiled sheet", "by": sheet.token.operator_id},
    )
    withdraw_code(db, run, row.trace_code or b"")
    photos = (sheet.body.preview_digest, sheet.body.photo_digest)
    tokens.spoil(db, run, token_id=row.token_id, stroke=row.stroke, photos=photos, leaf_hash=leaf_hash)
    row.state = "spoiled"
    db.add(row)
    db.flush()
