"""A keeper's desk whose device and headquarters are scripted; rules, desk and everything between are the real ones."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firmware_protocol import messages
from firmware_protocol.events import ResetCause
from firmware_protocol.messages import Feature, Hello, Message, State, Status
from gateway.bulk import PhotoStore
from gateway.carrying import Carrying
from gateway.cases import Cases
from gateway.connection import Connection, Office
from gateway.desk import Desk
from gateway.errors import DeviceRefused, GatewayError, HeadOfficeUnreachable
from gateway.imprints import Imprints
from gateway.labels.book import LabelBook
from gateway.labels.label import Label
from gateway.leafing import Leafing
from gateway.notebook import Notebook
from gateway.operators import Operators
from gateway.outbox import Outbox
from gateway.rules import facts
from gateway.rules.session import Plan, Step
from gateway.stamping import Stamping
from gateway.sticking import Sticking
from gateway.vouchers import Vouchers

DEVICE = "CB-TEST"
TOKEN = bytes(range(16))
PLAN = Plan(request_id="r1", title="Office lease", pages=((2, 1), (5, 1)), spares_left=1)
HELLO = Hello(
    proto_min=1,
    proto_max=1,
    device_id=DEVICE,
    model="SIM",
    firmware="1",
    public_key=bytes(32),
    generation=1,
    boot=3,
    reset_cause=ResetCause.POWER,
    boot_nonce=bytes(16),
    last_seq=0,
    acked_seq=0,
    chain_hash=bytes(32),
    epoch=1,
    max_message=512,
    features=int(Feature.INLINE_CODER),
    paired=True,
    counter=0,
    heads=(),
)
STATUS = Status(
    state=State.LOCKED,
    last_seq=0,
    acked_seq=0,
    counter=0,
    page_present=False,
    cover_closed=True,
    journal_free=90,
)


class Clock:
    now = 1_000_000

    def now_ms(self) -> int:
        return self.now


class Device:
    """`answers`: what the device says to a kind of request: a message, or an error to raise. Asked in order."""

    def __init__(self) -> None:
        self.answers: dict[type[Message], Message | GatewayError] = {
            messages.RelockRequest: messages.Accepted(),
            messages.StatusRequest: STATUS,
            messages.ChallengeRequest: messages.Challenge(nonce=bytes(16)),
        }
        self.asked: list[Message] = []
        self.lost = asyncio.Event()

    async def ask(self, request: Message, _reply: type[Any], *, slow: bool = False) -> Message:
        self.asked.append(request)
        if isinstance(request, messages.ReadEventRequest):
            return messages.SignedEvent(event=b"event %d" % request.seq)
        answer = self.answers.get(type(request), refusal("OUT_OF_ORDER"))
        if isinstance(answer, GatewayError):
            raise answer
        return answer

    def of(self, kind: type[Message]) -> list[Message]:
        return [request for request in self.asked if isinstance(request, kind)]


def refusal(name: str) -> DeviceRefused:
    return DeviceRefused(reason=0, name=name, detail=None)


class HeadOffice:
    """`says`: the answers to a question, the last one again and again; an error is raised."""

    def __init__(self) -> None:
        self.says: dict[str, list[Any]] = {}
        self.heard: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Callable[..., Coroutine[Any, Any, Any]]:
        async def call(*_positional: Any, **named: Any) -> Any:
            self.heard.append((name, named))
            answers = self.says.get(name)
            if not answers:
                raise HeadOfficeUnreachable(name)
            answer = answers.pop(0) if len(answers) > 1 else answers[0]
            if isinstance(answer, GatewayError):
                raise answer
            return answer() if callable(answer) else answer

        return call


class Bulk:
    async def fetch(self, digest: bytes, *, urgent: bool = False) -> bytes:
        return b"photo " + digest[:4]


class Uplink:
    connected = True

    def event(self, _device_id: str, _signed: bytes) -> bool:
        return True

    def state(self, _device_id: str, _state: dict[str, object]) -> None: ...

    def delivered(self, _device_id: str, *, kind: str, sha256: str) -> None: ...


@dataclass
class Printer:
    printed: list[Label] = field(default_factory=list)
    broken: GatewayError | None = None
    name = "printer on the desk"

    async def check(self) -> None:
        if self.broken is not None:
            raise self.broken

    async def print(self, label: Label, *, print_number: int) -> None:
        self.printed.append(label)


class Stand:
    """One device's desk. Make it inside the event loop."""

    def __init__(self, home: Path, *, printer: Printer | None = None) -> None:
        self.clock = Clock()
        self.device = Device()
        self.head_office = HeadOffice()
        self.notebook = Notebook(home / "session.db")
        self.labels = LabelBook(home / "labels.db")
        self.outbox = Outbox(home / "outbox.db")
        office = Office(
            gateway_id="gw",
            outbox=self.outbox,
            notebook=self.notebook,
            labels=self.labels,
            label_printer=printer,
            server_host="seal.example",
            photos=PhotoStore(home / "photos"),
            head_office=self.head_office,  # type: ignore[arg-type]
            uplink=Uplink(),
            clock=self.clock,
            auto=True,
            changed=lambda: None,
        )
        bulk: Any = Bulk()
        self.connection = Connection(self.clock, on_status=self._saw)
        self.connection.link = self.device  # type: ignore[assignment]
        self.connection.hello = HELLO
        self.connection.enrolment = "active"
        self.carrying = Carrying(self.connection, office, bulk, learned=lambda _kept: None)
        self.desk = Desk(self.connection, office)
        self.operators = Operators(self.desk)
        self.imprints = Imprints(self.desk, bulk, self.carrying, poll_s=0, patience=3, tell_again_s=0)
        self.sticking = Sticking(self.desk, self.labels, printer)
        self.leafing = Leafing(self.desk, bulk, self.carrying)
        self.cases = Cases(self.desk, self.carrying, poll_s=0)
        self.vouchers = Vouchers(self.desk, self.carrying)
        self.stamping = Stamping(
            self.desk, bulk, self.carrying, cases=self.cases, vouchers=self.vouchers, spare_again_s=0
        )
        self.connection.status = STATUS

    def _saw(self, status: Status, before: Status | None) -> None:
        self.stamping.saw(status, before)
        self.operators.saw(status, before)
        self.leafing.saw(status)
        self.desk.look_at_tray()

    def begin(self, plan: Plan = PLAN, **more: Any) -> None:
        self.desk.operator = {"operator_id": "p1", "name": "Kim"}
        strokes = len(plan.pages)
        self.desk.step(facts.Started(plan=plan, token_id=TOKEN.hex(), strokes=strokes, **more))

    def tray(self, *, present: bool, state: State = State.GRANTED, **more: Any) -> None:
        told = {name: getattr(STATUS, name) for name in STATUS.__slots__}
        told |= {"state": state, "page_present": present, "page_still": present} | more
        self.device.answers[messages.StatusRequest] = Status(**told)
        self.connection.saw(Status(**told))

    def lay(self) -> None:
        self.tray(present=False)
        self.tray(present=True)

    async def until(self, *steps: Step) -> None:
        """The session comes to one of `steps`; the loop gets its turn, nothing sleeps."""
        await self.until_true(lambda: self.desk.session.step in steps)

    async def until_true(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():  # noqa: ASYNC110 - whatever it waits for happens in this very loop
                await asyncio.sleep(0)

    def close(self) -> None:
        self.notebook.close()
        self.labels.close()
        self.outbox.close()


def at_desk(home: Path, work: Callable[[Stand], Coroutine[Any, Any, None]], *, printer: Printer | None = None) -> None:
    """Runs `work` at a desk of its own."""

    async def run() -> None:
        stand = Stand(home, printer=printer)
        try:
            await work(stand)
        finally:
            stand.cases.drop()
            stand.close()

    asyncio.run(run())
