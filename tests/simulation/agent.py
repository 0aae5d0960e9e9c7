"""One device at the office, as a model of gateway/device.py without sockets and threads: its line and its session.

Carrying: carrying.py; the keeper's work: desk.py. The session rules (gateway.rules) are the real ones.
"""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from firmware_protocol import events, messages
from firmware_protocol.messages import REPLY, TYPE_OF, Hello, Message, State, Status
from firmware_protocol.reasons import Reason
from gateway.outbox import KeptEvent
from gateway.rules import facts
from gateway.rules import session as rules
from gateway.rules.session import Do, Session, Step
from tests.simulation.carrying import Carrying
from tests.simulation.desk import Desk
from tests.simulation.stand import Stand
from tests.simulation.timeline import Failed, Talk, Tasks, Turn, Wait

if TYPE_CHECKING:
    from tests.simulation.office import Gateway

REPLY_TIMEOUT_MS: Final = 300
SLOW_TIMEOUT_MS: Final = 3_000
TRIES: Final = 4
RECONNECT_MS: Final = 500
HEARTBEAT_MS: Final = 30_000

_OF_GRANT: Final = (events.Done, events.Cancelled, events.Settled, events.Closed)

T = TypeVar("T")


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
        self.life = 0
        self._line = Turn()
        self._msg_id = 0
        self._expected: tuple[int, Wait] | None = None
        self.carrying = Carrying(self)
        self.desk = Desk(self, self.carrying)
        stand.out = lambda data: gateway.network.carry("from_device", stand.name, "", data, self.hear)
        stand.changed = self._power_changed

    # --- the line -----------------------------------------------------------------------------------------------------

    def connect(self) -> None:
        """Say hello, as often as it takes."""
        self.life += 1
        life = self.life
        ended = self.tasks.spawn(self._serve(life))

        def look() -> None:
            if not self.online and life == self.life and self.tasks.alive:
                self.office.timeline.after(RECONNECT_MS if self.stand.device else 5_000, self._again(life))

        ended.then(look)

    def _again(self, life: int) -> Callable[[], None]:
        return lambda: self.connect() if life == self.life and self.tasks.alive and not self.online else None

    def _power_changed(self, on: bool) -> None:  # noqa: FBT001 - a callback
        """A device without power is gone from its port; one with power is there again."""
        if not self.tasks.alive:
            return
        self.online = False
        if on:
            self.connect()
        else:
            self.step(facts.DeviceLost(text=""))
            if self._expected is not None:
                self._expected[1].fail("device_unreachable")

    def _serve(self, life: int) -> Talk[None]:
        self.hello = yield from self.ask(messages.HelloRequest(), Hello)
        self.saw((yield from self.ask(messages.StatusRequest(), Status)))
        self.online = True
        self._resume()
        self.tasks.spawn(self._introduce(life))
        self._beat(life)
        self.carrying.patience(life)
        self.carrying.wake_photos()

    def _beat(self, life: int) -> None:
        def beat() -> None:
            if life == self.life and self.tasks.alive and self.online:
                self.tasks.spawn(self.look())
                self._beat(life)

        self.office.timeline.after(HEARTBEAT_MS, beat)

    def look(self) -> Talk[None]:
        self.saw((yield from self.ask(messages.StatusRequest(), Status)))
        self.look_at_tray()

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
            self.saw(envelope.message.status)
            self.look_at_tray()

    def saw(self, status: Status) -> None:
        self.status = status
        if status.state is State.UNLOCKED:
            self.step(facts.LatchFree())
        self.carrying.saw(status.last_seq)

    def look_at_tray(self) -> None:
        if self.status is not None:
            self.step(facts.TrayChanged(present=self.status.page_present, still=bool(self.status.page_still)))

    def step(self, fact: facts.Fact) -> None:
        self.session, todo = rules.advance(self.session, fact)
        self.office.sessions[self.device_id] = self.session
        if Do.CAPTURE in todo:
            self.tasks.spawn(self.desk.capture())
        self.office.on_screen(self)

    def _resume(self) -> None:
        """After a restart of either side: does the device still hold the grant we opened?"""
        kept, status = self.office.sessions.get(self.device_id), self.status
        if kept is not None and not self.session.busy:
            self.session = kept
        held = status.token_id.hex() if status and status.token_id else ""
        left = status.strokes_left if status and held and held == self.session.token_id else None
        self.step(facts.DeviceBack(strokes_left=left))

    def _introduce(self, life: int) -> Talk[None]:
        while life == self.life:
            try:
                yield from self._set_clock((yield from self._tell_heads()))
            except Failed:
                yield self.sleep(5_000)
            else:
                return

    def _tell_heads(self) -> Talk[bytes]:
        """The boot nonce that the device offers beside."""
        hello = yield from self.ask(messages.HelloRequest(), Hello)
        yield self.call(partial(self.office.server.hello, self.device_id, hello.heads))
        return hello.boot_nonce

    def _set_clock(self, boot_nonce: bytes) -> Talk[None]:
        signed = yield self.call(lambda: self.office.server.signed_time(self.device_id, boot_nonce))
        self.office.network.carry("down", self.device_id, "time", signed, lambda _: None)
        yield from self.ask(messages.TimeRequest(time=signed), messages.Accepted)

    def learn(self, kept: KeptEvent) -> None:
        body = events.peek(kept.signed).body
        if isinstance(body, events.HeadChanged):
            self.tasks.spawn(self._tell_heads())
        elif isinstance(body, events.ExtraStroke):
            self.step(facts.ExtraStrokes(strokes=body.strokes))
        elif isinstance(body, _OF_GRANT) and self.session.token_id == body.token_id.hex():
            self._learn_of_grant(body)

    def _learn_of_grant(self, body: events.Done | events.Cancelled | events.Settled | events.Closed) -> None:
        match body:
            case events.Done(stroke=stroke):
                self.step(facts.StrokeDone(stroke=stroke))
                if self.status is not None and self.status.state is State.UNLOCKED:
                    self.step(facts.LatchFree())
            case events.Cancelled(cause=cause, returned=returned):
                self.step(facts.StrokeCancelled(cause=cause.name.lower(), returned=returned))
            case events.Settled(stroke=stroke, outcome=outcome):
                self.step(facts.StrokeSettled(stroke=stroke, outcome=outcome.name.lower()))
            case events.Closed(cause=cause):
                self.step(facts.GrantClosed(cause=cause.name.lower()))

    def call(self, question: Callable[[], Any]) -> Wait:
        return self.office.network.call(question)

    def sleep(self, ms: int) -> Wait:
        wait = Wait()
        self.office.timeline.after(ms, wait.set)
        return wait
