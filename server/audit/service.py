"""Reconciliation: what was approved against what was granted, pressed, photographed and filed."""

from typing import Final
from uuid import UUID

from sqlmodel import Session

from server.approvals import service as approvals
from server.approvals.policy import State
from server.audit import reviewing
from server.audit.schemas import Reconciliation
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.events import service as events
from server.events.schemas import StrokeView
from server.ledger import service as ledger
from server.ledger.service import EntryType
from server.tokens import service as tokens
from server.tokens.schemas import LabelOutcome, LabelRead

USED: Final = (State.IN_USE, State.DONE)


def reconcile(db: Session, run: Runtime, scope: Scope, request_id: UUID) -> Reconciliation:
    """The counts of one request. Raises: NoSuchRequest."""
    line = events.timeline(db, run, scope, request_id)
    request, views = line.request, line.strokes
    pressed = [view for view in views if view.stroke.state == "done"]
    not_confirmed = sum(view.stroke.state == "unknown" for view in views)
    spoiled = sum(view.stroke.state == "spoiled" for view in views)
    to_review = reviewing.count_open(db, [view.stroke for view in views])
    unused = labels_unused(tokens.labels_of(db, scope, request_id))
    photographed = sum(_photographed(view) for view in pressed)
    agreeing = sum(view.imprint_finding is not None and view.imprint_finding.answer == "agrees" for view in pressed)
    closed = [token.closed_used or 0 for token in tokens.tokens_of(db, scope, request_id) if token.closed_at]
    live = sum(lease.strokes for lease in line.leases)
    filed = _filed(db, scope, request_id)
    points = [
        code
        for code, wrong in (
            ("more_pressed_than_approved", len(pressed) + not_confirmed + spoiled > request.strokes + request.spares),
            ("press_not_confirmed", not_confirmed > 0),
            ("to_review", to_review > 0),
            ("no_code", any(view.stroke.trace_code is None for view in pressed)),
            ("labels_unused", unused > 0),
            ("imprints_missing", request.state is State.DONE and len(pressed) < request.strokes),
            ("photos_missing", photographed < len(pressed)),
            ("photo_differs", _differs(pressed)),
            ("not_looked_at", any(view.imprint_finding is None for view in pressed)),
            ("alarm", bool(line.alarms)),
            ("not_filed", request.state is State.DONE and not filed),
        )
        if wrong
    ]
    return Reconciliation(
        request_id=request.id,
        short=request.short,
        title=request.title,
        state=request.state,
        approved=request.strokes,
        granted=sum(closed) + live,
        pressed=len(pressed),
        not_confirmed=not_confirmed,
        spoiled=spoiled,
        to_review=to_review,
        labels_unused=unused,
        photographed=photographed,
        agreeing=agreeing,
        filed=filed,
        alarms=len(line.alarms),
        balanced=not points,
        open_points=tuple(points),
    )


def sheet(
    db: Session, run: Runtime, scope: Scope, *, before: UUID | None = None, limit: int = 100
) -> list[Reconciliation]:
    """Requests that were used, newest first. `before`: the last request of the page before."""
    used = approvals.requests(db, run, scope, states=USED, before=before, limit=limit)
    return [reconcile(db, run, scope, request.id) for request in used]


def labels_unused(labels: list[LabelRead]) -> int:
    """Labels that left the printer, were not thrown away, and that no photo shows on a sheet."""
    return sum(label.outcome is not LabelOutcome.SPOILED and label.seen_at is None for label in labels)


def _photographed(view: StrokeView) -> bool:
    digests = (view.stroke.before_photo, view.stroke.after_photo)
    return all(digest is not None and digest.hex() in view.photos_stored for digest in digests)


def _differs(pressed: list[StrokeView]) -> bool:
    return any(view.imprint_finding is not None and view.imprint_finding.answer != "agrees" for view in pressed)


def _filed(db: Session, scope: Scope, request_id: UUID) -> bool:
    return bool(ledger.find(db, scope, ref=f"request:{request_id}", entry_type=EntryType.RECORD_FILED, limit=1))
