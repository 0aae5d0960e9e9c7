"""The device's world in memory: clock, disk, shaft, tray and a power cut, each with the faults that tests ask for."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from device_sim.core.errors import StorageFailed
from device_sim.core.ports import Glance, NoShot, PhotoOrder, Shot
from firmware_protocol.reasons import Reason


class PowerCut(Exception):
    """The lights went out."""


class Clock:
    def __init__(self) -> None:
        self.ms = 5_000

    def now_ms(self) -> int:
        return self.ms


class CountingRng:
    """Never the same bytes twice, also after a reboot."""

    def __init__(self) -> None:
        self._count = 0

    def token_bytes(self, n: int) -> bytes:
        self._count += 1
        return hashlib.sha256(self._count.to_bytes(8, "big")).digest()[:n]


class MemoryDisk:
    """After `bytes_left` more bytes the power goes; of the append it hits, so much stays."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.bytes_left: int | None = None
        self.written = 0
        self.full = False
        self.free = 1 << 30

    def read(self, name: str) -> bytes:
        return self.files.get(name, b"")

    def append(self, name: str, data: bytes) -> None:
        if self.full:
            raise StorageFailed("no space left")
        kept = data if self.bytes_left is None else data[: self.bytes_left]
        self.files[name] = self.read(name) + kept
        self._wrote(len(data))

    def sync(self, name: str) -> None:
        assert name in self.files

    def replace(self, name: str, data: bytes) -> None:
        if self.full:
            raise StorageFailed("no space left")
        self._wrote(len(data))
        self.files[name] = data

    def free_bytes(self) -> int:
        return 0 if self.full else self.free

    def _wrote(self, size: int) -> None:
        self.written += size
        if self.bytes_left is not None:
            self.bytes_left -= size
            if self.bytes_left <= 0:
                raise PowerCut


class Shaft:
    """Latch, lever, counter."""

    def __init__(self) -> None:
        self.count = 0
        self.free = False
        self.bounces = 0
        self.flags: list[str] = []

    def read(self) -> int:
        return self.count

    def release(self) -> None:
        self.free = not self.flags

    def hold(self) -> None:
        self.free = False

    def trip(self, sensor: str) -> None:
        self.free = False
        self.flags += [sensor] if sensor not in self.flags else []

    def tripped(self) -> tuple[str, ...]:
        return tuple(self.flags)

    def rearm(self) -> None:
        self.flags.clear()

    def pull(self) -> bool:
        if not self.free:
            return False
        self.free = False
        self.count += 1 + self.bounces
        self.bounces = 0
        return True


@dataclass
class Tray:
    page_present: bool = False
    page_token: int = 0
    fails: bool = False
    dry: bool = False  # the coder prints nothing
    strips: list[bytes] = field(default_factory=list)
    orders: list[PhotoOrder] = field(default_factory=list)
    kept: set[bytes] = field(default_factory=set)
    printed: list[str] = field(default_factory=list)
    shots: int = 0

    def start(self, order: PhotoOrder) -> None:
        self.orders.append(order)

    def shoot(self, order: PhotoOrder) -> Shot | Glance | NoShot:
        if order.look:
            place = (73, 52, 927, 52, 927, 918, 73, 918)
            return NoShot(reason=Reason.CAMERA_FAILED) if self.fails else Glance(digest=b"l" * 32, place=place)
        printed = (order.code is not None or order.cancelled) and self.page_present and not self.dry
        if printed:
            self.printed.append(order.code.url if order.code is not None else "CANCELLED")
        self.strips.append(order.strip)
        if self.fails:
            return NoShot(reason=Reason.CAMERA_FAILED, code_printed=printed)
        self.shots += 1
        preview, full = (hashlib.sha256(f"{kind}{self.shots}".encode()).digest() for kind in "pf")
        self.kept |= {preview, full}
        return Shot(preview_digest=preview, photo_digest=full, page_token=self.page_token, code_printed=printed)

    def forget(self, digest: bytes) -> None:
        self.kept.discard(digest)

    def keep_only(self, digests: Iterable[bytes]) -> None:
        self.kept &= set(digests)


class Trip:
    """Cuts the power the n-th time a named point is reached."""

    def __init__(self) -> None:
        self.at: str | None = None
        self.seen: list[str] = []

    def reach(self, point: str) -> None:
        self.seen.append(point)
        if point == self.at:
            self.at = None
            raise PowerCut
