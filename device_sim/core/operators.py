"""Who stands at the device: the roster, signing in and out, and the lock against guessing (design: D4)."""

from dataclasses import dataclass
from typing import Final

from device_sim.core import standing
from device_sim.core.checks import No
from device_sim.core.log import EventLog
from device_sim.core.memory import Memory, roster_record
from device_sim.core.stamping import Stamping
from device_sim.core.timekeeping import Timekeeper
from firmware_protocol import events, messages
from firmware_protocol.events import Cause
from firmware_protocol.messages import State
from firmware_protocol.reasons import Reason

TRIES: Final = 5
LOCKED_MS: Final = 60_000


@dataclass(slots=True, kw_only=True)
class _Tries:
    wrong: int = 0
    open_ms: int = 0


class Operators:
    """At most one is signed in. Another one, or nobody, closes the grant: who pressed is always known.

    Wrong tries are counted in RAM for each operator. Their events are folded too, so that switching the power off and
    on does not buy five more.
    """

    def __init__(self, *, device_id: str, log: EventLog, time: Timekeeper, stamping: Stamping) -> None:
        self._device_id = device_id
        self._log = log
        self._time = time
        self._stamping = stamping
        self._tries: dict[bytes, _Tries] = {}
        locked_at_boot = (self._memory.wrong_tries or 0) >= TRIES
        self._all_open_ms = time.uptime_ms + LOCKED_MS if locked_at_boot else 0

    @property
    def _memory(self) -> Memory:
        return self._log.memory

    def sign_in(self, request: messages.OperatorRequest) -> messages.Accepted | No:
        now_ms = self._time.uptime_ms
        ways = [way for way in self._memory.people if (way.operator, way.method) == (request.operator, request.method)]
        if not ways:
            return No(reason=Reason.WRONG_OPERATOR, detail="not in this device's roster")
        tries = self._tries.setdefault(request.operator, _Tries())
        if now_ms < max(tries.open_ms, self._all_open_ms):
            return No(reason=Reason.TOO_MANY_TRIES, detail="wait a minute")
        if self._stamping.state is State.PRESSED:
            return No(reason=Reason.BUSY, detail="the stroke under way comes first")
        if not self._log.journal.has_room:
            return No(reason=Reason.JOURNAL_FULL, detail="too much waits for a receipt")
        if not any(way.fits(request.proof) for way in ways):
            return self._wrong(tries, now_ms)
        self._tries.pop(request.operator)
        if self._memory.operator != request.operator:
            self._sign_out()
            present = events.Operator(operator=request.operator, method=request.method, present=True)
            self._log.write(present)
        return messages.Accepted()

    def leave(self) -> messages.Accepted | No:
        if self._stamping.state is State.PRESSED:
            return No(reason=Reason.BUSY, detail="the stroke under way comes first")
        self._sign_out()
        return messages.Accepted()

    def take_roster(self, data: bytes) -> messages.Accepted | No:
        """One signed part. Whoever is signed in and no longer listed is signed out once the list is whole."""
        roster = standing.check_roster(data, memory=self._memory, device_id=self._device_id)
        if isinstance(roster, No):
            return roster
        held = self._memory.roster_parts or ()
        if roster.number == self._memory.roster_number and roster.part in held:
            return messages.Accepted()
        if not self._log.journal.has_room:
            return No(reason=Reason.JOURNAL_FULL, detail="too much waits for a receipt")
        self._log.journal.append([roster_record(data)])
        listed = {way.operator for way in self._memory.people}
        if len(self._memory.roster_parts or ()) == roster.parts and self._memory.operator not in listed:
            self._sign_out()
        return messages.Accepted()

    def _wrong(self, tries: _Tries, now_ms: int) -> No:
        tries.wrong += 1
        if tries.wrong >= TRIES:
            tries.wrong, tries.open_ms = 0, now_ms + LOCKED_MS
        number = messages.TYPE_OF[messages.OperatorRequest]
        self._log.write(events.Refusal(message_type=number, reason=Reason.WRONG_OPERATOR))
        return No(reason=Reason.WRONG_OPERATOR, detail="that is not the PIN or badge of this person")

    def _sign_out(self) -> None:
        operator = self._memory.operator
        if operator is None:
            return
        self._stamping.close(Cause.BY_KEEPER)
        method = next((way.method for way in self._memory.people if way.operator == operator), 0)
        self._log.write(events.Operator(operator=operator, method=method, present=False))
