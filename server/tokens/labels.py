"""Labels of the gateway's printer, each accounted for: printed, stuck on, spoiled, or printed and never stuck on."""

from datetime import datetime
from uuid import UUID

from sqlmodel import Session

from firmware_protocol import events
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.devices import service as devices
from server.devices.schemas import GatewayRead
from server.ledger import service as ledger
from server.tokens import store
from server.tokens.errors import NoSuchToken, WrongStroke
from server.tokens.models import PaperLabel, StampToken
from server.tokens.schemas import LabelIn, LabelRead


def note_label(db: Session, run: Runtime, gateway: GatewayRead, *, device_id: str, said: LabelIn) -> None:
    """What became of a label; the last word counts. Raises: NoSuchDevice, NoSuchToken, WrongStroke."""
    device = devices.device_of_gateway(db, gateway, device_id)
    token = store.token(db, bytes.fromhex(said.token_id))
    if token is None or token.device_id != device.device_id:
        raise NoSuchToken
    if said.stroke > len(token.plan):
        raise WrongStroke
    row = store.label(db, device_id, said.label_id)
    if row is None:
        row = PaperLabel(
            id=run.new_id(),
            created_at=run.now(),
            tenant_id=token.tenant_id,
            branch_path=token.branch_path,
            request_id=token.request_id,
            device_id=device_id,
            token_id=token.token_id,
            stroke=said.stroke,
            label_id=said.label_id,
            printer=said.printer,
            outcome=said.outcome.value,
        )
    elif (row.token_id, row.stroke) != (token.token_id, said.stroke):
        raise WrongStroke
    row.outcome = said.outcome.value
    db.add(row)
    db.flush()
    seen = _photographed_at(db, token, said.stroke)  # the device's event may be quicker than the gateway's word
    if seen is not None:
        note_seen(db, token_id=token.token_id, stroke=said.stroke, at=seen)


def _photographed_at(db: Session, token: StampToken, stroke: int) -> datetime | None:
    """When the ledger took in the device's LABEL event of this stroke."""
    found = ledger.find(
        db, Scope.system(token.tenant_id), ref=f"token:{token.token_id.hex()}", entry_type=events.EventType.LABEL
    )
    for leaf in found:
        body = events.peek(leaf.leaf).body
        if isinstance(body, events.Label) and body.copy == stroke and leaf.device_id == token.device_id:
            return leaf.admitted_at
    return None


def note_seen(db: Session, *, token_id: bytes, stroke: int, at: datetime) -> None:
    """The device photographed the sheet with its label on: the stroke's last label that was not spoiled is that one."""
    rows = [row for row in store.labels_of_stroke(db, token_id, stroke) if row.outcome != "spoiled"]
    if rows:
        last = max(rows, key=lambda row: row.created_at)
        last.seen_at = last.seen_at or at
        db.add(last)


def labels_of(db: Session, scope: Scope, request_id: UUID) -> list[LabelRead]:
    """Oldest first."""
    rows = store.labels_of_request(db, scope.tenant_id, request_id)
    return [LabelRead.model_validate(row) for row in rows if scope.covers(row.branch_path)]
