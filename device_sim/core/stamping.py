"""One grant from its token to CLOSED: photo, permit, unlock, press, code, photo (design: D1 steps 4 to 6, D5)."""

import hashlib
from dataclasses import dataclass
from typing import Final

from device_sim.core import checks
from device_sim.core.checks import Capture, No
from device_sim.core.log import Attached, EventLog
from device_sim.core.ports import CodeToPrint, NoShot, Parts, PhotoOrder, Shot
from device_sim.core.settle import trace_code, unexplained
from device_sim.core.states import Step, next_state
from device_sim.core.timekeeping import NONCE_SIZE, Timekeeper
from firmware_protocol import events, trace
from firmware_protocol.events import Body, Cause
from firmware_protocol.messages import Captured, State
from firmware_protocol.orders import Permit
from firmware_protocol.reasons import Reason
from firmware_protocol.tokens import PageCheck, Token

NO_TOKEN: Final = bytes(16)
"""PAGE_SEEN of paper for a request that is yet to be written; its stroke is 0."""
PHOTO_TRIES: Final = 3
"""Photos tried after a press before the stroke counts as not photographed."""
MAX_PHOTOS: Final = 1_024
"""Pictures that may wait for a receipt; at 1 MB each, 1 GB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _BeforePhoto:
    number: int
    token_id: bytes
    stroke: int
    nonce: bytes
    page_token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _AfterPhoto:
    number: int
    code: bytes
    tries_left: int
    printed: bool


class Stamping:
    """Every method that writes raises StorageFailed; every step that comes at the wrong time raises OutOfOrder."""

    def __init__(self, *, parts: Parts, log: EventLog, time: Timekeeper) -> None:
        self._parts = parts
        self._log = log
        self._time = time
        self._state = State.LOCKED
        self._capture: Capture | None = None
        self._before: _BeforePhoto | None = None
        self._after: _AfterPhoto | None = None
        self._closing: Cause | None = None
        self._grant_ends_ms = 0
        self._press_ends_ms = 0
        self._photos_ordered = log.memory.boot << 20  # a photo from before a restart fits no order of this one

    @property
    def state(self) -> State:
        """LOCKED reads TAMPERED or SUSPENDED when that is why nothing may begin."""
        if self._state is State.LOCKED and self._log.memory.tampered:
            return State.TAMPERED
        if self._state is State.LOCKED and self._log.memory.suspended:
            return State.SUSPENDED
        return self._state

    @property
    def strokes_left(self) -> int | None:
        """None without a grant."""
        token = self._log.memory.open_token()
        return None if token is None else token.seal.max_strokes - self._log.memory.strokes_used

    @property
    def window_ms(self) -> int:
        """How long the latch stays free from now on."""
        return max(0, self._press_ends_ms - self._time.uptime_ms)

    # --- grant --------------------------------------------------------------------------------------------------------

    def check_order(self, step: Step) -> None:
        """Raises: OutOfOrder, when `step` could not be taken now."""
        next_state(self.state, step)

    def grant(self, token: Token, *, signed: bytes, nonce_made_ms: int) -> None:
        """The token is consumed. Strokes may begin until `exi` after the challenge; each has the token's window."""
        after = next_state(self.state, Step.TOKEN_ACCEPTED)
        self._parts.tripwire.reach("before_grant")
        grant = events.Grant(
            token_id=token.token_id, token_digest=checks.digest(signed), max_strokes=token.seal.max_strokes
        )
        at_once = token.seal.page_check is PageCheck.NONE
        intent = [events.Intent(token_id=token.token_id, stroke=1)] if at_once else []
        self._log.write(*self._unexplained(), Attached(body=grant, attachment=signed), *intent)
        self._parts.tripwire.reach("after_grant")
        self._state = after
        self._closing = None
        self._grant_ends_ms = nonce_made_ms + (token.exi_s or 0) * 1000
        if at_once:
            self._release()

    def close(self, cause: Cause) -> None:
        """End the grant, whatever it is doing; a press that has begun is brought to its end first."""
        if self._state is State.LOCKED:
            return
        self._closing = cause
        if self._state is State.UNLOCKED:
            self.cancel(cause)
        elif self._state is not State.PRESSED:
            self._log.write(*self._closed(used=self._log.memory.strokes_used))
            self._go(Step.GRANT_CLOSED)

    # --- before the stroke --------------------------------------------------------------------------------------------

    def photograph_page(self) -> int | No:
        """Begin the photo of the page; answers the order's number. The rest comes with `page_photographed`."""
        scan = self._state is State.LOCKED
        self.check_order(Step.PAPER_SCANNED if scan else Step.PAGE_PHOTOGRAPHED)
        memory, camera = self._log.memory, self._parts.camera
        if self._before is not None:
            return No(reason=Reason.BUSY, detail="a photo is being taken")
        if not camera.page_present:
            return No(reason=Reason.NO_PAGE, detail="no page on the tray")
        if not self._log.journal.has_room or len(memory.photos) >= MAX_PHOTOS:
            return No(reason=Reason.JOURNAL_FULL, detail="too much waits for a receipt")
        token = memory.open_token()
        self._capture = None
        self._before = _BeforePhoto(
            number=self._next_number(),
            token_id=NO_TOKEN if token is None else token.token_id,
            stroke=0 if token is None else memory.strokes_used + 1,
            nonce=self._parts.rng.token_bytes(NONCE_SIZE),
            page_token=camera.page_token,
        )
        camera.start(PhotoOrder(number=self._before.number, strip=self._before.nonce))
        return self._before.number

    def page_photographed(self, number: int, outcome: Shot | NoShot) -> Captured | No | None:
        """PAGE_SEEN, if the photo still means something. None: this was not a photo of the page before a stroke."""
        before = self._before
        if before is None or before.number != number:
            return None
        self._before = None
        if isinstance(outcome, NoShot):
            self._log.write(events.Sensor(sensor="camera", value=0))
            return No(reason=outcome.reason, detail="no photo")
        no = self._no_longer_true(before, outcome)
        if no is not None:
            self._forget(outcome)
            return no
        return self._page_seen(before, outcome)

    def _page_seen(self, before: _BeforePhoto, shot: Shot) -> Captured:
        after = next_state(self.state, Step.PAGE_PHOTOGRAPHED if before.stroke else Step.PAPER_SCANNED)
        seen = events.PageSeen(
            token_id=before.token_id,
            stroke=before.stroke,
            preview_digest=shot.preview_digest,
            photo_digest=shot.photo_digest,
            stroke_nonce=before.nonce,
        )
        token = self._log.memory.open_token()
        unasked = token is not None and token.seal.page_check is not PageCheck.BEFORE
        intent = [events.Intent(token_id=before.token_id, stroke=before.stroke)] if unasked else []
        self._log.write(*self._unexplained(), seen, *intent)
        self._state = after
        captured = Captured(
            seq=self._log.memory.seq - len(intent),
            stroke=before.stroke,
            preview_digest=shot.preview_digest,
            photo_digest=shot.photo_digest,
            stroke_nonce=before.nonce,
        )
        if unasked:
            self._release()
        elif before.stroke:
            self._capture = Capture(
                stroke=before.stroke,
                stroke_nonce=before.nonce,
                photo_digest=shot.photo_digest,
                page_token=shot.page_token,
            )
        return captured

    def _no_longer_true(self, before: _BeforePhoto, shot: Shot) -> No | None:
        token = self._log.memory.open_token()
        stroke = 0 if token is None else self._log.memory.strokes_used + 1
        current = NO_TOKEN if token is None else token.token_id
        if (current, stroke) != (before.token_id, before.stroke) or self.state not in _PHOTO_STATES:
            return No(reason=Reason.OUT_OF_ORDER, detail="the grant changed while the photo was taken")
        if not before.page_token == shot.page_token == self._parts.camera.page_token:
            return No(reason=Reason.PAGE_MOVED, detail="the page moved while the photo was taken")
        return None

    # --- the stroke ---------------------------------------------------------------------------------------------------

    def check_permit(self, data: bytes, *, device_id: str) -> Permit | No:
        camera = self._parts.camera
        page_token = camera.page_token if camera.page_present else None
        memory = self._log.memory
        permit = checks.check_permit(
            data, memory=memory, device_id=device_id, capture=self._capture, page_token=page_token
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
        elif self._log.memory.intent is None:
            self._log.write(*self._unexplained())

    def cancel(self, cause: Cause) -> None:
        """Relock. The use comes back only if the counter did not move; if it did, this was a stroke."""
        if self._state is not State.UNLOCKED:
            return
        self._parts.latch.hold()
        if self._moved():
            self._stroke_made()
            return
        memory = self._log.memory
        token = _needed(memory.open_token())
        cancelled = events.Cancelled(
            token_id=token.token_id, stroke=memory.strokes_used + 1, cause=cause, returned=True
        )
        self._end_stroke([cancelled], used=memory.strokes_used)

    def tray_changed(self) -> None:
        """A sheet was laid, moved or taken away: what was seen is not what lies there."""
        self._capture = None
        token = self._log.memory.open_token()
        if self._state is State.PAGE_SEEN:
            self._go(Step.PAGE_MOVED)
        elif self._state is State.UNLOCKED and _needed(token).seal.page_check is not PageCheck.NONE:
            self.cancel(Cause.PAGE_MOVED)

    def tick(self) -> None:
        """Let deadlines pass."""
        now_ms = self._time.uptime_ms
        if self._state is State.UNLOCKED and now_ms >= self._press_ends_ms:
            self.cancel(Cause.TIMED_OUT)
        if self._state in (State.GRANTED, State.PAGE_SEEN) and now_ms >= self._grant_ends_ms:
            self.close(Cause.TIMED_OUT)

    # --- after the press ----------------------------------------------------------------------------------------------

    def stroke_photographed(self, number: int, outcome: Shot | NoShot) -> None:
        """DONE, with both digests and the trace code; without a photo the use stays consumed, its code withdrawn."""
        after = self._after
        if after is None or after.number != number:
            if isinstance(outcome, Shot):
                self._forget(outcome)
            return
        printed = after.printed or outcome.code_printed
        if isinstance(outcome, NoShot) and after.tries_left > 0:
            self._photograph_stroke(after.code, tries_left=after.tries_left - 1, printed=printed)
            return
        self._after = None
        self._parts.tripwire.reach("before_done")
        used = self._log.memory.strokes_used + 1
        token_id = _needed(self._log.memory.open_token()).token_id
        ended: Body
        if isinstance(outcome, Shot):
            ended = events.Done(
                token_id=token_id,
                stroke=used,
                preview_digest=outcome.preview_digest,
                photo_digest=outcome.photo_digest,
                trace_code=after.code,
            )
        else:
            ended = events.Cancelled(token_id=token_id, stroke=used, cause=Cause.SENSOR_FAILED, returned=False)
        unprinted: list[Body] = [] if printed else [events.Sensor(sensor="coder", value=0)]
        self._end_stroke([*unprinted, ended], used=used)
        self._parts.tripwire.reach("after_done")

    def _stroke_made(self) -> None:
        self._go(Step.HEAD_PRESSED)
        self._parts.latch.hold()
        self._parts.tripwire.reach("after_press")
        code = trace_code(self._log.memory, counter=self._parts.counter.read(), key=self._parts.key)
        self._photograph_stroke(code, tries_left=PHOTO_TRIES - 1, printed=False)

    def _photograph_stroke(self, code: bytes, *, tries_left: int, printed: bool) -> None:
        number = self._next_number()
        self._after = _AfterPhoto(number=number, code=code, tries_left=tries_left, printed=printed)
        terms = self._log.memory.terms
        if terms is None:  # pragma: no cover - a grant needs a paired device
            raise ValueError("a stroke needs terms")
        to_print = CodeToPrint(url=trace.url(code, host=terms.trace_host), short_code=trace.short_code(code))
        strip = hashlib.sha256(code).digest()[:NONCE_SIZE]
        self._parts.camera.start(PhotoOrder(number=number, strip=strip, code=None if printed else to_print))

    def _end_stroke(self, ended: list[Body], *, used: int) -> None:
        """The stroke's last event, presses that it does not explain, and CLOSED if that was all; in one write."""
        memory = self._log.memory
        token = _needed(memory.open_token())
        counter = self._parts.counter.read()
        by_stroke = {events.Done: 1, events.Cancelled: 0}[type(ended[-1])]
        lost = isinstance(ended[-1], events.Cancelled) and not ended[-1].returned
        moved = 0 if lost else counter - memory.counted - by_stroke
        extra = unexplained(moved, counter=counter, token_id=token.token_id)
        if used >= token.seal.max_strokes and self._closing is None:
            self._closing = Cause.USED_UP
        closed = self._closed(used=used) if self._closing is not None else []
        self._log.write(*ended, *extra, *closed)
        self._go(Step.STROKE_ENDED)
        if closed:
            self._go(Step.GRANT_CLOSED)

    # --- shared -------------------------------------------------------------------------------------------------------

    def _release(self) -> None:
        """Free the latch for one stroke; its INTENT is durable."""
        after = next_state(self.state, Step.LATCH_FREED)
        self._press_ends_ms = self._time.uptime_ms + _needed(self._log.memory.open_token()).seal.window_s * 1000
        self._capture = None
        self._parts.latch.release()
        self._state = after
        self._parts.tripwire.reach("after_unlock")

    def _moved(self) -> bool:
        intent = self._log.memory.intent
        return intent is not None and self._parts.counter.read() > intent.counter

    def _unexplained(self) -> list[Body]:
        token = self._log.memory.open_token()
        counter = self._parts.counter.read()
        token_id = None if token is None else token.token_id
        return unexplained(counter - self._log.memory.counted, counter=counter, token_id=token_id)

    def _closed(self, *, used: int) -> list[Body]:
        token = _needed(self._log.memory.open_token())
        return [events.Closed(token_id=token.token_id, strokes_used=used, cause=self._closing or Cause.BY_KEEPER)]

    def _go(self, step: Step) -> None:
        self._state = next_state(self._state, step)

    def _next_number(self) -> int:
        self._photos_ordered += 1
        return self._photos_ordered

    def _forget(self, shot: Shot) -> None:
        for digest in (shot.preview_digest, shot.photo_digest):
            if digest not in self._log.memory.photos:
                self._parts.photos.forget(digest)


_PHOTO_STATES: Final = (State.LOCKED, State.GRANTED, State.PAGE_SEEN)


def _needed(token: Token | None) -> Token:
    """The open grant's token in a state that only a grant leads to."""
    if token is None:  # pragma: no cover - next_state does not lead here
        raise ValueError("no grant is open")
    return token
