"""The device's disk: what was written is pending until it is synced, and a power cut decides about the rest."""

import random
from collections.abc import Callable
from typing import Final

from device_sim.core.errors import StorageFailed

SECTOR: Final = 512


class PowerCut(Exception):
    """The lights went out."""


class SimDisk:
    """ports.Disk. `on_durable(chunk, whole, fresh)` hears of every write that became durable: `whole` when it is the
    file anew, `fresh` when it holds nothing from before a failed write.

    `tear_in`: the power goes in the middle of the n-th next write. `fail_in`: the n-th next write fails (EIO) instead.
    """

    def __init__(self, rng: random.Random, *, capacity: int, on_durable: Callable[[bytes, bool, bool], None]) -> None:
        self._rng = rng
        self._on_durable = on_durable
        self.capacity = capacity
        self.durable = b""
        self.pending = b""
        self.tear_in = 0
        self.fail_in = 0
        self.torn: bytes = b""  # the append that the last cut tore
        self.kept = 0  # how many bytes of it stayed
        self.lost_rename = False
        self.failed = False  # a write failed since the last that became durable
        self.on_full: Callable[[], None] = lambda: None

    def read(self, _name: str) -> bytes:
        return self.durable + self.pending

    def free_bytes(self) -> int:
        return self.capacity - len(self.durable) - len(self.pending)

    def append(self, _name: str, data: bytes) -> None:
        cut = self._count_down(data)
        if len(data) > self.free_bytes():
            self.on_full()
            raise StorageFailed("no space left")
        self.pending += data
        if cut:
            raise PowerCut

    def sync(self, _name: str) -> None:
        if self.pending:
            chunk, self.pending = self.pending, b""
            self.durable += chunk
            self._told(chunk, whole=False)

    def replace(self, _name: str, data: bytes) -> None:
        """A new file, its name changed over the old one, the folder synced; a cut before the last step may lose it."""
        cut = self._count_down(b"")
        if len(data) > self.capacity:
            self.on_full()
            raise StorageFailed("no space left")
        if cut and self._rng.random() < 0.5:
            self.lost_rename = True
            raise PowerCut
        self.durable, self.pending = data, b""
        self._told(data, whole=True)
        if cut:
            raise PowerCut

    def _told(self, chunk: bytes, *, whole: bool) -> None:
        fresh, self.failed = not self.failed, False
        self._on_durable(chunk, whole, fresh)

    def _count_down(self, reached: bytes) -> bool:
        """Whether the power goes in this write. Raises: StorageFailed; of `reached` some may be there then."""
        self.fail_in -= 1
        self.tear_in -= 1
        if self.fail_in == 0:
            self.pending += reached[: self._rng.randrange(len(reached) + 1)]
            self.failed = True
            raise StorageFailed("input/output error")
        return self.tear_in == 0

    def power_lost(self) -> None:
        """Of what was pending a prefix stays, its last sector perhaps torn: garbage behind what was written."""
        self.torn, self.pending = self.pending, b""
        self.kept = self._rng.randrange(len(self.torn) + 1) if self.torn else 0
        left = self.torn[: self.kept]
        self.durable += left
        if left and self._rng.random() < 0.3:
            rest = -len(self.durable) % SECTOR
            self.durable += self._rng.choice([bytes(rest), self._rng.randbytes(rest)])
        self.tear_in = self.fail_in = 0
