"""What goes out of `server.audit`."""

from uuid import UUID

from server.approvals.policy import State
from server.identity.schemas import Out


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
    photographed: int  # strokes whose two full photos are stored
    agreeing: int  # strokes whose photo agrees
    filed: bool
    alarms: int
    balanced: bool
    open_points: tuple[str, ...]  # codes of what does not agree
