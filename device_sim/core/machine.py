"""The device: messages in, replies and notices out, and what a person does to it. Sans-I/O; ports.py is its world."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from device_sim.core import settle, sweep
from device_sim.core.checks import No
from device_sim.core.display import Display
from device_sim.core.errors import OutOfOrder, StorageFailed
from device_sim.core.housing import Housing
from device_sim.core.journal import CAPACITY, RESERVE, Journal
from device_sim.core.limits import RefusalBudget
from device_sim.core.line import Line
from device_sim.core.log import EventLog, Identity
from device_sim.core.memory import NO_HEAD, Memory
from device_sim.core.pairing import Pairing
from device_sim.core.photographing import AfterPhoto, Shutter
from device_sim.core.ports import Glance, NoShot, Parts, Shot
from device_sim.core.requests import Requests
from device_sim.core.sensors import Sensors
from device_sim.core.sheets import Sheets
from device_sim.core.stamping import Stamping
from device_sim.core.timekeeping import Timekeeper
from device_sim.core.viewfinder import Viewfinder
from firmware_protocol import events, messages
from firmware_protocol.events import Body, Cause, ResetCause
from firmware_protocol.messages import Message, State
from firmware_protocol.reasons import Reason

STILL_MS: Final = 150
"""A page that did not move for so long lies still."""
RESTART_MS: Final = 1_000
"""How long after its storage failed the device tries again, as after a power cut."""
TORN_SENSOR: Final = "journal-torn"
"""SENSOR event: so many bytes of the journal were cut at boot, because a power cut had torn them."""

_SIGNED: Final = (
    messages.TokenRequest,
    messages.PermitRequest,
    messages.ReceiptRequest,
    messages.PolicyRequest,
    messages.TimeRequest,
    messages.RosterRequest,
)
"""Requests that carry a signed object; a refusal of one is an event."""


class Device:
    """The driver calls the methods one at a time, sends what `take_outgoing` gives, and calls `tick` often."""

    def __init__(
        self, *, identity: Identity, parts: Parts, cause: ResetCause = ResetCause.POWER, capacity: int = CAPACITY
    ) -> None:
        """Boots: holds the latch, folds the journal, settles what the power cut left open. Raises: StorageFailed."""
        self._identity = identity
        self._parts = parts
        self._capacity = capacity
        self._line = Line()
        self._cover_closed = True
        self._housing = Housing(parts.latch)
        self._start(cause)

    def _start(self, cause: ResetCause) -> None:
        parts = self._parts
        parts.latch.hold()
        self._journal = Journal(parts.disk, capacity=self._capacity, anew=cause is ResetCause.WATCHDOG)
        time = self._time = Timekeeper(clock=parts.clock, rng=parts.rng)
        log = self._log = EventLog(
            identity=self._identity,
            journal=self._journal,
            key=parts.key,
            counter=parts.counter,
            time=time,
            later_key=parts.later_key,
        )
        self._restart_at_ms = 0
        with self._guarded():
            self._log.write(*self._boot_events(cause))
            parts.photos.keep_only(self.memory.photos)
        sensors = self._sensors = Sensors(log, cover_closed=self._cover_closed)
        coder = self._identity.inline_coder
        shutter = self._shutter = Shutter(parts=parts, log=log)
        after = AfterPhoto(shutter=shutter, inline_coder=coder)
        stamping = self._stamping = Stamping(
            parts=parts, log=log, time=time, sensors=sensors, shutter=shutter, after=after
        )
        self._sheets = Sheets(parts=parts, log=log, stamping=stamping, shutter=shutter, inline_coder=coder)
        self._viewfinder = Viewfinder(log=log, time=time, stamping=stamping, shutter=shutter)
        self._pairing = Pairing(device_id=self._identity.device_id, parts=parts, log=log, time=time)
        self._requests = Requests(
            identity=self._identity,
            cause=cause,
            parts=parts,
            log=log,
            time=time,
            stamping=stamping,
            pairing=self._pairing,
            sensors=sensors,
            sheets=self._sheets,
            viewfinder=self._viewfinder,
        )
        self._line.begin_anew()
        self._refusals = RefusalBudget(now_ms=time.uptime_ms)
        self._tray_changed_ms = -STILL_MS
        self._last_reason: Reason | None = None
        with self._guarded():
            self._housing.begin(log=log, stamping=stamping, sensors=sensors)

    def _boot_events(self, cause: ResetCause) -> list[Body]:
        torn: list[Body] = [events.Sensor(sensor=TORN_SENSOR, value=self._journal.torn)] if self._journal.torn else []
        boot = events.Boot(cause=cause, public_key=self._log.key.public_key)
        if self.memory.boot == 0:
            return [boot, *torn]
        counter = self._parts.counter.read()
        return [boot, *torn, *settle.after_boot(self.memory, counter=counter, key=self._log.key)]

    # --- what the driver sees -----------------------------------------------------------------------------------------

    @property
    def memory(self) -> Memory:
        return self._journal.memory

    @property
    def state(self) -> State:
        return State.FAULT if self._journal.failed else self._stamping.state

    @property
    def digits(self) -> str | None:
        """Six digits on the device's display while a pairing waits for its person."""
        return self._pairing.digits

    @property
    def display(self) -> Display:
        """What the device shows to whoever stands there."""
        return Display(
            state=self.state,
            title=self._requests.title if self.memory.token else None,
            short=self._requests.short if self.memory.token else None,
            strokes_left=self._stamping.strokes_left,
            pages_swept=self._pages_swept,
            pages_expected=sweep.expected(self.memory) or None,
            digits=self.digits,
            operator=self.memory.operator,
        )

    @property
    def _pages_swept(self) -> int | None:
        return len(self.memory.swept or ()) if self.state is State.SWEEPING else None

    @property
    def status(self) -> messages.Status:
        camera, token, sensors = self._parts.camera, self.memory.open_token(), self._sensors
        return messages.Status(
            state=self.state,
            last_seq=self.memory.seq,
            acked_seq=self.memory.acked_seq,
            counter=self._parts.counter.read(),
            page_present=camera.page_present,
            cover_closed=sensors.cover_closed,
            journal_free=self._journal.free_percent,
            token_id=None if token is None else token.token_id,
            strokes_left=self._stamping.strokes_left,
            page_still=camera.page_present and self._time.uptime_ms - self._tray_changed_ms >= STILL_MS,
            uptime_ms=self._time.uptime_ms,
            battery=sensors.battery,
            temperature=sensors.temperature,
            last_reason=self._last_reason,
            operator=self.memory.operator,
            pages_swept=self._pages_swept,
            ink=sensors.ink,
        )

    def take_outgoing(self) -> list[bytes]:
        """Messages to send, in order; each is given once."""
        return self._line.take()

    # --- what happens to the device -----------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """One message from the control link. Garbage without a msg_id is not answered."""
        envelope = self._line.read(data)
        if envelope is None:
            return
        answer = self._answer(envelope.message)
        if isinstance(answer, int):
            self._line.wait(answer, data)
        else:
            self._line.reply(data, self._said(answer, envelope.message), msg_id=envelope.msg_id)
        self._line.notice(self.status)

    def photographed(self, number: int, outcome: Shot | Glance | NoShot) -> None:
        """A photo or look that the camera was told to take is there, or is not."""
        answer: messages.Captured | messages.Labelled | messages.Spoiled | messages.Looked | No | None
        answer = self._viewfinder.taken(number, outcome)
        if answer is not None or isinstance(outcome, Glance):
            self._reply_late(number, answer)
            return
        with self._noticing():
            self._shutter.delivered(number)
            try:
                answer = self._stamping.page_photographed(number, outcome)
                answer = answer or self._sheets.photographed(number, outcome)
            except (OutOfOrder, StorageFailed) as error:
                answer = self._why(error)
            if answer is None:
                self._stamping.stroke_photographed(number, outcome)
            self._reply_late(number, answer)

    def lever_pulled(self) -> None:
        """Somebody pulled the lever, with or without a press."""
        with self._noticing():
            self._stamping.lever_pulled()

    def tray_changed(self) -> None:
        """A sheet was laid, moved or taken away."""
        with self._noticing():
            self._tray_changed_ms = self._time.uptime_ms
            self._stamping.tray_changed()

    def cover_moved(self, *, closed: bool) -> None:
        """An opened cover latches TAMPERED, unless a service ordered it; closing it does not take that back."""
        with self._noticing():
            changed = self._sensors.cover_closed != closed
            self._cover_closed = self._sensors.cover_closed = closed
            if changed and self.memory.service is not None:
                if not closed and self.state is State.UNLOCKED:
                    self._stamping.cancel(Cause.TAMPERED)
                self._sensors.cover_in_service()
            elif changed and not closed:
                self._housing.tampered("cover")

    def pried(self) -> None:
        """Somebody works on the housing with a tool. Latches TAMPERED."""
        with self._noticing():
            self._housing.tampered("pry")

    def tilted(self) -> None:
        """The device was lifted or tilted. Latches TAMPERED."""
        with self._noticing():
            self._housing.tampered("motion")

    def head_seen(self, slot: int, head: bytes | None) -> None:
        """The reader in a slot sees this head now (None: none).

        To be told for every slot when the power comes on, and then at every change. A head that arrives in an empty
        slot ends the grant. One that leaves a paired device, or changes, latches TAMPERED, unless a service for that
        slot is under way.
        """
        with self._noticing():
            self._housing.head_seen(slot, head or NO_HEAD)

    def battery(self, percent: int) -> None:
        """The gauge says so now. SENSOR when it crosses a mark; always in Status."""
        with self._noticing():
            self._sensors.read_battery(percent)

    def temperature(self, kelvin: int) -> None:
        """Inside the housing. SENSOR when it leaves or enters the working range; always in Status."""
        with self._noticing():
            self._sensors.read_temperature(kelvin)

    def ink(self, percent: int) -> None:
        """The device's own estimate of its pad. SENSOR when it crosses a mark; always in Status."""
        with self._noticing():
            self._sensors.read_ink(percent)

    def press_pairing_button(self) -> bool:
        """Opens the pairing window. False: this device belongs to somebody."""
        opened = self._pairing.press_button()
        if opened:
            self._line.send(messages.PairingNotice(open=True))
        return opened

    def confirm_pairing(self) -> bool:
        """The person at the device compared the digits. False: there is nothing to confirm."""
        was_paired = self.memory.paired
        with self._noticing():
            self._pairing.confirm()
        return self.memory.paired and not was_paired

    def tick(self) -> None:
        """Let deadlines pass; call at least every 50 ms."""
        with self._noticing():
            if self._journal.failed:
                if self._time.uptime_ms >= self._restart_at_ms and self._parts.disk.free_bytes() > RESERVE:
                    self._start(ResetCause.WATCHDOG)
                return
            self._stamping.tick()
            if self._pairing.close_late():
                self._line.send(messages.PairingNotice(open=False))

    # --- answers ------------------------------------------------------------------------------------------------------

    def _answer(self, request: Message) -> Message | No | int:
        if isinstance(request, messages.StatusRequest):
            return self.status
        try:
            return self._requests.answer(request)
        except (OutOfOrder, StorageFailed) as error:
            return self._why(error)

    def _said(self, answer: Message | No, request: Message) -> Message:
        """The answer as a message; a refusal of a signed object also becomes an event."""
        if not isinstance(answer, No):
            return answer
        if not isinstance(request, messages.LookRequest):  # a look changes nothing, not even what went wrong last
            self._last_reason = answer.reason
        number = messages.TYPE_OF[type(request)]
        if isinstance(request, _SIGNED):
            self._write_refusal(answer, number)
        return messages.Refused(request_type=number, reason=answer.reason, detail=answer.detail[:120])

    def _write_refusal(self, no: No, number: int) -> None:
        """Only while there is room and not too often: garbage from the line must not fill the journal."""
        if self._journal.failed or self._journal.free_bytes < 2 * RESERVE:
            return
        if self._refusals.take(self._time.uptime_ms):
            with self._guarded():
                self._log.write(events.Refusal(message_type=number, reason=no.reason, token_id=no.token_id))

    def _why(self, error: OutOfOrder | StorageFailed) -> No:
        if isinstance(error, StorageFailed):
            self._fail()
            return No(reason=Reason.STORAGE_FAILED, detail="the device can't write; nothing moved")
        reason = _REASON_IN.get(self.state, Reason.OUT_OF_ORDER)
        return No(reason=reason, detail=str(error))

    def _fail(self) -> None:
        """The storage let us down: hold the latch and say so, until a restart finds it working."""
        self._parts.latch.hold()
        self._restart_at_ms = self._time.uptime_ms + RESTART_MS

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """A failed write leads to FAULT."""
        try:
            yield
        except StorageFailed:
            self._fail()

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        """What a step changed goes out as a notice behind its reply; a failed write leads to FAULT."""
        with self._guarded():
            yield
        self._line.notice(self.status)

    def _reply_late(self, number: int, answer: Message | No | None) -> None:
        """To whoever waits for that photo; nobody does after a restart."""
        request = self._line.waiting_for(number) if answer is not None else None
        if answer is not None and request is not None:
            envelope = messages.decode(request)
            self._line.reply(request, self._said(answer, envelope.message), msg_id=envelope.msg_id)


_REASON_IN: Final = {
    State.LOCKED: Reason.NO_GRANT,
    State.GRANTED: Reason.BUSY,
    State.PAGE_SEEN: Reason.BUSY,
    State.SWEEPING: Reason.BUSY,
    State.SERVICE: Reason.BUSY,
    State.TAMPERED: Reason.TAMPERED,
    State.FAULT: Reason.STORAGE_FAILED,
}
"""Why a step is out of order; a stroke under way or a suspension is just that."""
