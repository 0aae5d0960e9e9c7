"""Processes that die in the middle of a stamping, and a keeper who simply goes on."""

import contextlib
import os
import signal
import threading
import time
from pathlib import Path
from typing import Final

from dashboard.demo.callers import Booth, Hands, Json
from dashboard.demo.story import Stage
from dashboard.demo.waiting import StoryFailed, until

SERVER_ROLES: Final = ("web", "ledger", "worker", "broker")
VICTIMS: Final = ("device", "gateway", *SERVER_ROLES)
GIVE_UP_S: Final = 120.0
PATIENCE_S: Final = 12.0


def kill(stage: Stage, victim: str) -> None:
    """Kill -9. A server role is started again by its supervisor; device and gateway by `revive`."""
    if victim == "device":
        stage.company.device.kill()
    elif victim == "gateway":
        stage.company.gateway.kill()
    else:
        os.kill(role_pid(stage, victim), signal.SIGKILL)


def revive(stage: Stage, victim: str) -> None:
    if victim == "device":
        stage.hands = Hands(stage.company.device.start()["keeper"])  # the old one may be in use in another thread
    elif victim == "gateway":
        stage.booth = Booth(stage.company.gateway.start()["session_url"].rstrip("/"))


def role_pid(stage: Stage, role: str) -> int:
    """The process that serves `role` now. Raises: StoryFailed."""
    return role_process(stage.company.server.pid, role)


def role_process(supervisor: int, role: str) -> int:
    """The process that serves `role` now, among the supervisor's children. Raises: StoryFailed."""
    for pid in children(supervisor):
        try:
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\x00")
            named = Path(f"/proc/{pid}/comm").read_text().strip()  # a forked role names itself there
        except OSError:
            continue
        if role.encode() in words or named.rpartition(" ")[2].rpartition("-")[2] == role:
            return pid
    raise StoryFailed("kill", f"no process serves {role}")


def children(parent: int) -> list[int]:
    """Process ids whose parent is `parent`."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if int((entry / "stat").read_text().rpartition(")")[2].split()[1]) == parent:
                    found.append(int(entry.name))
    return found


def go_on(stage: Stage) -> int:
    """What a keeper does until the request is done, whatever died meanwhile. The number of tries it took.

    Raises: StoryFailed, when the job cannot be finished within GIVE_UP_S.
    """
    pause = threading.Event()
    ends = time.monotonic() + GIVE_UP_S
    tries = 0
    last = ""
    while time.monotonic() < ends:
        tries += 1
        try:
            if _done(stage):
                return tries
            _one_try(stage)
        except StoryFailed as error:
            last = error.why
            pause.wait(1)
    raise StoryFailed("go on", f"not finished after {tries} tries: {last}")


def _done(stage: Stage) -> bool:
    path = f"/api/v1/requests/{stage.request_id}"

    def settled() -> bool:
        return bool(stage.person("clerk").get("go on", path)["state"] == "done")

    try:
        return until("go on", "the request being done", settled, timeout_s=3)
    except StoryFailed:
        return False


def _one_try(stage: Stage) -> None:
    device = until("go on", "the device being online", lambda: _online(stage), timeout_s=PATIENCE_S)
    session = device["session"]
    if session["request_id"] is None or session["step"] == "done":
        path = f"/api/devices/{stage.device_id}"
        stage.at_gateway.post("go on", f"{path}/sign-in", {"username": "keeper", "pin": stage.players.keeper_pin})
        stage.at_gateway.post("go on", f"{path}/start", {"request_id": stage.request_id})
    if session["step"] != "ready":
        stage.beside.post("go on", "/take-away")
        stage.beside.lay(stage.contract.pdf, page=stage.contract.page)

    def ready() -> bool:
        return bool(stage.at_gateway.device("go on")["session"]["step"] == "ready")

    until("go on", "the latch being free", ready, timeout_s=PATIENCE_S)
    stage.beside.pull()


def _online(stage: Stage) -> Json | None:
    device = stage.at_gateway.device("go on")
    return device if device["online"] and device["enrolment"] == "active" else None
