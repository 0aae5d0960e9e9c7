"""`campaign broker`: the broker loses everything it held, 50 times in mid-stream, while an office sends its backlog.

Real processes: server with all roles, Mosquitto with persistence (else the embedded broker), gateway; the devices are
the shipped core. A wipe is kill -9 and the removal of the broker's folder. In between the sequencer is killed -9, and
the whole server. At the end each device's own numbers are compared with the log: lost (signed, not on record),
duplicated (on record twice, or set aside).
"""

import contextlib
import os
import random  # noqa: TID251 - one seeded source for the whole campaign
import signal
import tempfile
import threading
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import httpx

from dashboard.bench._office import Office
from dashboard.campaign.story import fsck
from dashboard.demo import mishaps
from dashboard.demo.waiting import StoryFailed, until
from dashboard.figures import Options, Report
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.identity import service as identity
from server.ledger import service as ledger

WIPES: Final = 50
SEQUENCER_KILLS: Final = 10
SERVER_KILLS: Final = 5
EVENTS: Final = 100_000
DEVICES: Final = 20
PATIENCE_S: Final = 1800.0
BROKER: Final = "broker"
SEQUENCER: Final = "sequencer"
SERVER: Final = "server"


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is sent, and how often what is lost on the way."""

    events: int
    devices: int
    mishaps: dict[str, int]


FULL: Final = Size(
    events=EVENTS,
    devices=DEVICES,
    mishaps={BROKER: WIPES, SEQUENCER: SEQUENCER_KILLS, SERVER: SERVER_KILLS},
)
QUICK: Final = Size(events=2_000, devices=4, mishaps={BROKER: 1, SEQUENCER: 1})


@dataclass(slots=True, kw_only=True)
class Outcome:
    """`left`: events still waiting at each mishap, so that one can see it was in mid-stream."""

    done: Counter[str] = field(default_factory=Counter)
    left: list[int] = field(default_factory=list)
    events: int = 0
    lost: int = 0
    duplicated: int = 0
    set_aside: int = 0
    fsck: str = ""


def run(options: Options) -> Report:
    """Raises: StoryFailed, when something does not come to its end."""
    size = QUICK if options.quick else FULL
    found = send(size, random.Random(options.seed))
    return Report(
        figures={
            "wipes": found.done[BROKER],
            "events": found.events,
            "lost": found.lost,
            "duplicated": found.duplicated,
            "fsck": 1 if found.fsck else 0,
        },
        counts={
            "kills_sequencer": found.done[SEQUENCER],
            "kills_server": found.done[SERVER],
            "devices": size.devices,
            "set_aside": found.set_aside,
            "least_waiting_at_a_mishap": min(found.left, default=0),
        },
        targets={
            "wipes": (">=", size.mishaps[BROKER]),
            "lost": ("<=", 0),
            "duplicated": ("<=", 0),
            "fsck": ("<=", 0),
        },
        notes=(found.fsck,) if found.fsck else (),
    )


def send(size: Size, rng: random.Random) -> Outcome:
    """The backlog goes up while mishaps come, each when a drawn share of it is in the ledger. Raises: StoryFailed."""
    with tempfile.TemporaryDirectory(prefix="cinnabar-broker-") as folder, contextlib.ExitStack() as stack:
        office = Office(Path(folder), size.devices, persistent=True)
        stack.callback(office.stop)
        office.fill(size.events, photos=0)
        with httpx.Client(base_url=office.company.gateway.start()["session_url"], timeout=30) as client:
            stream = _Stream(office, client)
            total = sum(office.last_seqs.values())
            until("read", f"{total} events in the outbox", lambda: stream.waiting() >= total, timeout_s=PATIENCE_S)
            if office.broker:
                office.broker.start()
            office.company.server.start()
            found = Outcome(events=total)
            stream.break_often(_schedule(size, total, rng), found)
            until("drain", "an outbox without events", lambda: stream.waiting() == 0, timeout_s=PATIENCE_S)
        _compare(office, found)
        return found


def _schedule(size: Size, total: int, rng: random.Random) -> list[tuple[int, str]]:
    """(events still waiting, mishap), falling: drawn over the stream without its first and last twentieth."""
    names = [name for name, times in size.mishaps.items() for _ in range(times)]
    rng.shuffle(names)
    marks = sorted((rng.randrange(total // 20, total - total // 20) for _ in names), reverse=True)
    return list(zip(marks, names, strict=True))


class _Stream:
    def __init__(self, office: Office, client: httpx.Client) -> None:
        self._office = office
        self._client = client
        self._pause = threading.Event()

    def waiting(self) -> int:
        """Events in the gateway's outbox without a receipt."""
        return int(self._client.get("api/state").json()["waiting"]["events"])

    def break_often(self, schedule: list[tuple[int, str]], found: Outcome) -> None:
        """Raises: StoryFailed, when the stream stands still."""
        for mark, name in schedule:
            what = f"at most {mark} events waiting, for {name} number {found.done[name] + 1}"
            until("stream", what, lambda mark=mark: self.waiting() <= mark, timeout_s=PATIENCE_S)  # type: ignore[misc]
            found.left.append(self.waiting())
            self._break(name)
            found.done[name] += 1

    def _break(self, name: str) -> None:
        server = self._office.company.server
        if name == BROKER:
            self._office.wipe_broker()
        elif name == SEQUENCER:
            until("kill", "a sequencer to kill", self._kill_sequencer, timeout_s=PATIENCE_S)
        else:
            roles = mishaps.children(server.pid)
            server.kill()
            for pid in roles:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            server.start()

    def _kill_sequencer(self) -> bool:
        """False while its supervisor is starting it again."""
        try:
            os.kill(mishaps.role_process(self._office.company.server.pid, "ledger"), signal.SIGKILL)
        except (StoryFailed, ProcessLookupError):
            return False
        return True


def _compare(office: Office, found: Outcome) -> None:
    stored = office.in_ledger()
    for device, newest in office.last_seqs.items():
        numbers = Counter(stored.get(device, []))
        found.lost += sum(seq not in numbers for seq in range(1, newest + 1))
        found.duplicated += sum(times - 1 for times in numbers.values())
    run = Runtime.open(office.settings)
    try:
        with run.db.read() as db:
            scopes = [Scope.system(tenant.id) for tenant in identity.tenants(db)]
            found.set_aside = sum(len(ledger.set_aside(db, scope)) for scope in scopes)
    finally:
        run.close()
    found.duplicated += found.set_aside
    found.fsck = fsck(office.settings.home)
