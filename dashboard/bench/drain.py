"""`bench drain`: an office that was 72 hours without a network, from the first event sent to an empty outbox.

Real processes: server with all roles, Mosquitto (else the embedded broker), gateway; the devices are the shipped core.
Clocked from server and broker being ready again until the gateway's outbox holds no event: each has then gone over the
broker into the ledger, and its receipt was verified by the device that signed it.
"""

import contextlib
import os
import sqlite3
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from dashboard.bench._office import Office
from dashboard.bench._processor import name_of, processor_s
from dashboard.demo import mishaps
from dashboard.demo.waiting import until
from dashboard.figures import Options, Report

DEVICES: Final = 20
EVENTS: Final = 100_000
PHOTOS: Final = 5_000
QUICK_EVENTS: Final = 4_000
QUICK_PHOTOS: Final = 40
PATIENCE_S: Final = 1200.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain:
    """`in_order`: the ledger has each device's events once, ascending, from the first to the last.

    `cpu_s`: processor time of each process from the beginning of the drain until the outbox held no event.
    """

    events: int
    photos: int
    read_s: float
    events_s: float
    photos_s: float
    rss_mb: float
    broker: str
    in_order: bool
    events_left: int
    cpu_s: dict[str, float]

    @property
    def rate(self) -> float:
        return round(self.events / self.events_s, 1)

    @property
    def cpu_ms(self) -> dict[str, float]:
        """Of each process, and of all of them, per event."""
        spent = self.cpu_s | {"all": sum(self.cpu_s.values())}
        return {name: round(1000 * seconds / self.events, 3) for name, seconds in spent.items()}


def drain_events_s(*, quick: bool) -> Drain:
    """100,000 events and 5,000 photos of 20 devices; quick: 4,000 and 40. Raises: StoryFailed."""
    if quick:
        return measure(devices_count=DEVICES, count=QUICK_EVENTS, photos=QUICK_PHOTOS)
    return measure(devices_count=DEVICES, count=EVENTS, photos=PHOTOS)


def run(options: Options) -> Report:
    drained = drain_events_s(quick=options.quick)
    return Report(
        figures={
            "drain_events_s": drained.rate,
            "gateway_rss_mb": drained.rss_mb,
            "read_events_s": round(drained.events / drained.read_s, 1),
            "drain_s": round(drained.events_s, 2),
            "photos_s": round(drained.photos_s, 2),
            "cpu_ms_per_event": drained.cpu_ms,
        },
        counts={"events": drained.events, "photos": drained.photos, "devices": DEVICES, "left": drained.events_left},
        targets={"drain_events_s": (">=", 1500), "gateway_rss_mb": ("<=", 150)},
        notes=(
            f"broker: {drained.broker}; ledger in order and without a repeat: {drained.in_order}",
            "photos_s: until the last photo is at headquarters, over bulk links of 1 MB/s each",
        ),
    )


def measure(*, devices_count: int, count: int, photos: int) -> Drain:
    """Raises: StoryFailed, when something does not come to its end."""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="cinnabar-drain-")))
        office = _Drained(folder, devices_count)
        stack.callback(office.stop)
        office.fill(count, photos)
        return office.drain(photos)


class _Drained(Office):
    def drain(self, photos: int) -> Drain:
        gateway = self.company.gateway
        gateway.start()
        with contextlib.closing(_Outbox(self.company.folder / "gateway" / "outbox.db")) as outbox:
            begun, total = time.monotonic(), sum(self.last_seqs.values())
            until("read", f"{total} events in the outbox", lambda: outbox.holds(self.last_seqs), timeout_s=PATIENCE_S)
            read_s = time.monotonic() - begun
            if self.broker:
                self.broker.start()
            self.company.server.start()
            back, spent = time.monotonic(), self._processor_s()
            until("drain", "an outbox without events", lambda: not outbox.events(), timeout_s=PATIENCE_S)
            events_s = time.monotonic() - back
            cpu_s = {name: now - spent.get(name, 0.0) for name, now in self._processor_s().items()}
            until("photos", "an outbox without photos", lambda: not outbox.photos(), timeout_s=PATIENCE_S)
            photos_s = time.monotonic() - back
            rss = _peak_rss_mb(gateway.pid)
            left = outbox.events()
        return Drain(
            events=total,
            photos=photos,
            read_s=read_s,
            events_s=events_s,
            photos_s=photos_s,
            rss_mb=rss,
            broker="mosquitto" if self.broker else "embedded",
            in_order=self._in_order(),
            events_left=left,
            cpu_s=cpu_s,
        )

    def _processor_s(self) -> dict[str, float]:
        """Gateway, broker, each role of the server; devices: this process, where all of them live."""
        pids = {"gateway": self.company.gateway.pid, "devices": os.getpid()}
        if self.broker:
            pids["broker"] = self.broker.pid
        pids |= {name_of(pid).removeprefix("cinnabar-"): pid for pid in mishaps.children(self.company.server.pid)}
        return {name: processor_s(pid) for name, pid in pids.items()}

    def _in_order(self) -> bool:
        """Every device's events, each once, in the order in which it signed them."""
        found, last = self.in_ledger(), self.last_seqs
        return all(
            found.get(device, [])[:newest] == list(range(1, len(found.get(device, [])) + 1))
            for device, newest in last.items()
        ) and sum(map(len, found.values())) >= sum(last.values()) - len(last)


class _Outbox:
    """The gateway's outbox, looked at from outside: asking the gateway itself would cost it a tenth of its time."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)

    def close(self) -> None:
        self._db.close()

    def holds(self, last_seqs: dict[str, int]) -> bool:
        """The last event of each device; devices are read in order."""
        newest = "SELECT max(seq) FROM event WHERE device = ? AND generation = 1"
        return all(
            self._db.execute(newest, (device,)).fetchone()[0] == last_seq for device, last_seq in last_seqs.items()
        )

    def events(self) -> int:
        """How many wait, up to 1,000."""
        return self._count("SELECT count(*) FROM (SELECT 1 FROM event LIMIT 1000)")

    def photos(self) -> int:
        return self._count("SELECT count(*) FROM photo WHERE uploaded = 0")

    def _count(self, query: str) -> int:
        return int(self._db.execute(query).fetchone()[0])


def _peak_rss_mb(pid: int) -> float:
    """VmHWM: the most it ever had; 0.0 where the system does not tell (not Linux)."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((round(int(line.split()[1]) / 1024, 1) for line in lines if line.startswith("VmHWM:")), 0.0)
