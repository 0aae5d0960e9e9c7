"""The head on its shaft: latch, lever, trip flags, a counter that only a press moves; it knows of no journal."""

import threading
from pathlib import Path

from device_sim.process.disk import write_durably
from device_sim.process.faults import Fault, Faults


class Mechanics:
    """ports.Latch and ports.Counter, and the lever for the keeper's hand."""

    def __init__(self, counter_file: Path, faults: Faults) -> None:
        """The flags lie beside the counter, in `tripped`: a line for each that is down."""
        self._file = counter_file
        self._flags = counter_file.with_name("tripped")
        self._faults = faults
        self._lock = threading.Lock()
        self._free = False
        self._count = int(counter_file.read_text()) if counter_file.exists() else 0
        self._tripped = self._flags.read_text().split() if self._flags.exists() else []

    @property
    def is_free(self) -> bool:
        return self._free

    def read(self) -> int:
        with self._lock:
            return self._count

    def release(self) -> None:
        with self._lock:
            self._free = not self._tripped

    def hold(self) -> None:
        with self._lock:
            self._free = False

    def trip(self, sensor: str) -> None:
        with self._lock:
            self._free = False
            if sensor not in self._tripped:
                self._tripped.append(sensor)
                write_durably(self._flags, "\n".join(self._tripped).encode())

    def tripped(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._tripped)

    def rearm(self) -> None:
        with self._lock:
            if self._tripped:
                write_durably(self._flags, b"")
                self._tripped.clear()

    def pull(self) -> int:
        """How often the head came down. One release lets it through once: the spring latch falls in behind it."""
        with self._lock:
            if not self._free or self._faults.has(Fault.LATCH_STICKS) or self._faults.take(Fault.HALF_STROKE):
                return 0
            self._free = False
            presses = 2 if self._faults.take(Fault.DOUBLE_STROKE) else 1
            self._turn(presses)
            return presses

    def force(self) -> None:
        """The head comes down although the latch holds."""
        with self._lock:
            self._turn(1)

    def _turn(self, presses: int) -> None:
        write_durably(self._file, str(self._count + presses).encode())
        self._count += presses
