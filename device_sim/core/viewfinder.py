"""A look at the tray for whoever lays the page: seen once, never written, and no part of a stroke depends on it."""

from typing import Final

from device_sim.core.checks import No, first_no
from device_sim.core.log import EventLog
from device_sim.core.photographing import Shutter
from device_sim.core.ports import Glance, NoShot, Shot
from device_sim.core.stamping import Stamping
from device_sim.core.timekeeping import Timekeeper
from firmware_protocol.messages import Looked, State
from firmware_protocol.reasons import Reason

LOOK_EVERY_MS: Final = 500
_OPEN: Final = (State.GRANTED, State.PAGE_SEEN, State.SWEEPING)
"""A job is under way, and the latch holds."""


class Viewfinder:
    """One look at a time."""

    def __init__(self, *, log: EventLog, time: Timekeeper, stamping: Stamping, shutter: Shutter) -> None:
        self._log = log
        self._time = time
        self._stamping = stamping
        self._shutter = shutter
        self._number: int | None = None
        self._next_ms = 0

    def look(self) -> No | int:
        """Begin one; answers the order's number. The rest comes with `taken`."""
        now_ms = self._time.uptime_ms
        no = self._closed() or first_no(
            (self._shutter.busy, Reason.BUSY, "a photo is being taken"),
            (self._number is not None or now_ms < self._next_ms, Reason.BUSY, "one look at a time, two a second"),
        )
        if no is not None:
            return no
        self._next_ms = now_ms + LOOK_EVERY_MS
        self._number = self._shutter.glance()
        return self._number

    def taken(self, number: int, outcome: Shot | Glance | NoShot) -> Looked | No | None:
        """None: this was a photo."""
        if number != self._number:
            return None
        self._number = None
        if not isinstance(outcome, Glance):
            return No(reason=Reason.CAMERA_FAILED, detail="no picture")
        return self._closed() or Looked(digest=outcome.digest, place=outcome.place)

    def _closed(self) -> No | None:
        """Why nobody may look now."""
        state = self._stamping.state
        return first_no(
            (self._log.memory.operator is None, Reason.OPERATOR_NEEDED, "nobody is signed in"),
            (state is State.LOCKED, Reason.NO_GRANT, "no job is under way"),
            (state not in _OPEN, Reason.OUT_OF_ORDER, "not while the latch is free, and in no service"),
        )
