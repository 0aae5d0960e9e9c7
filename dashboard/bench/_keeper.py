"""A keeper with modelled hands at a real device: every second of a hand is added up, every wait is measured."""

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from dashboard.bench._paper_stack import Document
from dashboard.demo.callers import Json
from dashboard.demo.story import Stage
from dashboard.demo.waiting import StoryFailed, until

HANDS: Final = {
    "fetch": 4.0,  # take the next document, find the first page to stamp
    "lay": 3.0,
    "press": 1.5,
    "lift": 1.5,
    "tap": 1.5,  # read the screen and tap once
    "badge": 3.0,  # step up, hold the badge to the reader
    "pin": 9.0,  # type name and PIN
    "print": 30.0,  # walk to the printer for a fresh page
    "clear": 20.0,  # open the lid, take the jammed sheet out, close it
}
"""Seconds; lay, press and lift are the budget of the design, the others are guesses on the slow side."""
PATIENCE_S: Final = 300.0
"""Longest a step may take before the replay gives up: a machine busy with other things is no failure."""
AGAIN_S: Final = 1.0
"""Between two taps on what did not work the first time."""
_TOLD: Final = ("step", "code", "text", "busy", "page", "strokes_left", "strokes_total", "page_used", "sheet", "owed")
"""Of the session, when a step does not come to an end."""
_TOLD_OF_DEVICE: Final = ("online", "state", "page_present", "page_still", "counter", "last_seq", "acked_seq")


@dataclass(slots=True)
class Tally:
    """The keeper's day. `seconds` is hands and waits together; `first` and `next` are seconds per imprint."""

    seconds: float = 0.0
    waited: float = 0.0
    taps: int = 0
    documents: int = 0
    imprints: int = 0
    interruptions: int = 0
    offline_documents: int = 0
    first: list[float] = field(default_factory=list)
    next: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def hand(self, what: str) -> None:
        self.seconds += HANDS[what]
        self.taps += what == "tap"

    @contextmanager
    def wait(self) -> Iterator[None]:
        begun = time.monotonic()
        try:
            yield
        finally:
            self.seconds += time.monotonic() - begun
            self.waited += time.monotonic() - begun

    def interrupted(self, what: str) -> None:
        self.interruptions += 1
        self.notes.append(f"{self.seconds / 60:.1f} min: {what}")

    @staticmethod
    def model() -> str:
        return ", ".join(f"{what} {seconds:g} s" for what, seconds in HANDS.items())


class Keeper:
    """Does what the page says, step after step."""

    def __init__(self, stage: Stage, tally: Tally, *, patience_s: float = PATIENCE_S, again_s: float = AGAIN_S) -> None:
        self.tally = tally
        self._stage = stage
        self._patience_s = patience_s
        self._again_s = again_s
        self._pressed = False  # the sheet on the tray carries a fresh imprint
        self._request = ""
        self._path = f"/api/devices/{stage.device_id}"

    def sign_in(self) -> None:
        with self._telling("sign in"):
            self._tap("pin", "sign-in", {"username": "keeper", "pin": self._stage.players.keeper_pin})

    def hand_over(self, badge: str) -> None:
        """Somebody else goes on at the device."""
        self.tally.interrupted("hand-over at noon")
        with self._telling("hand-over"):
            self._tap("badge", "badge", {"badge": badge})

    def stamp(self, document: Document, request: str, *, mishap: str) -> None:
        """All imprints of one document. Raises: StoryFailed, with document, step and what the page shows."""
        planned = f" (planned: {mishap})" if mishap else ""
        with self._telling(f"document {self.tally.documents + 1}, {document.title}{planned}"):
            self._stamp(document, request, mishap)

    def _stamp(self, document: Document, request: str, mishap: str) -> None:
        tally, begun = self.tally, self.tally.seconds
        self._request = request
        self._tap("tap", "start", {"request_id": request})
        tally.hand("fetch")
        self._pressed, disturbed, records = False, False, tally.first
        while True:
            session = self._settled()
            step = session["step"]
            if self._pressed and step in {"stamped", "done"}:
                self._lift()
                if not disturbed:
                    records.append(tally.seconds - begun)
                begun, disturbed, records = tally.seconds, False, tally.next
            if step == "done":
                break
            if step == "place":
                self._lay(document, session, mishap)
            elif step == "ready":
                self._press(mishap)
            elif step != "stamped":
                disturbed = True
                self._unusual(step, session, document)
            if mishap and step in {"place", "ready"}:
                disturbed, mishap = True, self._left_of(mishap, step)
        tally.documents += 1
        self._tap("tap", "abort", {})

    def _tap(self, hand: str, action: str, body: Json) -> None:
        """A button of the page; "try again in a moment" means another tap."""
        last = time.monotonic() + self._patience_s
        while True:
            self.tally.hand(hand)
            try:
                with self.tally.wait():
                    self._stage.at_gateway.post(action, f"{self._path}/{action}", body)
            except StoryFailed as error:
                if action == "start" and self._open(body["request_id"]):
                    return  # only the answer was late
                if time.monotonic() > last:
                    raise
                self.tally.interrupted(error.why)
                with self.tally.wait():
                    threading.Event().wait(self._again_s)
            else:
                return

    def _open(self, request: str) -> bool:
        session = self._session()
        return bool(session["busy"] and session["request_id"] == request)

    def _lift(self) -> None:
        self.tally.hand("lift")
        self._post("/take-away", {})
        self._pressed = False

    @staticmethod
    def _left_of(mishap: str, step: str) -> str:
        """A mishap happens once."""
        return "" if (mishap == "wrong_page") == (step == "place") else mishap

    def _lay(self, document: Document, session: Json, mishap: str) -> None:
        pages = [page for page, _, _ in document.places]
        page = int(session["page"]) or pages[0]
        if mishap == "wrong_page":
            page = next(number for number in range(1, document.pages + 1) if number not in pages or number != page)
            self.tally.interrupted(f"wrong page laid: {page}")
        self.tally.hand("lay")
        self._post("/lay", {"pdf_base64": base64.b64encode(document.pdf).decode(), "page": page})
        with self.tally.wait():
            self._until(
                f"the page being noticed at step {session['step']}",
                lambda now: now["step"] != session["step"] or now["last_seq"] > session["last_seq"],
            )
            self._until("the page being judged", lambda now: now["step"] not in {"place", "checking"})

    def _press(self, mishap: str) -> None:
        if mishap == "faint":
            self._post("/fault", {"name": "faint_imprint"})
        if mishap == "jam":
            self._post("/fault", {"name": "latch_sticks"})
        self.tally.hand("press")
        pressed = self._stage.beside.pull()["pressed"]
        if not pressed:
            self.tally.interrupted("the lever jammed")
            self.tally.hand("clear")
            self._post("/fault", {"name": "none"})
            self._lift()
            with self.tally.wait():
                self._until("the jammed stroke being given up", lambda now: now["step"] != "ready")
            return
        self.tally.imprints += 1
        self._pressed = True
        with self.tally.wait():
            self._until("the press being seen", lambda now: now["step"] not in {"ready", "place", "checking"})
        if mishap == "faint":
            self._wait_for_redo()

    def _wait_for_redo(self) -> None:
        """One look at the paper: nothing more is laid before its photo was looked at, or nobody says anything."""
        try:
            with self.tally.wait():
                self._until("the faint imprint being seen", lambda now: now["step"] == "redo")
        except StoryFailed:
            self.tally.interrupted("nobody said in time that an imprint is faint; whoever reviews it finds out")

    def _unusual(self, step: str, session: Json, document: Document) -> None:
        match step:
            case "problem" if not session["busy"]:
                self._begin_again(session)
            case "problem":
                self.tally.interrupted(f"the page said: {session['code']}")
                self._lift()
                page = int(session["page"]) if session["page"] else document.places[0][0]
                self._lay(document, session | {"page": self._planned(session) or page}, "")
            case "redo":
                self.tally.interrupted("a faint imprint: sheet cancelled, spare taken")
                self._tap("tap", "redo", {"spoil": True})
                with self.tally.wait():
                    self._until("the choice being taken", lambda now: now["step"] != "redo")
            case "spoil":
                self._spoil(session)
            case _:
                raise StoryFailed("workday", f"the page shows {step}: {session['code']} {session['text']}")

    def _begin_again(self, session: Json) -> None:
        """The job is closed, for now: back to the list, and picked once more."""
        self.tally.interrupted(f"the job was closed: {session['code']}")
        self._lift()
        self._tap("tap", "abort", {})
        self._tap("tap", "start", {"request_id": self._request})

    def _spoil(self, session: Json) -> None:
        """The sheet stays, or goes back on the tray, and is cancelled there; a fresh page comes from the printer."""
        if session["sheet"] == 0 or session["sheet"] != session["redo"][0]["stroke"]:
            self.tally.hand("lay")
            self._post("/lay", {"again": True})
        with self.tally.wait():
            self._until("the sheet being cancelled", lambda now: now["step"] != "spoil")
        self._lift()
        self.tally.hand("print")

    def _planned(self, session: Json) -> int:
        plan = session.get("plan") or {}
        pages = plan.get("pages") or []
        at = int(session["strokes_total"]) - int(session["strokes_left"])
        return int(pages[at][0]) if at < len(pages) else 0

    # --- looking at the page ------------------------------------------------------------------------------------------

    def _session(self) -> Json:
        """With the number of the device's last event, as `last_seq`."""
        device = self._stage.at_gateway.device("workday")
        session: Json = device["session"] | {"last_seq": device["last_seq"]}
        return session

    def _settled(self) -> Json:
        """The next step at which the keeper has something to do."""
        found: list[Json] = []

        def settled(now: Json) -> bool:
            found[:] = [now]
            return now["step"] not in {"checking", "asked", "continue"}

        with self.tally.wait():
            self._until("something to do", settled)
        return found[0]

    def _until(self, what: str, true: Callable[[Json], bool]) -> None:
        until("workday", what, lambda: true(self._session()), timeout_s=self._patience_s)

    @contextmanager
    def _telling(self, where: str) -> Iterator[None]:
        """Raises: StoryFailed, with `where` it was and what the page shows."""
        try:
            yield
        except StoryFailed as error:
            raise StoryFailed("workday", f"{where}: {error.why}. {self._shown()}") from error

    def _shown(self) -> str:
        try:
            state = self._stage.at_gateway.get("workday", "/api/state")
        except StoryFailed as error:
            return f"The gateway does not say how it stands: {error.why}"
        device = state["devices"][0]
        told = {name: device["session"].get(name) for name in _TOLD}
        told |= {"device": {name: device.get(name) for name in _TOLD_OF_DEVICE}}
        told |= {name: state.get(name) for name in ("uplink", "phone", "waiting")}
        return f"Keeper's minute {self.tally.seconds / 60:.1f}, {self.tally.imprints} imprints. " + json.dumps(told)

    def _post(self, path: str, body: Json) -> None:
        self._stage.beside.post("workday", path, body)
