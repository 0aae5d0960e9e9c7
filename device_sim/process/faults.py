"""Named faults: what can break in a device on a counter, switched on by the keeper API or `--fault`."""

import os
import threading
from enum import StrEnum
from typing import Final

from device_sim.core.errors import DeviceError


class Fault(StrEnum):
    """What each one does is in docs/field-failures.md, with what the device then says."""

    # the press
    LATCH_STICKS = "latch_sticks"
    """The solenoid pulls, the lever stays blocked."""
    HALF_STROKE = "half_stroke"
    """The next pull stops half way: no ink, no count, and the latch is still free."""
    MISSED_PRESS = "missed_press"
    """The next press is real, but the lever's switch says nothing; only the counter moved."""
    DOUBLE_STROKE = "double_stroke"
    """The next press brings the head down twice."""
    COUNTER_JUMPS = "counter_jumps"
    """The head comes down once, with force, past a latch that holds."""
    FAINT_IMPRINT = "faint_imprint"
    """The next press finds an almost dry pad."""
    CUT_OFF_IMPRINT = "cut_off_imprint"
    """The next press meets the paper with half of the head."""
    NO_IMPRINT = "no_imprint"
    """The next press leaves no ink."""
    # camera, storage, power
    CAMERA_FAILS = "camera_fails"
    """Every photo fails until it is switched off."""
    DISK_FULL = "disk_full"
    POWER_CUT = "power_cut"
    """The process dies at the named point (`at`), nothing is flushed."""
    TORN_WRITE = "torn_write"
    """The power goes in the middle of the next write to the journal: half of it is on disk."""
    # links
    SLOW_BULK = "slow_bulk"
    """The bulk link falls to SLOW_BYTES_PER_S."""
    BULK_DOWN = "bulk_down"
    """The bulk link takes every connection and hangs up."""
    UNPLUG = "unplug"
    """The control cable is out; the port disappears."""
    REAPPEAR = "reappear"
    """It is back, under another port name."""
    MUTE = "mute"
    """Whatever the device says is lost on its way; it hears everything."""
    REPLAYS = "replays"
    """Somebody on the link plays every signed order again, after each message."""
    ERASE = "erase"
    """Somebody on the link orders everything deleted, with a receipt that no ledger signed."""
    # housing
    COVER_OPEN = "cover_open"
    COVER_CLOSED = "cover_closed"
    PRY = "pry"
    TILT = "tilt"


FIELD_FAILURES: Final = {
    1: Fault.LATCH_STICKS,
    2: Fault.HALF_STROKE,
    3: Fault.MISSED_PRESS,
    4: Fault.DOUBLE_STROKE,
    5: Fault.MUTE,
    6: Fault.REPLAYS,
    7: Fault.BULK_DOWN,
    8: Fault.UNPLUG,
    9: Fault.TORN_WRITE,
    10: Fault.ERASE,
}
"""What fielded devices get wrong, by the numbers of docs/field-failures.md."""

SLOW_BYTES_PER_S = 20_000
POINTS = (
    "before_grant",
    "after_grant",
    "before_intent",
    "after_intent",
    "after_unlock",
    "after_press",
    "after_print",
    "after_cancelled",
    "after_photo",
    "before_done",
    "after_done",
    "before_swept",
    "after_swept",
    "before_label",
    "after_label",
    "before_spoiled",
    "after_spoiled",
)
"""after_print, after_cancelled: the coder printed, no photo yet. after_photo: the pictures are durable, no event names
them yet, whatever they are of: a page, a sweep, an imprint, a label, a spoiled sheet."""
POWER_CUT_EXIT = 9


class UnknownFault(DeviceError):
    """There is no fault, or no point for a power cut, of that name."""

    def __init__(self, name: str) -> None:
        super().__init__(f"no fault {name!r}; there are {', '.join(Fault)} (power_cut:POINT, {', '.join(POINTS)})")


class Faults:
    """Which lasting faults are on. Also the Tripwire of the core."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._on: set[Fault] = set()
        self._cut_at: str | None = None

    def switch(self, fault: Fault, *, on: bool = True) -> None:
        with self._lock:
            if on:
                self._on.add(fault)
            else:
                self._on.discard(fault)

    def clear(self) -> None:
        with self._lock:
            self._on.clear()
            self._cut_at = None

    def has(self, fault: Fault) -> bool:
        with self._lock:
            return fault in self._on

    def take(self, fault: Fault) -> bool:
        """A fault that happens once: whether it is on, and off from now."""
        with self._lock:
            was = fault in self._on
            self._on.discard(fault)
            return was

    def cut_power_at(self, point: str) -> None:
        """Raises: UnknownFault."""
        if point not in POINTS:
            raise UnknownFault(f"{Fault.POWER_CUT}:{point}")
        self._cut_at = point

    def reach(self, point: str) -> None:
        if point == self._cut_at:
            self.cut_power()

    def cut_power(self) -> None:
        """Now."""
        os._exit(POWER_CUT_EXIT)

    @property
    def names(self) -> list[str]:
        with self._lock:
            cut = [f"{Fault.POWER_CUT}:{self._cut_at}"] if self._cut_at else []
            return sorted(self._on) + cut
