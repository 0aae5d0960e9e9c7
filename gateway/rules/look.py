"""When the page may show the tray as it lies now: while a page is to be laid, never in a stroke's way. Pure."""

from firmware_protocol.messages import Feature, State, Status
from gateway.rules.session import Session, Step

_OPEN = (State.GRANTED, State.PAGE_SEEN)


def offered(session: Session, *, features: int) -> bool:
    """Whether the screen that is shown has a live picture."""
    calm = not (session.alarm or session.service or session.stopped)
    return session.step is Step.PLACE and calm and bool(features & Feature.LOOK)


def may_ask(session: Session, status: Status | None, *, features: int, signed_in: bool, busy: bool) -> bool:
    """Whether the device is asked now. `busy`: somebody makes it photograph, or is about to."""
    ready = status is not None and status.state in _OPEN
    return offered(session, features=features) and ready and signed_in and not busy
