"""What the housing feels: heads that come and go, and tampering. Nothing felt is lost, with the power on or off.

A storage that fails takes no event. What was felt then stays in RAM, and an alarm in the latch's own flags, which
outlast a power cut and bar the lever. It is told before anything else after the restart, so that no grant begins with
a head, or a housing, that the journal does not know; the flags are lifted once the journal has it.
"""

from device_sim.core import service
from device_sim.core.log import EventLog
from device_sim.core.memory import NO_HEAD
from device_sim.core.ports import Latch
from device_sim.core.sensors import Sensors
from device_sim.core.stamping import Stamping
from firmware_protocol import events
from firmware_protocol.events import Body, Cause


class Housing:
    """Lives as long as the power is on, its flags longer; `begin` gives it the parts of each start.

    Raises: StorageFailed.
    """

    def __init__(self, latch: Latch) -> None:
        self._latch = latch
        self._heads: dict[int, bytes] = {}  # by slot, what its reader said last; NO_HEAD: none
        self._alarms: list[str] = []  # sensors whose TAMPER is not in the journal yet

    def begin(self, *, log: EventLog, stamping: Stamping, sensors: Sensors) -> None:
        """A start: what an earlier one could not write is written now."""
        self._log, self._stamping, self._sensors = log, stamping, sensors
        self._alarms += [sensor for sensor in self._latch.tripped() if sensor not in self._alarms]
        self.tell()

    def tampered(self, sensor: str) -> None:
        """Hold the latch, end the grant, TAMPER."""
        self._alarm(sensor)
        self.tell()

    def head_seen(self, slot: int, head: bytes) -> None:
        """The reader in `slot` sees this head now."""
        before = self._heads.get(slot, self._log.memory.heads[slot])
        self._heads[slot] = head
        if head != before:
            self._judge(slot, before)
        self.tell()

    def _judge(self, slot: int, before: bytes) -> None:
        """A head that was there and is not any more is tamper, unless it was ordered."""
        memory = self._log.memory
        if memory.paired and before != NO_HEAD and not service.allows_head(memory, slot):
            self._alarm("head")

    def _alarm(self, sensor: str) -> None:
        self._latch.hold()
        self._latch.trip(sensor)
        if sensor not in self._alarms:
            self._alarms.append(sensor)

    def tell(self) -> None:
        """All that was felt and is not in the journal. TAMPER stands before the head's change, in one write with it:
        a power cut in that write never leaves the new head without the alarm.
        """
        memory = self._log.memory
        moved = [slot for slot, head in self._heads.items() if head != memory.heads[slot]]
        for slot in moved:
            self._judge(slot, memory.heads[slot])
        if self._alarms or any(not service.allows_head(memory, slot) for slot in moved):
            self._stamping.close(Cause.TAMPERED)
        self._sensors.tamper(*self._alarms, also=[self._changed(slot) for slot in moved])
        if self._alarms:
            self._latch.rearm()  # the journal bars the lever from here on
        self._alarms.clear()

    def _changed(self, slot: int) -> Body:
        old, new = self._log.memory.heads[slot], self._heads[slot]
        return events.HeadChanged(
            slot=slot, old_head=None if old == NO_HEAD else old, new_head=None if new == NO_HEAD else new
        )
