"""What an append and a proof cost when the log is long: the entries before are synthetic, what is measured is real."""

import random  # noqa: TID251 - one seeded source for the whole bench
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from statistics import median
from typing import Any, Final

from dashboard.bench._ledger_events import TENANT, Fleet
from server.core.clock import SystemClock
from server.core.db import Database
from server.core.rng import SystemRng
from server.core.signer import Signer
from server.ledger import batch_store, checkpoint, lease, log_store, merkle, service, tile_cache
from server.ledger.batch import Arrival
from server.ledger.partitions import Room
from server.ledger.schemas import LeafKind
from server.ledger.sequencer import Sequencer, Signers
from server.migrations import migrate

SYNTHETIC: Final = 10_000
"""Entries written in one transaction."""
LEAF: Final = 400
PROOFS: Final = 300
ORIGIN: Final = "seal.example/log"
BATCH: Final = 1_000


@dataclass(frozen=True, slots=True)
class Point:
    """CPU microseconds at `size` entries."""

    size: int
    append_us: float
    inclusion_us: float
    consistency_us: float


class LongLog:
    """A log that is made longer without signatures, then measured with real events."""

    def __init__(self, url: str, rng: random.Random, *, signer: Signer, entry_signer: Signer) -> None:
        self._rng = rng
        self.database = Database(url)
        migrate(self.database)
        self.fleet = Fleet.of(rng)
        self.fleet.enrol(self.database)
        self._clock = SystemClock()
        self._key, self._entry_key = signer, entry_signer

    def measure(self, size: int, *, batches: int) -> Point:
        """With `size` entries before it."""
        self._fill(size - batches * BATCH)
        sequencer = self._sequencer()
        sequencer.open()
        costs = []
        for _ in range(batches):
            arrivals = [Arrival(sent.data, "gw-bench", sent.device_id) for sent in self.fleet.take(BATCH)]
            begun = time.process_time()
            sequencer.commit(arrivals)
            costs.append((time.process_time() - begun) / BATCH * 1e6)
        sequencer.close()
        inclusion, consistency = self._proofs(sequencer.size)
        return Point(sequencer.size, median(costs), inclusion, consistency)

    def _sequencer(self) -> Sequencer:
        return Sequencer(
            self.database,
            signers=Signers(checkpoint=self._key, entry=self._entry_key),
            origin=ORIGIN,
            clock=self._clock,
            rng=SystemRng(),
        )

    def _fill(self, size: int) -> None:
        holder, room = lease.new_holder(SystemRng()), Room()
        while True:
            with self.database.write() as db:
                now = self._clock.now()
                log = lease.take(db, holder=holder, origin=ORIGIN, now=now)
                count = min(SYNTHETIC, size - log.size)
                if count <= 0:
                    lease.release(db, holder=holder)
                    return
                room.extend(db, log.size, SYNTHETIC)
                tree = merkle.Tree.load(log.size, log_store.tile_reader(db))
                rows = [self._row(log.size + number, now) for number in range(count)]
                batch_store.store_entries(db, rows, [])
                log_store.store_tiles(db, tree.append([row[1] for row in rows]))
                head = checkpoint.sign(ORIGIN, tree.size, tree.root(), key=self._key)
                log_store.store_checkpoint(db, head, now=now)
                log.size = tree.size
                lease.release(db, holder=holder)

    def _row(self, index: int, now: datetime) -> tuple[Any, ...]:
        """Unsigned, of devices that do not exist: 1,000 chains, so that indexes grow as they would."""
        leaf = self._rng.randbytes(LEAF)
        place = (f"SY-{index % 1000:06}", 1, index // 1000 + 1)
        return (index, merkle.leaf_hash(leaf), LeafKind.EVENT.value, leaf, TENANT, "/", now, 1 + index % 10, *place)

    def _proofs(self, size: int) -> tuple[float, float]:
        """Median CPU: a leaf hash to its inclusion proof under the newest checkpoint, with the look-up; consistency.

        A process that has been serving for a while: tile_cache holds the tiles and merkle._expanded their inner nodes.
        """
        inclusion, consistency = [], []
        with self.database.read() as db:
            head = service.checkpoint(db)
            hashes = [
                row[0]
                for row in db.connection().exec_driver_sql("SELECT leaf_hash FROM ledger_entry ORDER BY idx").fetchall()
            ][:: max(1, size // PROOFS)][:PROOFS]
            for index in range(0, size, merkle.TILE_WIDTH):
                tile_cache.inclusion_proof(db, index, size)
            self._rng.shuffle(hashes)
            for leaf_hash in hashes:
                old = self._rng.randrange(1, size)
                begun = time.process_time()
                service.proof(db, leaf_hash, under=head)
                middle = time.process_time()
                tile_cache.consistency_proof(db, old, size)
                inclusion.append((middle - begun) * 1e6)
                consistency.append((time.process_time() - middle) * 1e6)
        return median(inclusion), median(consistency)


def draw(points: list[Point], *, title: str) -> str:
    """The growth curve as SVG: entries on a logarithmic axis, CPU microseconds from zero."""
    left, width, bottom, height = 70, 520, 260, 210
    top = max(max(point.append_us, point.inclusion_us, point.consistency_us) for point in points) * 1.15
    names = ("append_us", "inclusion_us", "consistency_us")
    colours = ("#9b1c1c", "#1c4f9b", "#2d7a36")
    places = [left + width * number // max(1, len(points) - 1) for number in range(len(points))]
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 720 310" font-family="sans-serif" font-size="12">',
        f'<text x="{left}" y="20">{title}</text>',
        f'<path d="M{left} {bottom - height}V{bottom}H{left + width}" fill="none" stroke="#444"/>',
        f'<text x="5" y="{bottom - height}">{top:.0f} µs</text><text x="5" y="{bottom}">0 µs</text>',
    ]
    for place, point in zip(places, points, strict=True):
        parts.append(f'<text x="{place}" y="{bottom + 20}" text-anchor="middle">{point.size:,}</text>')
    for number, (name, colour) in enumerate(zip(names, colours, strict=True)):
        values = [getattr(point, name) for point in points]
        line = " ".join(
            f"{place},{bottom - height * value / top:.1f}" for place, value in zip(places, values, strict=True)
        )
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        label = f"{name.removesuffix('_us')}: {' / '.join(f'{value:.0f}' for value in values)} µs"
        parts.append(f'<text x="{left}" y="{bottom + 40}" dx="{190 * number}" fill="{colour}">{label}</text>')
    return "\n".join([*parts, "</svg>\n"])


def write_picture(points: list[Point], path: Path, *, title: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(draw(points, title=title))
