"""The words on the device's small display: five short lines, for whoever stands before it."""

from typing import Final

from device_sim.core.display import Display
from firmware_protocol.messages import State

COLUMNS: Final = 24
NO_TITLE: Final = "A job without a name"
_SAYS: Final = {
    State.LOCKED: "Locked",
    State.GRANTED: "Lay the page",
    State.PAGE_SEEN: "Checking the page",
    State.UNLOCKED: "PRESS NOW",
    State.PRESSED: "Photo: leave the page",
    State.TAMPERED: "LOCKED: opened by force",
    State.SUSPENDED: "Locked by headquarters",
    State.FAULT: "FAULT: call for service",
    State.SERVICE: "Service: cover may open",
    State.SWEEPING: "Leaf through the pages",
}


def lines(display: Display) -> list[str]:
    """At most five lines of COLUMNS characters. Titles are what the gateway says; nobody signed them."""
    shown = [_SAYS[display.state]]
    if display.digits is not None:
        return ["Compare, then confirm:", f"{display.digits[:3]} {display.digits[3:]}"]
    if display.strokes_left is not None:
        shown.append(_cut(display.title or NO_TITLE))
        shown.append(display.short or "")
        shown.append(f"{display.strokes_left} imprint{'' if display.strokes_left == 1 else 's'} left")
    if display.pages_swept is not None:
        shown.append(f"page {display.pages_swept} of {display.pages_expected or '?'}")
    return [line for line in shown if line]


def _cut(text: str) -> str:
    return text if len(text) <= COLUMNS else text[: COLUMNS - 1].rstrip() + "…"
