"""`bench workday`: a keeper's Monday, replayed: 60 documents, 2 copies, 3 imprints each, and what goes wrong.

The system is real (server, gateway, device processes; bulk link of 1 MB/s; an office line with 40 ms there and back and
10 Mbit/s). The hands are modelled: their seconds are added up, not waited for, so a day of 80 minutes takes a few. What
the keeper waits for is measured and added. In it: one wrong page, one faint imprint, one jam, 20 minutes without
network in which the keeper's phone carries the requests, and a hand-over at noon.
"""

import json
import random  # noqa: TID251 - one seeded source for the whole bench
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

from dashboard.bench._keeper import PATIENCE_S, Keeper, Tally
from dashboard.bench._paper_stack import Document, stack
from dashboard.bench._phone import Phone
from dashboard.bench._wire import Wire
from dashboard.demo import paper, story
from dashboard.demo.callers import Booth
from dashboard.demo.cast import BRANCH, GATEWAY
from dashboard.demo.story import OPENING, Stage
from dashboard.demo.waiting import until
from dashboard.figures import Options, Report
from server.core.scope import Role

DOCUMENTS: Final = 60
QUICK_DOCUMENTS: Final = 4
COPIES: Final = 2
IMPRINTS: Final = 3
BY_HAND_MIN: Final = 76.0
"""The same Monday with a bare stamp and a paper book."""
OFFLINE_FROM_S, OFFLINE_S, NOON_S = 1_200.0, 1_200.0, 3_000.0
"""In the keeper's own time."""
MISHAPS: Final = ((0.05, "faint"), (0.1, "wrong_page"), (0.85, "jam"))
"""Each once, after this share of the documents; the faint imprint early, as few photos wait for the line by then."""
BADGE: Final = "0004711-BENCH"
DRAIN_S: Final = 1_800.0
"""Photos of a whole day in the minutes of a replay: the line has had no rest."""


@dataclass(slots=True)
class Office:
    """The company behind a line that can be cut."""

    stage: Stage
    wires: list[Wire] = field(default_factory=list)
    phone: Phone | None = None

    def go_offline(self) -> None:
        for wire in self.wires:
            wire.cut()
        company = self.stage.company
        web = str(company.server.ready["web"])
        self.phone = Phone(self.stage.at_gateway.base_url, web, ca_file=str(company.home / "tls" / "ca.pem"))
        self.phone.start()

    def come_back(self) -> None:
        for wire in self.wires:
            wire.mend()
        if self.phone is not None:
            self.phone.stop()
            self.phone = None


def run(options: Options) -> Report:
    """Raises: StoryFailed."""
    rng = random.Random(options.seed)
    documents = stack(QUICK_DOCUMENTS if options.quick else DOCUMENTS, rng=rng, imprints=IMPRINTS)
    with tempfile.TemporaryDirectory(prefix="cinnabar-workday-") as folder, _office(Path(folder)) as office:
        requests = [_ask(office.stage, document) for document in documents]
        _second_keeper(office.stage)
        tally = Tally()
        keeper = Keeper(office.stage, tally)
        keeper.sign_in()
        _work(office, keeper, documents, requests, quick=options.quick)
        begun = time.monotonic()
        _let_drain(office.stage)
        drained = time.monotonic() - begun
    return _report(tally, drained)


@contextmanager
def _office(folder: Path) -> Iterator[Office]:
    stage = story.new_stage(paper.bundled("en"), folder, lambda *_: None)
    office = Office(stage)
    try:
        story.play(stage, OPENING)
        _behind_a_line(office)
        yield office
    finally:
        if office.phone is not None:
            office.phone.stop()
        stage.close()
        stage.company.stop()
        for wire in office.wires:
            wire.stop()


def _behind_a_line(office: Office) -> None:
    """The gateway starts again, with headquarters at the far end of the wires."""
    stage = office.stage
    company = stage.company
    stage.at_gateway.close()
    company.gateway.stop()
    path = company.folder / "gateway" / "gateway.json"
    settings = json.loads(path.read_bytes())
    for name in ("server_url", "mqtt_url"):
        address, _, port = str(settings[name]).rpartition(":")
        office.wires.append(Wire(int(port)))
        settings[name] = f"{address}:{office.wires[-1].port}"
    path.write_text(json.dumps(settings))
    stage.booth = Booth(company.gateway.start()["session_url"].rstrip("/"))
    until(
        "line",
        "the device at the gateway",
        lambda: stage.at_gateway.device("line")["enrolment"] == "active",
        timeout_s=PATIENCE_S,
    )


def _ask(stage: Stage, document: Document) -> str:
    """The office asked and headquarters approved before the keeper came; not the keeper's time."""
    form = {
        "seal_id": str(stage.players.seal_id),
        "title": document.title,
        "reason": "Monday's post",
        "places": [{"page": page, "x_mm": x, "y_mm": y} for page, x, y in document.places],
        "copies": COPIES,
        "spares": 1,
    }
    files = {"document": ("document.pdf", document.pdf, "application/pdf")}
    clerk = stage.person("clerk")
    made = clerk.send("request", "POST", "/api/v1/requests", data={"form": json.dumps(form)}, files=files).json()
    stage.request_id = made["id"]
    clerk.post("request", f"/api/v1/requests/{made['id']}/submit")
    story.approve(stage)
    return stage.request_id


def _second_keeper(stage: Stage) -> None:
    """Who takes over at noon, known by a badge."""
    admin = stage.person("admin")
    body = {"username": "noon", "name": "Nora Demo", "branch_path": BRANCH, "pin": "048213"}
    person = admin.post("people", "/api/v1/people", body)["id"]
    admin.post("people", f"/api/v1/people/{person}/roles", {"role": Role.KEEPER.value, "branch_path": BRANCH})
    admin.post("people", f"/api/v1/people/{person}/badges", {"badge": BADGE, "name": "white card"})


def _work(office: Office, keeper: Keeper, documents: list[Document], requests: list[str], *, quick: bool) -> None:
    tally = keeper.tally
    last = len(documents) - 1
    mishaps = [(round(last * share), name) for share, name in MISHAPS]
    offline = handed = False
    for number, (document, request) in enumerate(zip(documents, requests, strict=True)):
        if not offline and office.phone is None and (tally.seconds >= OFFLINE_FROM_S or (quick and number == 1)):
            office.go_offline()
            offline = True
        if office.phone is not None and (tally.seconds >= OFFLINE_FROM_S + OFFLINE_S or (quick and number == last - 1)):
            office.come_back()
        if not handed and (tally.seconds >= NOON_S or (quick and number == last)):
            keeper.hand_over(BADGE)
            handed = True
        mishap = _next_mishap(mishaps, number, line=office.phone is None)
        if mishap == "faint":  # on a real Monday the line rests while hands move, and its photo is looked at in seconds
            _let_drain(office.stage)
        keeper.stamp(document, request, mishap=mishap)
        tally.offline_documents += office.phone is not None
    if office.phone is not None:
        office.come_back()


def _next_mishap(mishaps: list[tuple[int, str]], number: int, *, line: bool) -> str:
    """What goes wrong with this document. A faint imprint waits for the line: without it, its photo is seen later."""
    for mishap in mishaps:
        if mishap[0] <= number and (line or mishap[1] != "faint"):
            mishaps.remove(mishap)
            return mishap[1]
    return ""


def _let_drain(stage: Stage) -> None:
    until("drain", "the last photo at headquarters", lambda: _drained(stage), timeout_s=DRAIN_S)


def _drained(stage: Stage) -> bool:
    state = stage.at_gateway.get("drain", "/api/state")
    return not state["waiting"]["events"] and not state["waiting"]["photos"]


def _report(tally: Tally, drained_s: float) -> Report:
    return Report(
        figures={
            "workday_min": round(tally.seconds / 60, 1),
            "s_first": round(median(tally.first), 2),
            "s_next": round(median(tally.next), 2),
            "taps_per_imprint": round(tally.taps / max(1, tally.imprints), 2),
            "interruptions": tally.interruptions,
            "waited_min": round(tally.waited / 60, 1),
            "drained_s": round(drained_s, 1),
        },
        counts={
            "documents": tally.documents,
            "imprints": tally.imprints,
            "documents_without_network": tally.offline_documents,
        },
        targets={"workday_min": ("<=", 80), "s_first": ("<=", 20), "s_next": ("<=", 9)},
        notes=(
            f"by hand, with a paper book: {BY_HAND_MIN:.0f} min",
            f"gateway {GATEWAY}; hands modelled: {tally.model()}",
            *tally.notes,
        ),
    )
