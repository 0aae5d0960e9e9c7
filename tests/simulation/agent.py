"""One device at the office, as a model: device.py, carrying.py and stamping.py of gateway/ without sockets and threads.

The session rules (gateway.rules) are the real ones.
"""

import hashlib
from collections.abc import Callable, Generator
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from firmware_protocol import cbor, cose, events, messages
from firmware_protocol.labelled import from_map
from firmware_protocol.messages import REPLY, TYPE_OF, Hello, Message, State, Status
from firmware_protocol.orders import Receipt
from firmware_protocol.reasons import Reason
from firmware_protocol.tokens import Mode
from gateway.outbox import KeptEvent
from gateway.rules import facts
from gateway.rules import session as rules
from gateway.rules.session import Do, Plan, Session, Step
from tests.simulation.accounts import Order
from tests.simulation.peeking import nonce_of_permit, nonce_of_token, photos_in
from tests.simulation.stand import Stand
from tests.simulation.timeline import Failed, Tasks, Turn, Wait

if TYPE_CHECKING:
    from tests.simulation.office import Gateway

REPLY_TIMEOUT_MS: Final = 300
SLOW_TIMEOUT_MS: Final = 3_000
TRIES: Final = 4
RECONNECT_MS: Final = 500
HEARTBEAT_MS: Final = 15_000
RECEIPT_PATIENCE_MS: Final = 10_000
DOWN_TIMEOUT_MS: Final = 5_000
RETRY_UPLOAD_MS: Final = 2_000

_OF_GRANT: Final = (events.Done, events.Cancelled, events.Settled, events.Closed)

T = TypeVar("T")
Talk = Generator[Wait, Any, T]


class Agent:
    """One device at this office."""

    def __init__(self, stand: Stand, gateway: "Gateway") -> None:
        self.stand, self.office = stand, gateway
        self.device_id = stand.name
        self.tasks = Tasks()
        self.session = Session(step=Step.OFFLINE)
        self.status: Status | None = None
        self.hello: Hello | None = None
        self.online = False
        self._life = 0
        self._line, self._work, self._drain_turn = Turn(), Turn(), Turn()
        self._msg_id = 0
        self._expected: tuple[int, Wait] | None = None
        self._awaited: list[tuple[str, Callable[[bytes], bool], Wait]] = []
        self._uploading = self._asked_for_wanted = False
        self._sent_ms = 0  # when everything was sent last, or a receipt came
        self._sent_up_to = (0, 0)
        self._read_up_to = 0
        stand.out = lambda data: gateway.network.carry("from_device", stand.name, "", data, self.hear)
        stand.changed = self._power_changed

    # --- the line -----------------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Say hello, as often as it takes."""
        self._life += 1
        life = self._life
        ended = self.tasks.spawn(self._serve(life))

        def look() -> None:
            if not self.online and life == self._life and self.tasks.alive:
                self.office.timeline.after(RECONNECT_MS if self.stand.device else 5_000, self._again(life))

        ended.then(look)

    def _again(self, life: int) -> Callable[[], None]:
        return lambda: self.connect() if life == self._life and self.tasks.alive and not self.online else None

    def _power_changed(self, on: bool) -> None:  # noqa: FBT001 - a callback
        """A device without power is gone from its port; one with power is there again."""
        if not self.tasks.alive:
            return
        self.online = False
        if on:
            self.connect()
        else:
            self._step(facts.DeviceLost(text=""))
            if self._expected is not None:
                self._expected[1].fail("device_unreachable")

    def _serve(self, life: int) -> Talk[None]:
        self.hello = yield from self.ask(messages.HelloRequest(), Hello)
        self._saw((yield from self.ask(messages.StatusRequest(), Status)))
        self.online = True
        self._resume()
        self.tasks.spawn(self._introduce(life))
        self._beat(life)
        self._patience(life)
        self._wake_photos()

    def _beat(self, life: int) -> None:
        def beat() -> None:
            if life == self._life and self.tasks.alive and self.online:
                self.tasks.spawn(self._look())
                self._beat(life)

        self.office.timeline.after(HEARTBEAT_MS, beat)

    def _look(self) -> Talk[None]:
        self._saw((yield from self.ask(messages.StatusRequest(), Status)))
        self._look_at_tray()

    def ask(self, request: Message, reply: type[T], *, slow: bool = False) -> Talk[T]:
        """Stop and wait; a retry keeps its msg_id. Raises: Failed."""
        yield self._line.take()
        try:
            answer = yield from self._exchange(request, SLOW_TIMEOUT_MS if slow else REPLY_TIMEOUT_MS)
        finally:
            self._expected = None
            self._line.give()
        if isinstance(answer, messages.Refused):
            if answer.reason is Reason.JOURNAL_FULL:
                self.stand.marks.hit("journal_full_refused")
            raise Failed(answer.reason.name.lower())
        if not isinstance(answer, reply):
            raise Failed("device_unreachable")
        return answer

    def _exchange(self, request: Message, timeout_ms: int) -> Talk[Message | None]:
        self._msg_id = self._msg_id % 0x7FFF + 1
        data = messages.encode(request, msg_id=self._msg_id)
        network, timeline = self.office.network, self.office.timeline
        for _ in range(TRIES):
            wait = Wait()
            self._expected = (self._msg_id, wait)
            network.carry("to_device", self.device_id, "", data, self.stand.receive)
            timeline.after(timeout_ms, lambda wait=wait: wait.set(None))  # type: ignore[misc]
            answer: Message | None = yield wait
            if answer is not None:
                return answer
        return None

    def hear(self, data: bytes) -> None:
        if not self.tasks.alive:
            return
        envelope = messages.decode(data)
        if TYPE_OF[type(envelope.message)] & REPLY:
            if self._expected is not None and self._expected[0] == envelope.msg_id:
                self._expected[1].set(envelope.message)
        elif isinstance(envelope.message, messages.StatusNotice):
            self._saw(envelope.message.status)
            self._look_at_tray()

    def _saw(self, status: Status) -> None:
        self.status = status
        if status.state is State.UNLOCKED:
            self._step(facts.LatchFree())
        if status.last_seq > self._read_up_to:
            self.tasks.spawn(self.drain())

    def _look_at_tray(self) -> None:
        if self.status is not None:
            self._step(facts.TrayChanged(present=self.status.page_present, still=bool(self.status.page_still)))

    def _step(self, fact: facts.Fact) -> None:
        self.session, todo = rules.advance(self.session, fact)
        self.office.sessions[self.device_id] = self.session
        if Do.CAPTURE in todo:
            self.tasks.spawn(self.capture())
        self.office.on_screen(self)

    def _resume(self) -> None:
        """After a restart of either side: does the device still hold the grant we opened?"""
        kept, status = self.office.sessions.get(self.device_id), self.status
        if kept is not None and not self.session.busy:
            self.session = kept
        held = status.token_id.hex() if status and status.token_id else ""
        left = status.strokes_left if status and held and held == self.session.token_id else None
        self._step(facts.DeviceBack(strokes_left=left))

    def _introduce(self, life: int) -> Talk[None]:
        while life == self._life:
            try:
                heads = (yield from self.ask(messages.HelloRequest(), Hello)).heads
                yield self._call(partial(self.office.server.hello, self.device_id, heads))
                yield from self._set_clock()
            except Failed:
                yield self._sleep(5_000)
            else:
                return

    def _set_clock(self) -> Talk[None]:
        hello = yield from self.ask(messages.HelloRequest(), Hello)
        signed = yield self._call(lambda: self.office.server.signed_time(self.device_id, hello.boot_nonce))
        self.office.network.carry("down", self.device_id, "time", signed, lambda _: None)
        yield from self.ask(messages.TimeRequest(time=signed), messages.Accepted)

    # --- events and photos up -----------------------------------------------------------------------------------------

    def drain(self, *, at_least: int = 0) -> Talk[None]:
        """Every event the device has and this office has not, into the outbox."""
        yield self._drain_turn.take()
        fresh: list[KeptEvent] = []
        try:
            hello, status = self.hello, self.status
            if hello is None or status is None:
                return
            outbox = self.office.outbox
            safe, last = max(hello.acked_seq, status.acked_seq), max(at_least, status.last_seq)
            for seq in outbox.missing(self.device_id, 1, after=safe, up_to=last):
                answer = yield from self.ask(messages.ReadEventRequest(seq=seq), messages.SignedEvent)
                fresh.append(KeptEvent(device_id=self.device_id, generation=1, seq=seq, signed=answer.event))
            if fresh:
                self.office.outbox.keep(fresh, photos=photos_in(fresh))
                self._read_up_to = fresh[-1].seq
                self.office.kept.setdefault(self.device_id, set()).update(kept.seq for kept in fresh)
        finally:
            self._drain_turn.give()
        if fresh:
            self._send_some()
            self._wake_photos()
            for kept in fresh:
                self._learn(kept)

    def _learn(self, kept: KeptEvent) -> None:
        body = events.peek(kept.signed).body
        if isinstance(body, events.HeadChanged):
            self.tasks.spawn(self._introduce(self._life))
        elif isinstance(body, events.ExtraStroke):
            self._step(facts.ExtraStrokes(strokes=body.strokes))
        elif isinstance(body, _OF_GRANT) and self.session.token_id == body.token_id.hex():
            self._learn_of_grant(body)

    def _learn_of_grant(self, body: events.Done | events.Cancelled | events.Settled | events.Closed) -> None:
        match body:
            case events.Done(stroke=stroke):
                self._step(facts.StrokeDone(stroke=stroke))
                if self.status is not None and self.status.state is State.UNLOCKED:
                    self._step(facts.LatchFree())
            case events.Cancelled(cause=cause, returned=returned):
                self._step(facts.StrokeCancelled(cause=cause.name.lower(), returned=returned))
            case events.Settled(stroke=stroke, outcome=outcome):
                self._step(facts.StrokeSettled(stroke=stroke, outcome=outcome.name.lower()))
            case events.Closed(cause=cause):
                self._step(facts.GrantClosed(cause=cause.name.lower()))

    def _send_some(self) -> None:
        """In order; what the broker acknowledged is not safe yet, only not sent again at once."""
        if self._sent_up_to == (0, 0):
            self._sent_ms = self.office.timeline.now_ms
        for kept in self.office.outbox.after(self.device_id, self._sent_up_to, limit=64):
            if not self.office.network.up(self.device_id, "event", kept.signed, self.office.server.ledger.arrive):
                break
            self._sent_up_to = kept.place
            self.office.acknowledged(kept)
        self.office.check_outbox(self.device_id)

    def _patience(self, life: int) -> None:
        """No receipt came: everything goes up once more."""

        def look() -> None:
            if life != self._life or not self.tasks.alive:
                return
            if self.office.timeline.now_ms - self._sent_ms >= RECEIPT_PATIENCE_MS:
                self._sent_up_to = (0, 0)
                self._send_some()
            self._wake_photos()
            self._patience(life)

        self.office.timeline.after(RECEIPT_PATIENCE_MS, look)

    def _wake_photos(self) -> None:
        if not self._uploading:
            self._uploading = True
            self.tasks.spawn(self._upload()).then(self._uploaded)

    def _uploaded(self) -> None:
        self._uploading = False

    def _upload(self) -> Talk[None]:
        if not self._asked_for_wanted:
            wanted = yield self._call(partial(self.office.server.photos_wanted, self.device_id))
            self.office.outbox.owe(self.device_id, wanted)
            self._asked_for_wanted = True
        for _ in range(3):
            owed = self.office.outbox.photos_owed(self.device_id)
            for digest in owed:
                try:
                    picture = yield from self.fetch(digest)
                    yield self._call(partial(self.office.server.upload, digest, picture))
                except Failed as failed:
                    if failed.code == "photo_gone":
                        self.office.outbox.photo_gone(digest)
                        self.stand.marks.hit("photo_gone")
                    elif failed.code in ("head_office_unreachable", "device_unreachable"):
                        return
                else:
                    self.office.outbox.photo_uploaded(digest)
            if not owed:
                return
            yield self._sleep(RETRY_UPLOAD_MS)

    def fetch(self, digest: bytes) -> Talk[bytes]:
        """A picture over the bulk link. Raises: Failed."""
        if digest not in self.office.photos:
            yield self._sleep(120)
            if self.stand.device is None:
                raise Failed("device_unreachable")
            if digest not in self.stand.tray.pictures:
                raise Failed("photo_gone")
            self.office.photos[digest] = self.stand.tray.pictures[digest]
        return self.office.photos[digest]

    # --- orders down --------------------------------------------------------------------------------------------------

    def down(self, kind: str, payload: bytes) -> None:
        for wanted, fits, wait in list(self._awaited):
            if wanted == kind and fits(payload):
                wait.set(payload)
        if kind in ("receipt", "policy"):
            self.tasks.spawn(self._relay(kind, payload))
        else:
            self._delivered(payload)

    def _relay(self, kind: str, payload: bytes) -> Talk[None]:
        if kind == "policy":
            try:
                yield from self.ask(messages.PolicyRequest(policy=payload), messages.Accepted)
            except Failed as failed:
                if failed.code != "old_epoch":  # a later one is obeyed already
                    raise
            self._delivered(payload)
            return
        yield from self.ask(messages.ReceiptRequest(receipt=payload), messages.Accepted)
        self.settle(from_map(Receipt, cbor.decode_map(cose.parse1(payload).payload)))
        self._delivered(payload)

    def settle(self, receipt: Receipt) -> None:
        """The device itself accepted it: only now may this office forget."""
        self.office.outbox.settle(
            receipt.device_id, receipt.generation, receipt.up_to_seq, photos=receipt.photo_digests
        )
        for digest in receipt.photo_digests:
            self.office.photos.pop(digest, None)
        self._sent_ms = self.office.timeline.now_ms
        self.office.check_outbox(self.device_id)

    def _delivered(self, payload: bytes) -> None:
        digest = hashlib.sha256(payload).digest()
        self.office.network.up(self.device_id, "ack", digest, self.office.server.delivered)

    def _await_down(self, kind: str, fits: Callable[[bytes], bool], ask: Callable[[], Wait]) -> Talk[tuple[Any, bytes]]:
        """(headquarters' answer, the signed bytes). The same question brings the same bytes again. Raises: Failed."""
        arrived = Wait()
        awaited = (kind, fits, arrived)
        self._awaited.append(awaited)
        try:
            for _ in range(2):
                answer = yield ask()
                if isinstance(answer, tuple) and not answer[1]:
                    return answer, b""
                if not arrived.done:
                    self.office.timeline.after(DOWN_TIMEOUT_MS, lambda arrived=arrived: arrived.set(None))  # type: ignore[misc]
                payload = yield arrived
                if payload is not None:
                    return answer, payload
                arrived = Wait()
                self._awaited.remove(awaited)
                awaited = (kind, fits, arrived)
                self._awaited.append(awaited)
        finally:
            self._awaited.remove(awaited)
        raise Failed("head_office_unreachable")

    # --- the keeper's session -----------------------------------------------------------------------------------------

    def start(self, order: Order) -> Talk[None]:
        """Challenge, token, grant. Raises: Failed."""
        if self.session.busy and self.session.step is not Step.DONE:
            raise Failed("out_of_order")
        if self.session.alarm:
            self._step(facts.AlarmExplained())
        yield self._work.take()
        try:
            yield from self._start(order)
        finally:
            self._work.give()
        self._look_at_tray()

    def _start(self, order: Order) -> Talk[None]:
        if self.status is not None and self.status.token_id is not None:
            yield from self.ask(messages.RelockRequest(close_grant=True), messages.Accepted)
        nonce = (yield from self.ask(messages.ChallengeRequest(), messages.Challenge)).nonce
        issued, token = yield from self._await_down(
            "token",
            lambda data: nonce_of_token(data) == nonce,
            lambda: self._call(lambda: self.office.server.token(self.device_id, order.number, nonce)),
        )
        request = messages.TokenRequest(token=token, title="a job")
        granted = yield from self.ask(request, messages.Granted, slow=True)
        claims = issued.token
        plan = Plan(
            request_id=str(order.number),
            title="a job",
            pages=tuple((page, 1) for page in issued.plan),
            mode="continuous" if claims.seal.mode & Mode.CONTINUOUS else "batch",
            page_check=claims.seal.page_check.name.lower(),
        )
        started = facts.Started(plan=plan, token_id=granted.token_id.hex(), strokes=granted.strokes_left)
        self._step(started)
        self._saw((yield from self.ask(messages.StatusRequest(), Status)))

    def capture(self) -> Talk[None]:
        """Photograph, have it judged, free the latch for one stroke."""
        yield self._work.take()
        try:
            if not self.session.busy or self.session.step in (Step.READY, Step.DONE):
                return
            yield from self._photograph_and_unlock()
        except Failed as failed:
            self._step(facts.WentWrong(code=failed.code, text=""))
        finally:
            self._work.give()

    def _photograph_and_unlock(self) -> Talk[None]:
        seen = yield from self.ask(messages.CaptureRequest(), messages.Captured, slow=True)
        if self.session.plan is not None and self.session.plan.unchecked:
            yield from self._look()  # no permit is asked for: the device frees the latch by itself
            return
        self._step(facts.PhotoTaken())
        yield from self.drain(at_least=seen.seq)
        event = self.office.outbox.event(self.device_id, 1, seen.seq)
        if event is None:
            event = (yield from self.ask(messages.ReadEventRequest(seq=seen.seq), messages.SignedEvent)).event
        preview = yield from self.fetch(seen.preview_digest)
        answer, permit = yield from self._await_down(
            "permit",
            lambda data: nonce_of_permit(data) == seen.stroke_nonce,
            lambda: self._call(lambda: self.office.server.permit(self.device_id, event, preview)),
        )
        self._step(facts.PageJudged(answer=answer[0], reason="differs", page=0))
        if permit:
            yield from self.ask(messages.PermitRequest(permit=permit), messages.Unlocked, slow=True)
            self._step(facts.LatchFree())

    def abort(self) -> Talk[None]:
        """Lock first, always."""
        self._step(facts.Aborted())
        yield from self.ask(messages.RelockRequest(close_grant=True), messages.Accepted)

    def _call(self, question: Callable[[], Any]) -> Wait:
        return self.office.network.call(question)

    def _sleep(self, ms: int) -> Wait:
        wait = Wait()
        self.office.timeline.after(ms, wait.set)
        return wait
