"""When the page may show the tray as it lies now: while a page is to be laid, never in a stroke's way. Pure.

And where its outline is drawn. A device says where an A4 sheet at both stops lies; the job says how large its pages
are. A sheet that is wider than high is laid turned a quarter, as the device's stops want it.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from firmware_protocol.messages import Feature, State, Status
from gateway.rules.session import Session, Step

A4_MM: Final = (210.0, 297.0)
MOST_MM: Final = 2000.0
"""A page that claims to be larger is drawn as A4."""

_OPEN = (State.GRANTED, State.PAGE_SEEN)


def offered(session: Session, *, features: int) -> bool:
    """Whether the screen that is shown has a live picture."""
    calm = not (session.alarm or session.service or session.stopped)
    return session.step is Step.PLACE and calm and bool(features & Feature.LOOK)


def may_ask(session: Session, status: Status | None, *, features: int, signed_in: bool, busy: bool) -> bool:
    """Whether the device is asked now. `busy`: somebody makes it photograph, or is about to."""
    ready = status is not None and status.state in _OPEN
    return offered(session, features=features) and ready and signed_in and not busy


def papers(pages: Sequence[Mapping[str, Any]]) -> tuple[tuple[float, float], ...]:
    """Width and height of each page of a job, upright, in mm; (0, 0) where headquarters does not say."""
    return tuple(_upright(page.get("mm")) for page in pages)


def _upright(size: Any) -> tuple[float, float]:  # noqa: ANN401 - JSON
    if not isinstance(size, list | tuple) or len(size) != 2:
        return 0.0, 0.0
    width, height = sorted(float(side) for side in size)
    return (width, height) if width > 0 and height <= MOST_MM else (0.0, 0.0)


def outline(session: Session, place: tuple[int, ...]) -> tuple[int, ...]:
    """`place`: the corners of an A4 sheet at the stops (messages.Looked). The same for the sheet that is wanted now.

    Empty where the sheet does not go to the stops: a fan, and the second place on a page.
    """
    if not place or session.stage == "fan" or same_sheet(session):
        return ()
    sizes = session.plan.papers if session.plan is not None else ()
    at = session.strokes_total - session.strokes_left
    width, height = sizes[at] if 0 <= at < len(sizes) else (0.0, 0.0)
    if not width:
        return place
    across, down = width / A4_MM[0], height / A4_MM[1]
    corners = [(0.0, 0.0), (across, 0.0), (across, down), (0.0, down)]
    found = _seen_from(place)
    return tuple(round(value) for corner in corners for value in found(*corner))


def same_sheet(session: Session) -> bool:
    """The next stroke is for another place on the page that was stamped last."""
    pages = session.plan.pages if session.plan is not None else ()
    at = session.strokes_total - session.strokes_left
    return 0 < at < len(pages) and pages[at] == pages[at - 1]


def _seen_from(place: tuple[int, ...]) -> Callable[[float, float], tuple[float, float]]:
    """The projection that takes the unit square to the four corners of `place`; Heckbert 1989, section 2.2.3."""
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = zip(place[::2], place[1::2], strict=True)
    dx1, dx2, sx = x1 - x2, x3 - x2, x0 - x1 + x2 - x3
    dy1, dy2, sy = y1 - y2, y3 - y2, y0 - y1 + y2 - y3
    whole = dx1 * dy2 - dx2 * dy1
    g, h = ((sx * dy2 - dx2 * sy) / whole, (dx1 * sy - sx * dy1) / whole) if whole else (0.0, 0.0)

    def seen(u: float, v: float) -> tuple[float, float]:
        depth = max(g * u + h * v + 1, 0.05)  # corners that no camera sees give a wrong outline, not an error
        x = (x1 - x0 + g * x1) * u + (x3 - x0 + h * x3) * v + x0
        y = (y1 - y0 + g * y1) * u + (y3 - y0 + h * y3) * v + y0
        return x / depth, y / depth

    return seen
