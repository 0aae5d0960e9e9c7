"""One complete stamping, step by step, through real processes. The demo shows it, the tests and campaigns replay it."""

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

from dashboard.demo import cast as casting
from dashboard.demo.callers import Booth, Hands, Json, Person
from dashboard.demo.cast import BRANCH, GATEWAY, HEAD, Cast
from dashboard.demo.paper import Contract
from dashboard.demo.processes import Company
from dashboard.demo.waiting import StoryFailed, until
from firmware_protocol.errors import ProtocolError

HOST: Final = "127.0.0.1"
LINK_LIFE: Final = timedelta(hours=12)


@dataclass(slots=True)
class Stage:
    """Everything a story holds on to. `on_step` is told each step's name, its time and what came of it."""

    contract: Contract
    company: Company
    on_step: Callable[[str, int, str], None]
    cast: Cast | None = None
    people: dict[str, Person] = field(default_factory=dict)
    hands: Hands | None = None
    booth: Booth | None = None
    device_id: str = ""
    request_id: str = ""
    request: Json = field(default_factory=dict)
    ms: dict[str, int] = field(default_factory=dict)

    def person(self, username: str) -> Person:
        """Signs in at the first call."""
        if username not in self.people:
            self.people[username] = Person(
                self.company.server.ready["web"],
                ca_file=str(self.company.home / "tls" / "ca.pem"),
                username=username,
                password=self.players.passwords[username],
            )
        return self.people[username]

    @property
    def players(self) -> Cast:
        if self.cast is None:
            raise StoryFailed("set up", "nobody was cast")
        return self.cast

    @property
    def beside(self) -> Hands:
        if self.hands is None:
            raise StoryFailed("start", "nobody stands at the device")
        return self.hands

    @property
    def at_gateway(self) -> Booth:
        if self.booth is None:
            raise StoryFailed("start", "the gateway is not running")
        return self.booth

    def close(self) -> None:
        for caller in (*self.people.values(), self.hands, self.booth):
            if caller is not None:
                caller.close()


def set_up(stage: Stage) -> str:
    """An installation with its keys, and the people who use it."""
    from dashboard.cli.init import create_installation
    from server.core.clock import SystemClock
    from server.core.ports import free_port
    from server.core.rng import SystemRng
    from server.core.runtime import Runtime
    from server.core.settings import Settings

    settings = Settings(
        home=stage.company.home,
        installation=stage.contract.company,
        host=HOST,
        web_port=free_port(),
        public_port=free_port(),
        mqtt_port=free_port(),
        language=stage.contract.language,  # type: ignore[arg-type]  # one of the three, from documents.json
        demo=True,
    )
    create_installation(settings, clock=SystemClock(), rng=SystemRng())
    run = Runtime.open(Settings.load(stage.company.home))
    try:
        with run.db.write() as db:
            stage.cast = casting.assemble(db, run, stage.contract)
    finally:
        run.close()
    return f"{stage.contract.company}: 5 people, 1 seal, keys marked DEMO"


def start(stage: Stage) -> str:
    """Server, device and gateway, as processes of their own."""
    company = stage.company
    company.server.start()
    ready = company.device.start()
    stage.device_id = ready["device_id"]
    stage.hands = Hands(ready["keeper"])
    company.write_gateway(gateway_id=GATEWAY, secret=stage.players.gateway_secret)
    stage.booth = Booth(company.gateway.start()["session_url"].rstrip("/"))
    return f"server at {company.server.ready['web']}, device {stage.device_id}, gateway {GATEWAY}"


def pair(stage: Stage) -> str:
    """Six digits, compared by two people; headquarters hears which head is in the device."""
    stage.beside.post("pair", "/pairing-button")
    admin = stage.person("admin")
    booth = stage.at_gateway
    until("pair", "the gateway finding the device", lambda: booth.device("pair")["online"])
    done: list[str] = []
    pairing = threading.Thread(target=lambda: done.append(_try_pair(stage)), daemon=True)
    pairing.start()

    def shown() -> Json | None:
        found = [p for p in admin.get("pair", "/api/v1/pairings") if p["digits"] and p["state"] == "waiting"]
        return found[0] if found else None

    offered = until("pair", "six digits at headquarters", shown)
    digits = until("pair", "six digits at the device", lambda: stage.beside.get("pair", "/digits").get("digits"))
    if digits != offered["digits"]:
        raise StoryFailed("pair", f"the device shows {digits}, headquarters {offered['digits']}")
    admin.post("pair", f"/api/v1/pairings/{offered['id']}/confirm")
    stage.beside.post("pair", "/confirm-pairing")
    pairing.join(30)
    if not done or done[0] != "enrolled":
        raise StoryFailed("pair", f"the gateway reports {done[0] if done else 'nothing'}")
    until("pair", "headquarters hearing of the head", lambda: _mounted(admin))
    return f"{digits} on both sides"


def _mounted(admin: Person) -> bool:
    devices = admin.get("pair", "/api/v1/devices")
    return any(at["head_id"] == HEAD.hex() for device in devices for at in device["heads"])


def _try_pair(stage: Stage) -> str:
    try:
        return str(stage.at_gateway.post("pair", f"/api/devices/{stage.device_id}/pair")["state"])
    except StoryFailed as error:
        return error.why


def mount(stage: Stage) -> str:
    """The engraved head goes into the device before it is paired; a later change is a service by two people."""
    import base64

    png = base64.b64encode(stage.contract.seal_png).decode()
    head = {"png_base64": png, "diameter_mm": stage.contract.seal_mm, "head_id": HEAD.hex(), "slot": 0}
    stage.beside.post("mount head", "/head", head)
    return f"head {HEAD.hex()[:8]} in slot 0"


def request(stage: Stage, *, page_check: str = "before", stamping: str = "page_by_page", copies: int = 1) -> str:
    """The clerk asks for a seal on this document."""
    contract = stage.contract
    form = {
        "seal_id": str(stage.players.seal_id),
        "title": contract.title,
        "reason": "Signed by both parties; the seal completes it.",
        "places": [{"page": contract.page, "x_mm": contract.x_mm, "y_mm": contract.y_mm}],
        "copies": copies,
        "page_check": page_check,
        "stamping": stamping,
        "form": "both",
        "amount": contract.amount,
        "counterparty": contract.counterparty,
    }
    clerk = stage.person("clerk")
    files = {"document": ("document.pdf", contract.pdf, "application/pdf")}
    made = clerk.send("request", "POST", "/api/v1/requests", data={"form": json.dumps(form)}, files=files).json()
    stage.request_id = made["id"]
    stage.request = clerk.post("request", f"/api/v1/requests/{made['id']}/submit")
    return f"{stage.request['short']}: {contract.title}, page {contract.page} of {made['pages']}"


def approve(stage: Stage) -> str:
    """Somebody else, at headquarters, decides over exactly this request."""
    approver = stage.person("approver")
    seen = approver.get("approve", f"/api/v1/requests/{stage.request_id}")
    decision = {"approve": True, "digest": seen["digest"], "comment": "", "password": approver.password}
    stage.request = approver.post("approve", f"/api/v1/requests/{stage.request_id}/decisions", decision)
    if stage.request["state"] != "approved":
        raise StoryFailed("approve", f"the request is {stage.request['state']}")
    return f"by {stage.request['decisions'][0]['approver_name']}, digest {seen['digest'][:12]}"


def unlock_right(stage: Stage) -> str:
    """The keeper signs in at the device and starts the job: nonce, token, grant."""
    booth, path = stage.at_gateway, f"/api/devices/{stage.device_id}"
    booth.post("token", f"{path}/sign-in", {"username": "keeper", "pin": stage.players.keeper_pin})
    state = booth.post("token", f"{path}/start", {"request_id": stage.request_id})
    return f"up to {state['devices'][0]['session']['strokes_left']} imprint, token verified by the device"


def lay_page(stage: Stage) -> str:
    """Page on the tray: before-photo, page check, permit, unlock. Nobody taps anything."""
    stage.beside.lay(stage.contract.pdf, page=stage.contract.page)

    def ready() -> Json | None:
        session: Json = stage.at_gateway.device("lay page")["session"]
        if session["step"] == "problem":
            raise StoryFailed("lay page", f"{session['code']}: {session['text']}")
        return session if session["step"] == "ready" else None

    session = until("lay page", "the page being recognised and the latch unlocking", ready)
    return f"page {session['page']} recognised, latch free"


def press(stage: Stage) -> str:
    """The lever; the device locks, prints the code, photographs."""
    pulled = stage.beside.pull()
    if not pulled["pressed"]:
        raise StoryFailed("press", "the latch held")

    def stamped() -> bool:
        return bool(stage.at_gateway.device("press")["session"]["step"] in ("stamped", "done"))

    until("press", "the device confirming the stroke", stamped)
    return f"mechanical counter {pulled['counter']}, code printed, after-photo taken"


def into_ledger(stage: Stage) -> str:
    """Events over MQTT and photos over HTTPS, until the ledger's receipts emptied device and gateway."""

    def settled() -> Json | None:
        state: Json = stage.at_gateway.get("ledger", "/api/state")
        device = state["devices"][0]
        waiting = state["waiting"]
        here = "last_seq" in device  # a device that was just found has not said yet
        empty = here and device["acked_seq"] == device["last_seq"] and not (waiting["events"] or waiting["photos"])
        return device if empty else None

    device = until("ledger", "receipts for every event and photo", settled, timeout_s=40)
    return f"{device['last_seq']} events and their photos acknowledged"


def login_link(stage: Stage, username: str, next_path: str) -> str:
    """A path that signs this person in once. Made on this machine, by who holds the home."""
    from server.core.runtime import Runtime
    from server.core.settings import Settings
    from server.identity import service as identity

    run = Runtime.open(Settings.load(stage.company.home))
    try:
        with run.db.write() as db:
            person = stage.players.people[username]
            token = identity.make_login_link(db, run, person_id=person, next_path=next_path, life=LINK_LIFE)
    finally:
        run.close()
    return f"/login/link/{token}"


@dataclass(frozen=True, slots=True)
class Step:
    name: str
    act: Callable[[Stage], str]


OPENING: Final = (
    Step("set up", set_up),
    Step("start", start),
    Step("mount head", mount),
    Step("pair", pair),
)
STAMPING: Final = (
    Step("request", request),
    Step("approve", approve),
    Step("token", unlock_right),
    Step("lay page", lay_page),
    Step("press", press),
    Step("ledger", into_ledger),
)


def play(stage: Stage, steps: tuple[Step, ...]) -> None:
    """Raises: StoryFailed, naming the step."""
    for step in steps:
        begun = time.monotonic()
        try:
            told = step.act(stage)
        except (OSError, LookupError, ValueError, ProtocolError) as error:
            raise StoryFailed(step.name, f"{type(error).__name__}: {error}") from error
        stage.ms[step.name] = round((time.monotonic() - begun) * 1000)
        stage.on_step(step.name, stage.ms[step.name], told)


def new_stage(contract: Contract, folder: Path, on_step: Callable[[str, int, str], None]) -> Stage:
    return Stage(contract=contract, company=Company(folder), on_step=on_step)


__all__ = ["BRANCH", "OPENING", "STAMPING", "Stage", "Step", "new_stage", "play"]
