"""What the housing feels. Tamper latches in the journal; battery, temperature and ink are told at a few marks."""

from collections.abc import Sequence
from typing import Final

from device_sim.core.journal import RESERVE
from device_sim.core.log import EventLog
from firmware_protocol import events
from firmware_protocol.events import Body

BATTERY_MARKS: Final = (50, 20, 10, 5)
"""Per cent."""
INK_MARKS: Final = (30, 20, 10, 5)
"""Per cent of a full pad. How many imprints are left, headquarters estimates from the photos."""
COLDEST_K: Final = 278
HOTTEST_K: Final = 313
"""Ink and camera work from 5 to 40 degrees Celsius."""


class Sensors:
    """The last readings are in RAM: the parts report again after every start."""

    def __init__(self, log: EventLog, *, cover_closed: bool) -> None:
        self._log = log
        self._latched: set[str] = set()
        self._marks: dict[str, int] = {}
        self.cover_closed = cover_closed
        self.battery: int | None = None
        self.temperature: int | None = None
        self.ink: int | None = None

    def tamper(self, *sensors: str, also: Sequence[Body] = ()) -> None:
        """TAMPER, once a sensor: a device that is shaken must not fill its journal. `also`: behind it, in one write."""
        fresh = [sensor for sensor in sensors if sensor not in self._latched]
        self._log.write(*(events.Tamper(sensor=sensor) for sensor in fresh), *also)
        self._latched.update(fresh)

    def cleared(self) -> None:
        """Two persons looked at it."""
        self._latched.clear()

    def cover_in_service(self) -> None:
        """An opening that two persons ordered is no tamper, and still told."""
        self._log.write(events.Sensor(sensor="cover", value=int(not self.cover_closed)))

    def read_battery(self, percent: int) -> None:
        self.battery = percent
        self._tell("battery", percent, sum(percent <= mark for mark in BATTERY_MARKS))

    def read_ink(self, percent: int) -> None:
        self.ink = percent
        self._tell("ink", percent, sum(percent <= mark for mark in INK_MARKS))

    def read_temperature(self, kelvin: int) -> None:
        self.temperature = kelvin
        self._tell("temperature", kelvin, int(not COLDEST_K <= kelvin <= HOTTEST_K))

    def _tell(self, sensor: str, value: int, mark: int) -> None:
        if mark == self._marks.get(sensor, 0) or self._log.journal.free_bytes < 2 * RESERVE:
            return
        self._log.write(events.Sensor(sensor=sensor, value=value))
        self._marks[sensor] = mark
