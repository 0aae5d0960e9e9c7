"""One grant from its token to CLOSED: sweep, photo, permit, unlock, press, code, photo (design: D1 steps 4 to 6, D5).

The sample of a service goes the same way, without a permit.
"""

from typing import Final

from device_sim.core import checks, rights, service, sweep
from device_sim.core.checks import Capture, No
from device_sim.core.log import Attached, EventLog
from device_sim.core.memory import Memory
from device_sim.core.photographing import AfterPhoto, Look, Shutter
from device_sim.core.ports import NoShot, Parts, Shot
from device_sim.core.sensors import Sensors
from device_sim.core.settle import trace_code, unexplained
from device_sim.core.states import Step, next_state
from device_sim.core.timekeeping import NONCE_SIZE, Timekeeper
from device_sim.core.work import Work
from firmware_protocol import events
from firmware_protocol.events import Body, Cause, ServiceStage
from firmware_protocol.messages import Captured, State, Swept
from firmware_protocol.orders import Permit
from firmware_protocol.reasons import Reason
from firmware_protocol.tokens import PageCheck, Token

NO_TOKEN: Final = bytes(16)
"""PAGE_SEEN of paper for a request that is yet to be written; its stroke is 0."""


class Stamping:
    """Every method that writes raises StorageFailed; every step that comes at the wrong time raises OutOfOrder."""

    def __init__(
        self, *, parts: Parts, log: EventLog, time: Timekeeper, sensors: Sensors, shutter: Shutter, after: AfterPhoto
    ) -> None:
        self._parts = parts
        self._log = log
        self._time = time
        self._sensors = sensors
        self._shutter = shutter
        self._after = after
        self._state = State.LOCKED
        self._capture: Capture | None = None
        self._look: Look | None = None
        self._swept_page: int | None = None  # the tray's page token at the last photo of the sweep
        self._swept_told: events.PagesSwept | None = None
        self._closing: Cause | None = None
        self._ends_ms = 0
        self._press_ends_ms = 0

    @property
    def _memory(self) -> Memory:
        return self._log.memory

    @property
    def state(self) -> State:
        """LOCKED reads TAMPERED or SUSPENDED when that is why nothing may begin; so does a service after tamper."""
        if self._state in (State.LOCKED, State.SERVICE) and self._memory.tampered:
            return State.TAMPERED
        if self._state is State.LOCKED and self._memory.suspended:
            return State.SUSPENDED
        return self._state

    @property
    def strokes_left(self) -> int | None:
        """None without a grant."""
        work = self._memory.work
        return None if work is None or work.is_sample else work.max_strokes - self._memory.strokes_used

    @property
    def window_ms(self) -> int:
        """How long the latch stays free from now on."""
        return max(0, self._press_ends_ms - self._time.uptime_ms)

    # --- grant and service --------------------------------------------------------------------------------------------

    def check_order(self, step: Step) -> None:
        """Raises: OutOfOrder, when `step` could not be taken now."""
        next_state(self.state, step)

    def grant(self, token: Token, *, signed: bytes, ends_ms: int) -> None:
        """The token is consumed. Strokes may begin until `ends_ms` of uptime; each has the token's window."""
        after = next_state(self.state, Step.TOKEN_ACCEPTED)
        work = Work.granted(token)
        self._parts.tripwire.reach("before_grant")
        grant = events.Grant(
            token_id=token.token_id, token_digest=checks.digest(signed), max_strokes=token.seal.max_strokes
        )
        at_once = work.continuous and not work.sweep
        intent = [events.Intent(token_id=token.token_id, stroke=1)] if at_once else []
        self._log.write(*self._unexplained(), Attached(body=grant, attachment=signed), *intent)
        self._parts.tripwire.reach("after_grant")
        self._state = after
        self._closing = None
        self._ends_ms = ends_ms
        if work.sweep:
            self._swept_page, self._swept_told = None, None
            self._go(Step.SWEEP_BEGUN)
        if at_once:
            self._release()

    def begin_service(self) -> None:
        """SERVICE begun is durable: the cover may open, and a sample is owed."""
        self._go(Step.SERVICE_BEGUN)
        self._closing = None
        self._ends_ms = self._time.uptime_ms + service.SERVICE_MS

    def close(self, cause: Cause) -> None:
        """End the grant or service, whatever it is doing; a press that has begun is brought to its end first."""
        if self._state is State.LOCKED:
            return
        self._closing = cause
        if self._state is State.UNLOCKED:
            self.cancel(cause)
        elif self._state is State.SERVICE:
            self._log.write(*service.expired(self._memory, cover_closed=self._sensors.cover_closed))
            self._go(Step.SERVICE_ENDED)
        elif self._state is not State.PRESSED:
            self._log.write(*self._closed(used=self._memory.strokes_used))
            self._go(Step.GRANT_CLOSED)

    # --- before the stroke --------------------------------------------------------------------------------------------

    def photograph_page(self) -> int | No:
        """Begin the photo of the page; answers the order's number. The rest comes with `page_photographed`."""
        step, memory = _PHOTO_STEP.get(self._state, Step.PAGE_PHOTOGRAPHED), self._memory
        self.check_order(step)
        no = self._shutter.check() or service.check_sample(memory, cover_closed=self._sensors.cover_closed)
        if no is not None:
            return no
        work, page_token = memory.work, self._parts.camera.page_token
        leafing = step is Step.PAGE_LEAFED
        nonce = self._parts.rng.token_bytes(NONCE_SIZE)
        self._capture = None
        self._look = Look(
            number=self._shutter.start(nonce),
            token_id=NO_TOKEN if work is None else work.token_id,
            stroke=0 if work is None or leafing else memory.strokes_used + 1,
            nonce=nonce,
            page_token=page_token,
            page=sweep.next_page(memory, same_sheet=self._swept_page == page_token) if leafing else None,
        )
        return self._look.number

    def page_photographed(self, number: int, outcome: Shot | NoShot) -> Captured | No | None:
        """PAGE_SEEN, if the photo still means something. None: this was not a photo of the page before a stroke."""
        look = self._look
        if look is None or look.number != number:
            return None
        self._look = None
        if isinstance(outcome, NoShot):
            self._log.write(events.Sensor(sensor="camera", value=0))
            return No(reason=outcome.reason, detail="no photo")
        no = self._no_longer_true(look) or self._shutter.moved(outcome, page_token=look.page_token)
        if no is not None:
            self._shutter.forget(outcome)
            return no
        return self._page_seen(look, outcome)

    def drop_capture(self) -> None:
        """What was photographed counts no longer."""
        self._capture = None
        if self._state is State.PAGE_SEEN:
            self._go(Step.PAGE_MOVED)

    def end_sweep(self) -> Swept | No:
        """PAGES_SWEPT is durable; with pages missing the sweep goes on. Asked again with nothing new, it is not
        written again.
        """
        self.check_order(Step.SWEEP_ENDED)
        told = sweep.told(self._memory)
        if isinstance(told, No):
            return told
        if self._shutter.busy:
            return No(reason=Reason.BUSY, detail="a photo is being taken")
        if told != self._swept_told:
            work = self._memory.work
            at_once = work is not None and work.continuous and told.seen >= told.expected
            intent = [events.Intent(token_id=told.token_id, stroke=1)] if at_once else []
            self._parts.tripwire.reach("before_swept")
            self._log.write(told, *intent)
            self._parts.tripwire.reach("after_swept")
            self._swept_told = told
            if told.seen >= told.expected:
                self._go(Step.SWEEP_ENDED)
            if at_once:
                self._release()
        return Swept(seen=told.seen, expected=told.expected, digest=told.digest)

    def _page_seen(self, look: Look, shot: Shot) -> Captured:
        step = _PHOTO_STEP.get(self._state, Step.PAGE_PHOTOGRAPHED)
        after, work, seen = next_state(self.state, step), self._memory.work, look.seen(shot)
        unasked = look.stroke > 0 and work is not None and work.page_check is not PageCheck.BEFORE
        intent = [events.Intent(token_id=look.token_id, stroke=look.stroke)] if unasked else []
        self._log.write(*self._unexplained(), seen, *intent)
        self._state = after
        captured = Captured(
            seq=self._memory.seq - len(intent),
            stroke=look.stroke,
            preview_digest=shot.preview_digest,
            photo_digest=shot.photo_digest,
            stroke_nonce=look.nonce,
        )
        if step is Step.PAGE_LEAFED:
            self._swept_page = shot.page_token
        if unasked:
            self._release()
        elif look.stroke:
            self._capture = Capture(
                stroke=look.stroke,
                stroke_nonce=look.nonce,
                photo_digest=shot.photo_digest,
                page_token=shot.page_token,
            )
        return captured

    def _no_longer_true(self, look: Look) -> No | None:
        work = self._memory.work
        leafing = self._state is State.SWEEPING
        stroke = 0 if work is None or leafing else self._memory.strokes_used + 1
        current = NO_TOKEN if work is None else work.token_id
        if (current, stroke) != (look.token_id, look.stroke) or self.state not in _PHOTO_STATES:
            return No(reason=Reason.OUT_OF_ORDER, detail="the grant changed while the photo was taken")
        return None

    # --- the stroke ---------------------------------------------------------------------------------------------------

    def check_permit(self, data: bytes, *, device_id: str) -> Permit | No:
        camera = self._parts.camera
        page_token = camera.page_token if camera.page_present else None
        permit = rights.check_permit(
            data, memory=self._memory, device_id=device_id, capture=self._capture, page_token=page_token
        )
        if isinstance(permit, Permit) and not self._log.journal.has_room:
            return No(reason=Reason.JOURNAL_FULL, detail="too much waits for a receipt", token_id=permit.token_id)
        return permit

    def unlock(self, permit: Permit, *, signed: bytes) -> None:
        """INTENT is durable before the latch moves."""
        self.check_order(Step.LATCH_FREED)
        intent = events.Intent(
            token_id=permit.token_id, stroke=permit.stroke, permit_digest=checks.digest(signed), page=permit.page
        )
        self._parts.tripwire.reach("before_intent")
        self._log.write(*self._unexplained(), intent)
        self._parts.tripwire.reach("after_intent")
        self._release()

    def lever_pulled(self) -> None:
        """The keeper pulled the lever; whether the head came down, the counter says."""
        if self._state is State.UNLOCKED and self._moved():
            self._stroke_made()
        elif self._memory.intent is None:
            self._log.write(*self._unexplained())

    def cancel(self, cause: Cause) -> None:
        """Relock. The use comes back only if the counter did not move; if it did, this was a stroke."""
        if self._state is not State.UNLOCKED:
            return
        self._parts.latch.hold()
        if self._moved():
            self._stroke_made()
            return
        used = self._memory.strokes_used
        cancelled = events.Cancelled(
            token_id=_needed(self._memory).token_id, stroke=used + 1, cause=cause, returned=True
        )
        self._end_stroke([cancelled], used=used)

    def tray_changed(self) -> None:
        """A sheet was laid, moved or taken away: what was seen is not what lies there."""
        self.drop_capture()
        if self._state is State.UNLOCKED and not _needed(self._memory).continuous:
            self.cancel(Cause.PAGE_MOVED)

    def tick(self) -> None:
        """Let deadlines pass."""
        now_ms = self._time.uptime_ms
        if self._state is State.UNLOCKED and now_ms >= self._press_ends_ms:
            self.cancel(Cause.TIMED_OUT)
        if self._state in _WAITING and now_ms >= self._ends_ms:
            self.close(Cause.TIMED_OUT)

    # --- after the press ----------------------------------------------------------------------------------------------

    def stroke_photographed(self, number: int, outcome: Shot | NoShot) -> None:
        """DONE, with both digests and the trace code; without a photo the use stays consumed, its code withdrawn."""
        if not self._after.is_it(number):
            if isinstance(outcome, Shot):
                self._shutter.forget(outcome)
            return
        ended = self._after.take(outcome, self._memory)
        if not ended:
            return
        self._parts.tripwire.reach("before_done")
        self._end_stroke(ended, used=self._memory.strokes_used + 1)
        self._parts.tripwire.reach("after_done")
        work = self._memory.work
        done = isinstance(ended[-1], events.Done)
        if done and work is not None and work.continuous and self._state is State.GRANTED:
            self._unlock_next(work)

    def _unlock_next(self, work: Work) -> None:
        """Continuous mode goes on by itself, while there is room to write it down."""
        if self._log.journal.has_room:
            self._log.write(events.Intent(token_id=work.token_id, stroke=self._memory.strokes_used + 1))
            self._release()

    def _stroke_made(self) -> None:
        self._go(Step.HEAD_PRESSED)
        self._parts.latch.hold()
        self._parts.tripwire.reach("after_press")
        code = trace_code(self._memory, counter=self._parts.counter.read(), key=self._log.key)
        self._after.start(code, self._memory)

    def _end_stroke(self, ended: list[Body], *, used: int) -> None:
        """The stroke's last event, presses that it does not explain, and CLOSED if that was all; in one write."""
        memory, work, last = self._memory, _needed(self._memory), ended[-1]
        counter = self._parts.counter.read()
        lost = isinstance(last, events.Cancelled) and not last.returned
        moved = 0 if lost else counter - memory.counted - isinstance(last, events.Done)
        extra = unexplained(moved, counter=counter, token_id=work.token_id)
        if used >= work.max_strokes or (work.is_sample and isinstance(last, events.Done)):
            self._closing = self._closing or Cause.USED_UP
        over = self._closing is not None
        closed = self._closed(used=used, done=isinstance(last, events.Done)) if over else []
        self._log.write(*ended, *extra, *closed)
        self._go(Step.SAMPLE_ENDED if work.is_sample else Step.STROKE_ENDED)
        if over:
            self._go(Step.SERVICE_ENDED if work.is_sample else Step.GRANT_CLOSED)

    # --- shared -------------------------------------------------------------------------------------------------------

    def _release(self) -> None:
        """Free the latch for one stroke; its INTENT is durable."""
        after = next_state(self.state, Step.LATCH_FREED)
        self._press_ends_ms = self._time.uptime_ms + _needed(self._memory).window_s * 1000
        self._capture = None
        self._parts.latch.release()
        self._state = after
        self._parts.tripwire.reach("after_unlock")

    def _moved(self) -> bool:
        intent = self._memory.intent
        return intent is not None and self._parts.counter.read() > intent.counter

    def _unexplained(self) -> list[Body]:
        work = self._memory.work
        counter = self._parts.counter.read()
        token_id = None if work is None else work.token_id
        return unexplained(counter - self._memory.counted, counter=counter, token_id=token_id)

    def _closed(self, *, used: int, done: bool = False) -> list[Body]:
        """What ends the grant; for a sample, what ends the service."""
        sample = self._memory.service
        if sample is None:
            token_id = _needed(self._memory).token_id
            return [events.Closed(token_id=token_id, strokes_used=used, cause=self._closing or Cause.BY_KEEPER)]
        if done:
            return [service.ended(sample, stage=ServiceStage.ENDED)]
        return service.expired(self._memory, cover_closed=self._sensors.cover_closed)

    def _go(self, step: Step) -> None:
        self._state = next_state(self._state, step)


_PHOTO_STATES: Final = (State.LOCKED, State.GRANTED, State.PAGE_SEEN, State.SWEEPING, State.SERVICE)
_WAITING: Final = (State.GRANTED, State.PAGE_SEEN, State.SWEEPING, State.SERVICE)
_PHOTO_STEP: Final = {State.LOCKED: Step.PAPER_SCANNED, State.SWEEPING: Step.PAGE_LEAFED}


def _needed(memory: Memory) -> Work:
    """The open grant or sample, in a state that only one of them leads to."""
    work = memory.work
    if work is None:  # pragma: no cover - next_state does not lead here
        raise ValueError("no grant is open")
    return work
