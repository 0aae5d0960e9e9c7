"""What goes out of `server.audit`."""

from datetime import datetime
from uuid import UUID

from server.approvals.policy import State
from server.devices.schemas import HexBytes
from server.events.schemas import StrokeRead
from server.identity.schemas import Out
from server.inspection.schemas import FindingRead


class VerdictRead(Out):
    confirmed: bool
    reason: str
    by: str
    at: datetime
    leaf_hash: HexBytes


class ReviewRead(Out):
    """A press that a person decides about. `page_finding`: the page compared afterwards, when the photo was there."""

    request_id: UUID
    short: str
    title: str
    stroke: StrokeRead
    mode: str
    keeper_id: UUID
    keeper_name: str
    page_finding: FindingRead | None
    imprint_finding: FindingRead | None
    verdict: VerdictRead | None


class Reconciliation(Out):
    """One request's counts, which must agree once it is done: approved = granted = pressed = photographed = filed."""

    request_id: UUID
    short: str
    title: str
    state: State
    approved: int  # imprints approved, without spares
    granted: int  # uses that devices consumed, and those they may still consume
    pressed: int  # strokes the devices signed as done
    not_confirmed: int  # strokes whose press is not confirmed
    spoiled: int  # sheets that were cancelled; their places were stamped again on a spare
    to_review: int  # presses that wait for a person's decision
    labels_unused: int  # labels printed and never stuck on
    photographed: int  # strokes whose two full photos are stored
    agreeing: int  # strokes whose photo agrees
    filed: bool
    alarms: int
    balanced: bool
    open_points: tuple[str, ...]  # codes of what does not agree
