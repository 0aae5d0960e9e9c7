"""The ink pad: a little less after every press, paler near its end. What is in it outlives the power."""

from pathlib import Path
from typing import Final

from device_sim.process.disk import write_durably
from device_sim.process.faults import Fault, Faults

IMPRINTS: Final = 5_000
"""Presses from a full pad to a dry one."""
FADES_BELOW: Final = 0.1
"""Up to here the ink is in full tone; from here to empty it grows paler."""
PALEST: Final = 0.3
"""Tone of the last imprint."""
FAINT: Final = 0.25
"""Tone of a faint imprint: the eye sees a seal, a court may not."""


class InkPad:
    """`level`: 1 is full, 0 dry."""

    def __init__(self, file: Path, faults: Faults) -> None:
        self._file = file
        self._faults = faults
        self.level = float(file.read_text()) if file.exists() else 1.0

    @property
    def percent(self) -> int:
        """The device's own estimate: it knows what a press takes, and when the pad was filled."""
        return round(self.level * 100)

    def fill(self, level: float) -> None:
        """Raises: ValueError outside 0..1."""
        if not 0.0 <= level <= 1.0:
            raise ValueError(f"ink is 0 to 1, not {level}")
        self._keep(level)

    def press(self) -> tuple[float, float]:
        """One press takes its ink: its tone 0..1, and how much of the head meets the paper."""
        tone = min(1.0, PALEST + (1.0 - PALEST) * self.level / FADES_BELOW) if self.level > 0.0 else 0.0
        self._keep(max(0.0, self.level - 1.0 / IMPRINTS))
        if self._faults.take(Fault.NO_IMPRINT):
            return 0.0, 1.0
        if self._faults.take(Fault.FAINT_IMPRINT):
            return min(tone, FAINT), 1.0
        return tone, 0.5 if self._faults.take(Fault.CUT_OFF_IMPRINT) else 1.0

    def _keep(self, level: float) -> None:
        write_durably(self._file, repr(level).encode())
        self.level = level
