"""A keeper with modelled hands at a real device: every second of a hand is added up, every wait is measured."""

import base64
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from dashboard.bench._paper_stack import Document
from dashboard.demo.callers import Json, NotYet
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
STEP_S: Final = 60.0
"""Longest a step may take before the replay gives up."""


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

    def __init__(self, stage: Stage, tally: Tally) -> None:
        self.tally = tally
        self._stage = stage
        self._pressed = False  # the sheet on the tray carries a fresh imprint
        self._path = f"/api/devices/{stage.device_id}"

    def sign_in(self) -> None:
        self.tally.hand("pin")
        with self.tally.wait():
            pin = {"username": "keeper", "pin": self._stage.players.keeper_pin}
            self._stage.at_gateway.post("sign in", f"{self._path}/sign-in", pin)

    def hand_over(self, badge: str) -> None:
        """Somebody else goes on at the device."""
        self.tally.interrupted("hand-over at noon")
        self.tally.hand("badge")
        with self.tally.wait():
            self._stage.at_gateway.post("hand over", f"{self._path}/badge", {"badge": badge})

    def stamp(self, document: Document, request: str, *, mishap: str) -> None:
        """All imprints of one document. Raises: StoryFailed, when a step does not come to an end."""
        tally, begun = self.tally, self.tally.seconds
        self._start(request)
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
        tally.hand("tap")
        self._stage.at_gateway.post("next", f"{self._path}/abort")

    def _start(self, request: str) -> None:
        """Tap the job; "try again in a moment" means another tap."""
        last = time.monotonic() + STEP_S
        while True:
            self.tally.hand("tap")
            try:
                with self.tally.wait():
                    self._stage.at_gateway.post("start", f"{self._path}/start", {"request_id": request})
            except NotYet as error:
                if time.monotonic() > last:
                    raise
                self.tally.interrupted(error.why)
            else:
                return

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
            self._until(lambda now: now["step"] != session["step"])
            self._until(lambda now: now["step"] not in {"place", "checking"})

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
                self._until(lambda now: now["step"] != "ready")
            return
        self.tally.imprints += 1
        self._pressed = True
        with self.tally.wait():
            self._until(lambda now: now["step"] not in {"ready", "place", "checking"})

    def _unusual(self, step: str, session: Json, document: Document) -> None:
        match step:
            case "problem":
                self.tally.interrupted(f"the page said: {session['code']}")
                self._lift()
                page = int(session["page"]) if session["page"] else document.places[0][0]
                self._lay(document, session | {"page": self._planned(session) or page}, "")
            case "redo":
                self.tally.interrupted("a faint imprint: sheet cancelled, spare taken")
                self.tally.hand("tap")
                self._stage.at_gateway.post("redo", f"{self._path}/redo", {"spoil": True})
                with self.tally.wait():
                    self._until(lambda now: now["step"] != "redo")
            case "spoil":
                self._spoil()
            case _:
                raise StoryFailed("workday", f"the page shows {step}: {session['code']} {session['text']}")

    def _spoil(self) -> None:
        """The sheet goes back on the tray, is cancelled there; a fresh page comes from the printer."""
        with self.tally.wait():
            moved = self._stays("spoil", 1.5)
        if moved:
            self.tally.hand("lay")
            self._post("/lay", {"again": True})
        with self.tally.wait():
            self._until(lambda now: now["step"] != "spoil")
        self._lift()
        self.tally.hand("print")

    def _planned(self, session: Json) -> int:
        plan = session.get("plan") or {}
        pages = plan.get("pages") or []
        at = int(session["strokes_total"]) - int(session["strokes_left"])
        return int(pages[at][0]) if at < len(pages) else 0

    # --- looking at the page ------------------------------------------------------------------------------------------

    def _session(self) -> Json:
        session: Json = self._stage.at_gateway.device("workday")["session"]
        return session

    def _settled(self) -> Json:
        """The next step at which the keeper has something to do."""
        found: list[Json] = []

        def look() -> bool:
            found[:] = [self._session()]
            return found[0]["step"] not in {"checking", "asked", "continue"}

        with self.tally.wait():
            until("workday", "something to do", look, timeout_s=STEP_S)
        return found[0]

    def _until(self, true: Callable[[Json], bool]) -> None:
        until("workday", "the next step", lambda: true(self._session()), timeout_s=STEP_S)

    def _stays(self, step: str, seconds: float) -> bool:
        """Whether the page still shows `step` after `seconds`."""
        try:
            until("workday", "another step", lambda: self._session()["step"] != step, timeout_s=seconds)
        except StoryFailed:
            return True
        return False

    def _post(self, path: str, body: Json) -> None:
        self._stage.beside.post("workday", path, body)
