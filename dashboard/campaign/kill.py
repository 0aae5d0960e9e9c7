"""`campaign kill`: thousands of strokes through real processes while each of them is killed again and again.

A keeper presses without pause (continuous stamping); a second thread kills -9 one process every moment and starts it
again, as the office or systemd would. At the end the mechanical counter, which no process can set back, is compared
with what the ledger says: lost (pressed, not on record), duplicated (on record, not pressed), unexplained (presses that
the device could not account for, or account for only as "not confirmed").
"""

import contextlib
import json
import random  # noqa: TID251 - one seeded source for the whole campaign
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dashboard.campaign.story import fsck
from dashboard.demo import mishaps, paper, story
from dashboard.demo.callers import Json
from dashboard.demo.story import OPENING, Stage
from dashboard.demo.waiting import StoryFailed, until
from dashboard.figures import Options, Report

STROKES: Final = 5_000
KILLS: Final = 100
"""Of each of device, gateway and server."""
QUICK_STROKES: Final = 12
QUICK_KILLS: Final = 1
COPIES: Final = 50
DPI: Final = 60
"""The pictures only have to be pictures; what they show is the business of `campaign story`."""
PAUSE_S: Final = (0.5, 2.5)
"""Between a process being back and the next death."""
AGAIN_S: Final = 3.0
"""A job that was stopped can go on when the device's last word on it has reached headquarters."""
LEASE_S: Final = 600.0
"""A permission that never reached the device ends after this time; its job waits so long."""
DRAIN_S: Final = 900.0
PATIENCE_S: Final = 5_400.0
VICTIMS: Final = ("device", "gateway", "server")


def run(options: Options) -> Report:
    """Raises: StoryFailed, when the company cannot even begin or nothing moves any more."""
    rng = random.Random(options.seed)
    kills = QUICK_KILLS if options.quick else KILLS
    with tempfile.TemporaryDirectory(prefix="cinnabar-kill-") as folder:
        stage = story.new_stage(paper.bundled("en"), Path(folder), lambda *_: None)
        stage.company.device.add(f"--dpi={DPI}")
        try:
            story.play(stage, OPENING)
            killer = Killer(stage, rng, kills=kills)
            killer.start()
            keeper = Keeper(stage)
            try:
                keeper.press_until(QUICK_STROKES if options.quick else STROKES, killer)
            finally:
                killer.stop()
            return _report(stage, keeper, killer)
        finally:
            stage.close()
            stage.company.stop()


class Killer(threading.Thread):
    """Kills in a drawn order, one after the other, until every victim died so many times."""

    def __init__(self, stage: Stage, rng: random.Random, *, kills: int) -> None:
        super().__init__(daemon=True)
        self.kills: Counter[str] = Counter()
        self.failed = ""
        self._stage = stage
        self._rng = rng
        self._order = [victim for victim in VICTIMS for _ in range(kills)]
        rng.shuffle(self._order)
        self._stopped = threading.Event()

    @property
    def finished(self) -> bool:
        return not self.is_alive()

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def run(self) -> None:
        for victim in self._order:
            while not self._killed(victim):
                if self.failed or self._stopped.is_set():
                    return
            self.kills[victim] += 1

    def _killed(self, victim: str) -> bool:
        """After a pause. Not, when its process was only just being started again."""
        if self._stopped.wait(self._rng.uniform(*PAUSE_S)):
            return False
        chosen = self._rng.choice(mishaps.SERVER_ROLES) if victim == "server" else victim
        try:
            mishaps.kill(self._stage, chosen)
            mishaps.revive(self._stage, chosen)
        except StoryFailed as error:
            if victim != "server":
                self.failed = error.why
            return False
        return True


@dataclass(slots=True)
class Keeper:
    """Presses whenever the latch is free, and picks the next job whenever there is none."""

    stage: Stage
    refused: dict[str, float] = field(default_factory=dict)  # job: when to try it again
    requests: int = 0
    presses: int = 0

    def press_until(self, strokes: int, killer: Killer) -> None:
        """Raises: StoryFailed, after PATIENCE_S."""
        pause = threading.Event()
        ends = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends:
            if killer.failed:
                raise StoryFailed("kill", killer.failed)
            try:
                state = self.stage.beside.get("press", "/state")
                if state["counter"] >= strokes and killer.finished:
                    return
                self._act(state)
            except StoryFailed:
                pause.wait(0.2)
            pause.wait(0.02)
        raise StoryFailed("press", f"{self.presses} presses after {PATIENCE_S:.0f} s")

    def _act(self, state: Json) -> None:
        if state["latch_free"]:
            if not state["page_present"]:
                self.stage.beside.post("press", "/lay", {"blank": True})
            self.presses += bool(self.stage.beside.pull()["pressed"])
        elif state["state"] == "LOCKED":
            self._next_job()

    def _next_job(self) -> None:
        stage = self.stage
        path = f"/api/devices/{stage.device_id}"
        device = stage.at_gateway.device("next job")
        if not device["online"] or device["enrolment"] != "active":
            raise StoryFailed("next job", "the device is not ready")
        if device["session"]["request_id"] is not None:
            with contextlib.suppress(StoryFailed):
                stage.at_gateway.post("next job", f"{path}/abort")
        stage.at_gateway.post("next job", f"{path}/sign-in", {"username": "keeper", "pin": stage.players.keeper_pin})
        offered = [job["request_id"] for job in stage.at_gateway.get("next job", f"{path}/jobs")]
        chosen = self._choose(offered)
        try:
            stage.at_gateway.post("next job", f"{path}/start", {"request_id": chosen})
        except StoryFailed:
            pause_s = LEASE_S if chosen in self.refused else AGAIN_S
            self.refused[chosen] = time.monotonic() + pause_s
            raise
        self.refused.pop(chosen, None)

    def _choose(self, offered: list[str]) -> str:
        """Raises: StoryFailed, when one of them can be tried again in a moment."""
        waits = {request_id: self.refused.get(request_id, 0.0) - time.monotonic() for request_id in offered}
        now = next((request_id for request_id, wait_s in waits.items() if wait_s <= 0), None)
        if now is None and any(wait_s <= AGAIN_S for wait_s in waits.values()):
            raise StoryFailed("next job", "a stopped job is not free yet")
        return now or self._new_request()

    def _new_request(self) -> str:
        story.request(self.stage, stamping="continuous", copies=COPIES)
        story.approve(self.stage)
        self.requests += 1
        return self.stage.request_id


def _report(stage: Stage, keeper: Keeper, killer: Killer) -> Report:
    def settled() -> bool:
        state = stage.at_gateway.get("ledger", "/api/state")
        device = state["devices"][0]
        return bool(
            device["online"] and device.get("acked_seq") == device.get("last_seq") and not state["waiting"]["events"]
        )

    until("ledger", "receipts for every event", settled, timeout_s=DRAIN_S)
    until("ledger", "the last word on every stroke", lambda: _pending(stage) == 0, timeout_s=DRAIN_S)
    counter = stage.beside.get("accounts", "/state")["counter"]
    sheet = stage.person("auditor").get_every("accounts", "/api/v1/reconciliation", "request_id")
    pressed, unsure = (sum(row[name] for row in sheet) for name in ("pressed", "not_confirmed"))
    over = [row for row in sheet if row["pressed"] > row["approved"]]  # a place was stamped twice; no sheet is spoiled
    found = fsck(stage.company.home)
    figures = {
        "strokes": counter,
        "kills": sum(killer.kills.values()),
        "lost": max(0, counter - pressed - unsure),
        "duplicated": max(0, pressed - counter) + sum(row["pressed"] - row["approved"] for row in over),
        "unexplained": unsure,
    }
    counts = {f"kills_{victim}": killer.kills[victim] for victim in VICTIMS}
    return Report(
        figures=figures | {"fsck": 1 if found else 0},
        counts=counts | {"requests": keeper.requests, "jobs_waiting_for_a_lease": len(keeper.refused)},
        targets={"lost": ("<=", 0), "duplicated": ("<=", 0), "unexplained": ("<=", 0), "fsck": ("<=", 0)},
        notes=(*(f"{row['short']}: {json.dumps(row)}" for row in over), *([found] if found else [])),
    )


def _pending(stage: Stage) -> int:
    """Presses that the projections have not taken in yet."""
    counter = int(stage.beside.get("accounts", "/state")["counter"])
    sheet = stage.person("auditor").get_every("accounts", "/api/v1/reconciliation", "request_id")
    accounted = sum(int(row["pressed"]) + int(row["not_confirmed"]) for row in sheet)
    return max(0, counter - accounted)
