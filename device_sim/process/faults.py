"""Named faults: what can break in a device on a counter, switched on by the keeper API or `--fault`."""

import os
import threading
from enum import StrEnum

from device_sim.core.errors import DeviceError


class Fault(StrEnum):
    CAMERA_FAILS = "camera_fails"
    """Every photo fails until it is switched off."""
    LATCH_STICKS = "latch_sticks"
    """The solenoid pulls, the lever stays blocked."""
    DOUBLE_STROKE = "double_stroke"
    """The next press brings the head down twice."""
    COUNTER_JUMPS = "counter_jumps"
    """The head comes down once, with force, past a latch that holds."""
    POWER_CUT = "power_cut"
    """The process dies at the named point (`at`), nothing is flushed."""
    DISK_FULL = "disk_full"
    SLOW_BULK = "slow_bulk"
    """The bulk link falls to SLOW_BYTES_PER_S."""
    UNPLUG = "unplug"
    """The control cable is out; the port disappears."""
    REAPPEAR = "reappear"
    """It is back, under another port name."""
    COVER_OPEN = "cover_open"
    COVER_CLOSED = "cover_closed"


SLOW_BYTES_PER_S = 20_000
POINTS = (
    "before_grant",
    "after_grant",
    "before_intent",
    "after_intent",
    "after_unlock",
    "after_press",
    "after_print",
    "before_done",
    "after_done",
)
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
            os._exit(POWER_CUT_EXIT)

    @property
    def names(self) -> list[str]:
        with self._lock:
            cut = [f"{Fault.POWER_CUT}:{self._cut_at}"] if self._cut_at else []
            return sorted(self._on) + cut
