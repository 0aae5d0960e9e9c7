"""`bench ledger`: events of 1,000 devices through Mosquitto into the tree with receipts, beside what a team would use.

Ours and the peers run in turns on the same kind of events, so that a busy machine hurts all alike. CPU time is that of
every process that does the work: reader, verifiers and sequencer are one process; PostgreSQL's backends are added.
"""

import contextlib
import json
import random  # noqa: TID251 - one seeded source for the whole bench
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable  # noqa: TC003 - as everywhere here
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, Final

from dashboard.bench._ledger_events import Fleet
from dashboard.bench._ledger_growth import LongLog, Point, write_picture
from dashboard.bench._ledger_postgres import Postgres, postgres
from dashboard.bench._ledger_stage import Gateway, Role, ending, last_numbers, mosquitto, write_keys
from dashboard.cli import ROOT
from dashboard.figures import CannotRun, Options, Report, commit, fdatasync_ms, percentiles

PICTURE: Final = ROOT / "docs" / "pictures" / "ledger-growth.svg"
PEERS: Final = ("naive", "ledgerchain", "pymerkle")
RATE: Final = 2_000
"""Events a second at which the time to the receipt is taken."""
TARGETS: Final[dict[str, tuple[Any, float]]] = {
    "events_per_cpu_s": (">=", 12_000),
    "naive_cpu_ratio": (">=", 9),
    "pg_to_sqlite": (">=", 0.75),
    "receipt_p99_ms": ("<=", 250),
    "growth_append": ("<=", 1.5),
    "growth_proof": ("<=", 1.5),
    "proof_us": ("<=", 100),
    "restart_s": ("<=", 3),
    "rss_mb": ("<=", 300),
}


@dataclass(frozen=True, slots=True)
class Amount:
    """How much of everything."""

    rounds: int
    events: int
    naive: int
    paced_s: int
    sizes: tuple[int, ...]


FULL: Final = Amount(rounds=3, events=20_000, naive=1_000, paced_s=10, sizes=(10_000, 100_000, 1_000_000))
QUICK: Final = Amount(rounds=1, events=2_000, naive=1_000, paced_s=1, sizes=(2_000, 4_000, 8_000))


@dataclass(frozen=True, slots=True)
class Speed:
    per_cpu_s: float
    per_s: float


def run(options: Options) -> Report:
    """Raises: CannotRun, without Mosquitto or /proc."""
    amount = QUICK if options.quick else FULL
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="cinnabar-ledger-") as name, postgres(Path(name)) as engine:
        folder = Path(name)
        folder.chmod(0o755)  # PostgreSQL's own user goes through it
        syncs_per_s = 1_000 / fdatasync_ms(folder)["p50"]
        speeds = _in_turns(folder, rng, amount, engine)
        paced, size = _paced(folder / "paced", rng, amount)
        points, restart_s, rss_mb = _growth(folder / "long", rng, amount)
    if not options.quick:
        write_picture(points, PICTURE, title=f"CPU time by length of the log, commit {commit()}")
    ours = speeds["ours"]
    figures: dict[str, Any] = {"events_per_cpu_s": round(ours.per_cpu_s), "events_per_s": round(ours.per_s)}
    for peer in PEERS:
        figures[f"{peer}_cpu_ratio"] = _ratio(ours, speeds.get(peer), "per_cpu_s")
    figures["naive_wall_ratio"] = _ratio(ours, speeds["naive"], "per_s")
    figures["pg_to_sqlite"] = _ratio(speeds.get("postgresql"), ours, "per_s")
    figures["fdatasync_s"] = round(syncs_per_s)
    figures |= {"receipt_p99_ms": paced["p99"], "receipt_ms": paced, "bytes_per_event": size}
    proofs = [(point.inclusion_us + point.consistency_us) / 2 for point in points]
    figures["growth_append"] = round(max(point.append_us for point in points) / points[0].append_us, 2)
    figures["growth_proof"] = round(max(proofs) / proofs[0], 2)
    figures["proof_us"] = round(points[-1].inclusion_us, 1)
    figures |= {"restart_s": round(restart_s, 2), "rss_mb": round(rss_mb)}
    counts = {"rounds": amount.rounds, "events_a_round": amount.events, "entries": points[-1].size}
    speeds_said = ", ".join(f"{name} {speed.per_cpu_s:,.0f}/{speed.per_s:,.0f}" for name, speed in speeds.items())
    missing = [f"{peer} is not installed: not measured" for peer in PEERS if peer not in speeds]
    return Report(
        figures=figures,
        counts=counts,
        targets=TARGETS,
        notes=(f"events per CPU second / per second: {speeds_said}", *missing),
    )


def _ratio(one: Speed | None, other: Speed | None, name: str) -> float | None:
    return None if one is None or other is None else round(getattr(one, name) / getattr(other, name), 2)


def _in_turns(folder: Path, rng: random.Random, amount: Amount, engine: Postgres | None) -> dict[str, Speed]:
    """The median of each over the rounds."""
    seen: dict[str, list[Speed]] = {}
    for number in range(amount.rounds):
        runs: dict[str, Callable[[Path], Speed]] = {"ours": lambda path: _ours(path, rng, amount.events)}
        if engine is not None:
            runs["postgresql"] = lambda path: _ours(path, rng, amount.events, engine)
        for peer in PEERS:
            if peer == "naive" or find_spec(peer) is not None:
                count = amount.naive if peer == "naive" else amount.events
                runs[peer] = lambda path, peer=peer, count=count: _peer(path, rng, peer, count)  # type: ignore[misc]
        order = list(runs)
        rng.shuffle(order)
        for name in order:
            seen.setdefault(name, []).append(runs[name](folder / f"{name}-{number}"))
    return {
        name: Speed(median(one.per_cpu_s for one in speeds), median(one.per_s for one in speeds))
        for name, speeds in seen.items()
    }


def _ours(folder: Path, rng: random.Random, count: int, engine: Postgres | None = None) -> Speed:
    """A backlog at the broker, from the first event taken to the last receipt."""
    folder.mkdir()
    fleet = Fleet.of(rng)
    url = engine.new_database() if engine else ""
    with mosquitto(folder) as port, contextlib.closing(Role(folder / "home", port, url=url)) as role:
        fleet.enrol(role.database)
        warm, sent = fleet.take(1_000), fleet.take(count)
        role.start()
        gateway = role.gateway()
        for one in warm:
            gateway.publish(one)
        gateway.wait_for(last_numbers(warm))
        with role.held():
            gateway.publish_all(sent)
            cpu, wall = role.cpu_s() + (engine.cpu_s() if engine else 0), time.perf_counter()
        gateway.wait_for(last_numbers(sent))
        wall = time.perf_counter() - wall
        cpu = role.cpu_s() + (engine.cpu_s() if engine else 0) - cpu
    return Speed(count / cpu, count / wall)


def _peer(folder: Path, rng: random.Random, name: str, count: int) -> Speed:
    folder.mkdir()
    fleet = Fleet.of(rng)
    sent = fleet.take(count)
    write_keys(folder, fleet)
    with mosquitto(folder) as port:
        command = [sys.executable, "-m", "dashboard.bench._ledger_peers", name, str(port), str(folder), str(count)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)  # noqa: S603 - our own arguments
        with ending(process):
            if process.stdout is None or process.stdout.readline() != "ready\n":
                raise CannotRun(f"{name} did not start")
            gateway = Gateway(port)
            for one in sent:
                gateway.publish(one)
            answer = process.stdout.readline()
            process.wait()
            process.stdout.close()
            gateway.stop()
    spent = json.loads(answer)
    return Speed(count / spent["cpu_s"], count / spent["wall_s"])


def _paced(folder: Path, rng: random.Random, amount: Amount) -> tuple[dict[str, float], int]:
    """Milliseconds from publishing an event to the receipt that covers it at RATE; bytes of database per event."""
    folder.mkdir()
    fleet = Fleet.of(rng)
    with mosquitto(folder) as port:
        with contextlib.closing(Role(folder / "home", port)) as role:
            fleet.enrol(role.database)
            sent = fleet.take(RATE * amount.paced_s)
            before = (folder / "home" / "data.db").stat().st_size
            role.start()
            gateway = role.gateway()
            begun, pause = time.perf_counter(), threading.Event()
            published = []
            for number, one in enumerate(sent):
                due = begun + number / RATE
                if (early := due - time.perf_counter()) > 0:
                    pause.wait(early)
                published.append(time.perf_counter())
                gateway.publish(one)
            gateway.wait_for(last_numbers(sent))
            waits = [(gateway.covered_at(one) - at) * 1_000 for one, at in zip(sent, published, strict=True)]
        with contextlib.closing(sqlite3.connect(folder / "home" / "data.db")) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        after = (folder / "home" / "data.db").stat().st_size
    return percentiles(waits), (after - before) // len(sent)


def _growth(folder: Path, rng: random.Random, amount: Amount) -> tuple[list[Point], float, float]:
    """Cost by length; then seconds of a start at the greatest length, and MiB after it has worked there."""
    folder.mkdir()
    with mosquitto(folder) as port, contextlib.closing(Role(folder / "home", port)) as role:
        long = LongLog(role.url, rng, signer=role.checkpoint_signer, entry_signer=role.entry_signer)
        points = [long.measure(size, batches=1 if amount.rounds == 1 else 8) for size in amount.sizes]
        sent = long.fleet.take(1_000)
        restart_s = role.start()
        gateway = role.gateway()
        for one in sent:
            gateway.publish(one)
        gateway.wait_for(last_numbers(sent))
        rss_mb = role.rss_mb()
        long.database.close()
    return points, restart_s, rss_mb
