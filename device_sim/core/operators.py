"""Who stands at the device: the roster, signing in and out, and the lock against guessing (design: D4)."""

from dataclasses import dataclass
from typing import Final

from device_sim.core import standing
from device_sim.core.checks import No, Nonce, first_no
from device_sim.core.log import EventLog
from device_sim.core.memory import Memory, roster_record
from device_sim.core.ports import Rng
from device_sim.core.stamping import Stamping
from device_sim.core.timekeeping import NONCE_SIZE, Timekeeper
from firmware_protocol import events, messages, passkeys
from firmware_protocol.errors import ProtocolError
from firmware_protocol.events import Cause
from firmware_protocol.messages import State
from firmware_protocol.passkeys import Assertion
from firmware_protocol.reasons import Reason

TRIES: Final = 5
LOCKED_MS: Final = 60_000
PASSKEY_LIFE_MS: Final = 120_000
"""How long a nonce for a passkey counts: its owner has to find it and touch it."""


@dataclass(slots=True, kw_only=True)
class _Tries:
    wrong: int = 0
    open_ms: int = 0


class Operators:
    """At most one is signed in. Another one, or nobody, closes the grant: who pressed is always known.

    Wrong tries are counted in RAM for each operator. Their events are folded too, so that switching the power off and
    on does not buy five more.
    """

    def __init__(self, *, device_id: str, log: EventLog, time: Timekeeper, stamping: Stamping, rng: Rng) -> None:
        self._device_id = device_id
        self._log = log
        self._time = time
        self._stamping = stamping
        self._rng = rng
        self._nonce: Nonce | None = None
        self._tries: dict[bytes, _Tries] = {}
        locked_at_boot = (self._memory.wrong_tries or 0) >= TRIES
        self._all_open_ms = time.uptime_ms + LOCKED_MS if locked_at_boot else 0

    @property
    def _memory(self) -> Memory:
        return self._log.memory

    def sign_in(self, request: messages.OperatorRequest) -> messages.Accepted | No:
        ways = [way for way in self._memory.people if (way.operator, way.method) == (request.operator, request.method)]
        if not ways:
            return No(reason=Reason.WRONG_OPERATOR, detail="not in this device's roster")
        no = self._not_now(request.operator)
        if no is not None:
            return no
        if not any(way.fits(request.proof) for way in ways):
            return self._wrong(request, "that is not the PIN or badge of this person")
        self._tries.pop(request.operator, None)
        if self._memory.operator != request.operator:
            self._sign_out()
            present = events.Operator(operator=request.operator, method=request.method, present=True)
            self._log.write(present)
        return messages.Accepted()

    def passkey_challenge(self) -> messages.PasskeyChallenge:
        """A nonce for one sign-in, in RAM: it dies with the power."""
        self._nonce = Nonce(value=self._rng.token_bytes(NONCE_SIZE), made_ms=self._time.uptime_ms)
        return messages.PasskeyChallenge(nonce=self._nonce.value)

    def sign_in_passkey(self, request: messages.PasskeyRequest) -> messages.Identified | No:
        """Always an event, also for whoever is signed in: it keeps the authenticator's counter, and headquarters
        believes it alone. The nonce is used up whatever comes of it.
        """
        nonce, self._nonce = self._nonce, None
        if nonce is None or self._time.uptime_ms - nonce.made_ms > PASSKEY_LIFE_MS:
            return No(reason=Reason.WRONG_NONCE, detail="no nonce for a passkey is out, or it is too old")
        who = (request.operator, request.credential)
        passkey = next((way for way in self._memory.keys_of_people if (way.operator, way.credential) == who), None)
        if passkey is None:
            return No(reason=Reason.WRONG_OPERATOR, detail="not in this device's roster")
        no = self._not_now(request.operator)
        if no is not None:
            return no
        try:
            count = passkeys.check(
                Assertion(
                    authenticator_data=request.authenticator_data,
                    client_data=request.client_data,
                    signature=request.signature,
                ),
                passkey=passkey,
                challenge=passkeys.challenge(self._device_id, nonce.value),
                count=self._memory.sign_count(request.credential),
            )
        except ProtocolError as error:
            return self._wrong(request, str(error))
        self._tries.pop(request.operator, None)
        if self._memory.operator != request.operator:
            self._sign_out()
        present = events.Operator(
            operator=request.operator,
            method=passkeys.METHOD,
            present=True,
            credential=request.credential,
            sign_count=count,
        )
        (written,) = self._log.write(present)
        return messages.Identified(event=written)

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
        listed = {way.operator for way in self._memory.people} | {key.operator for key in self._memory.keys_of_people}
        if len(self._memory.roster_parts or ()) == roster.parts and self._memory.operator not in listed:
            self._sign_out()
        return messages.Accepted()

    def _not_now(self, operator: bytes) -> No | None:
        """Why nobody, or not this person, may try just now."""
        open_ms = max(self._tries.get(operator, _Tries()).open_ms, self._all_open_ms)
        return first_no(
            (self._time.uptime_ms < open_ms, Reason.TOO_MANY_TRIES, "wait a minute"),
            (self._stamping.state is State.PRESSED, Reason.BUSY, "the stroke under way comes first"),
            (not self._log.journal.has_room, Reason.JOURNAL_FULL, "too much waits for a receipt"),
        )

    def _wrong(self, request: messages.OperatorRequest | messages.PasskeyRequest, why: str) -> No:
        tries = self._tries.setdefault(request.operator, _Tries())
        tries.wrong += 1
        if tries.wrong >= TRIES:
            tries.wrong, tries.open_ms = 0, self._time.uptime_ms + LOCKED_MS
        number = messages.TYPE_OF[type(request)]
        self._log.write(events.Refusal(message_type=number, reason=Reason.WRONG_OPERATOR))
        return No(reason=Reason.WRONG_OPERATOR, detail=why)

    def _sign_out(self) -> None:
        operator = self._memory.operator
        if operator is None:
            return
        self._stamping.close(Cause.BY_KEEPER)
        self._log.write(events.Operator(operator=operator, method=self._memory.operator_method or 0, present=False))
