"""The keeper's page over a gateway whose devices are scripted: the page's own code is real, the cable is not there."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx
import pytest
from fastapi import FastAPI

from gateway.api import create_app
from gateway.errors import HeadOfficeRefused, NotKnownHere, OutOfOrder
from gateway.rules import facts as happened
from gateway.rules.session import Plan, Session, Step, advance
from gateway.state import session_state

JOB = {
    "request_id": "r1",
    "title": "Supply contract",
    "short": "SR-2026-0007",
    "seal_name": "Contract seal 02",
    "strokes_left": 2,
    "strokes_total": 2,
    "pages": [{"stroke": 1, "page": 1, "copy": 1}, {"stroke": 2, "page": 2, "copy": 1}],
    "expires_ms": 0,
    "mine": True,
}
PLAN = Plan(request_id="r1", title="Supply contract", pages=((1, 1), (2, 1)), spares_left=1, short="SR-2026-0007")
TOKEN = "ab" * 16
BUSY = Session(step=Step.PLACE, plan=PLAN, token_id=TOKEN, strokes_total=2, strokes_left=2, page=1)


@dataclass
class ScriptedDevice:
    device_id: str = "MAD-0001"
    session: Session = field(default_factory=Session)
    operator: dict[str, Any] | None = None
    enrolment: str = "active"
    facts: dict[str, Any] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)
    tray: Callable[[], bytes] | None = None
    """The live picture of it."""
    reminds: tuple[str, ...] = ("Ana", "Boss")
    badges: dict[str, str] = field(default_factory=lambda: {"BADGE-0042": "Lee"})

    @property
    def stamping(self) -> "ScriptedDevice":
        return self

    operators = imprints = sticking = desk = looking = cases = stamping

    async def look(self) -> bytes | None:
        return self.tray() if self.tray is not None else None

    def step(self, fact: happened.Fact) -> None:
        self.session, _todo = advance(self.session, fact)

    def picture(self, name: str) -> bytes | None:
        return self.pictures.get(name)

    async def sign_in(self, username: str, pin: str) -> dict[str, Any]:
        if pin != "4711":
            raise HeadOfficeRefused(status=401, code="wrong_pin", detail="The name or the PIN is not right.")
        self.operator = {"operator_id": "o1", "name": username.title()}
        return self.operator

    async def badge(self, badge: str) -> dict[str, Any]:
        if badge not in self.badges:
            raise NotKnownHere
        self.operator = {"operator_id": badge, "name": self.badges[badge]}
        return self.operator

    async def sign_out(self) -> None:
        self.operator = None

    async def jobs(self) -> list[dict[str, Any]]:
        return [JOB]

    async def start(self, request_id: str) -> None:
        assert request_id == PLAN.request_id
        self.step(happened.Started(plan=PLAN, token_id=TOKEN, strokes=2))

    async def start_scanned(self, code: str) -> None:
        self.asked.append(f"scanned {code}")
        if code != JOB["short"]:
            raise OutOfOrder(f"{code} is not waiting for this device.")
        await self.start(PLAN.request_id)

    async def abort(self) -> None:
        self.asked.append("abort")
        self.step(happened.Aborted())

    def give_reason(self, reason: str, text: str) -> None:
        self.asked.append(f"reason {reason} {text}")
        self.step(happened.ReasonGiven())

    def explain_alarm(self, text: str) -> None:
        self.asked.append(f"alarm {text}")
        self.step(happened.AlarmExplained())

    def choose(self, *, spoil: bool) -> None:
        self.asked.append(f"spoil {spoil}")
        self.step(happened.RedoChosen(spoil=spoil))

    async def remind(self) -> None:
        self.asked.append("remind")
        self.step(happened.CaseReminded(case_id=self.session.case_id, names=self.reminds))

    async def print(self, *, again: bool) -> None:
        self.asked.append(f"print {again}")

    def settle(self, name: str) -> None:
        self.asked.append(f"settle {name}")

    def leave(self) -> None:
        self.asked.append("leave")
        self.step(happened.LabelEnded(token_id=TOKEN, stroke=1, confirmed=False))


@dataclass
class _Settings:
    gateway_id: str = "gw-madrid"
    demo: bool = True
    server_url: str = "https://hq.example:8443/"
    listen: str = "127.0.0.1:0"


@dataclass
class ScriptedCarry:
    parcels: list[dict[str, Any]] = field(default_factory=list)
    answered: list[str] = field(default_factory=list)

    async def next(self, *, reaches: bool) -> dict[str, Any] | None:
        return self.parcels.pop() if reaches and self.parcels else None

    def answer(self, nonce: str, answer: dict[str, Any]) -> None:
        assert answer["status"] == 200
        self.answered.append(nonce)


@dataclass
class ScriptedGateway:
    devices: list[ScriptedDevice]
    uplink: bool = True
    carried: bool = False
    carry: ScriptedCarry = field(default_factory=ScriptedCarry)
    waiting: dict[str, int] = field(default_factory=lambda: {"events": 0, "photos": 0})
    settings: _Settings = field(default_factory=_Settings)
    told: dict[asyncio.Event, asyncio.AbstractEventLoop] = field(default_factory=dict)

    @property
    def changes(self) -> "ScriptedGateway":
        return self

    def join(self) -> asyncio.Event:
        event = asyncio.Event()
        self.told[event] = asyncio.get_running_loop()
        return event

    def leave(self, event: asyncio.Event) -> None:
        del self.told[event]

    def tell(self) -> None:
        """From any thread."""
        for event, loop in list(self.told.items()):
            loop.call_soon_threadsafe(event.set)

    def device(self, device_id: str) -> ScriptedDevice | None:
        return next((device for device in self.devices if device.device_id == device_id), None)

    def state(self) -> dict[str, Any]:
        return {
            "gateway_id": self.settings.gateway_id,
            "uplink": self.uplink,
            "carried": self.carried,
            "waiting": self.waiting,
            "devices": [state_of(device) for device in self.devices],
        }


def state_of(device: ScriptedDevice) -> dict[str, Any]:
    session = device.session
    facts = {
        "online": session.step is not Step.OFFLINE,
        "seen_ms": 2**53,
        "state": "locked",
        "page_present": False,
        "page_still": False,
        "cover_closed": True,
    }
    return {
        "device_id": device.device_id,
        "enrolment": device.enrolment,
        "operator": device.operator,
        **facts,
        **device.facts,
        "session": session_state(session),
    }


@pytest.fixture
def device() -> ScriptedDevice:
    return ScriptedDevice()


@pytest.fixture
def gateway(device: ScriptedDevice) -> ScriptedGateway:
    return ScriptedGateway([device])


@pytest.fixture
def app(gateway: ScriptedGateway) -> FastAPI:
    return create_app(gateway)  # type: ignore[arg-type]


@pytest.fixture
def ask(app: FastAPI) -> Callable[..., httpx.Response]:
    def send(method: str, path: str, **options: Any) -> httpx.Response:
        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8080") as client:
                return await client.request(method, path, **options)

        return anyio.run(call)

    return send
