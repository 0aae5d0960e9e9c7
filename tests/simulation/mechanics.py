"""The mechanical world of one device: shaft, tray, camera. It knows nothing of journals and keeps counting."""

import hashlib
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from device_sim.core.ports import NoShot, PhotoOrder, Shot
from firmware_protocol.reasons import Reason
from tests.simulation.timeline import Timeline

SHUTTER_MS: Final = (150, 450)


@dataclass(frozen=True, slots=True)
class Paper:
    """What lies on the tray: a page of some document, by the document's digest."""

    document: bytes
    page: int

    def picture(self, *shot: str) -> bytes:
        """A photo of it; `shot` makes its bytes different from every other photo's."""
        return "|".join((self.document.hex(), str(self.page), *shot)).encode()


def paper_in(picture: bytes) -> Paper | None:
    """What an honest look at a photo sees; None when the bytes are no photo."""
    parts = picture.split(b"|")
    if len(parts) != 5 or not parts[1].isdigit():
        return None
    return Paper(bytes.fromhex(parts[0].decode()), int(parts[1]))


class DriftingClock:
    """ports.Clock: a quartz that is off by some parts in a million."""

    def __init__(self, timeline: Timeline, *, ppm: int) -> None:
        self._timeline = timeline
        self._rate = 1 + ppm / 1e6

    def now_ms(self) -> int:
        return 5_000 + int(self._timeline.now_ms * self._rate)


class SeededRng:
    """ports.Rng."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def token_bytes(self, n: int) -> bytes:
        return self._rng.randbytes(n)


class Shaft:
    """ports.Latch and ports.Counter, and the lever for a hand. One release lets the head through once."""

    def __init__(self, *, on_release: Callable[[], None], on_press: Callable[[int], None]) -> None:
        self._on_release = on_release
        self._on_press = on_press
        self.count = 0
        self.free = False
        self.bounces = 0
        self.flags: list[str] = []

    def read(self) -> int:
        return self.count

    def release(self) -> None:
        self.free = not self.flags
        self._on_release()

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
        """Whether the head came down; a bouncing lever lets it down twice."""
        if not self.free:
            return False
        self.free = False
        presses, self.bounces = 1 + self.bounces, 0
        self.count += presses
        self._on_press(presses)
        return True


class Tray:
    """ports.Camera and ports.Photos. Pictures are durable before a Shot exists.

    `taken(number, outcome)` is called when an exposure is over; `forgotten(digest)` when the device deletes a picture.
    """

    def __init__(
        self,
        timeline: Timeline,
        rng: random.Random,
        *,
        name: str,
        taken: Callable[[int, Shot | NoShot], None],
        forgotten: Callable[[bytes], None],
    ) -> None:
        self._timeline = timeline
        self._rng = rng
        self._name = name
        self._taken = taken
        self._forgotten = forgotten
        self._shots = 0
        self._powered = 0
        self.paper: Paper | None = None
        self.page_token = 0
        self.failing = 0
        self.pictures: dict[bytes, bytes] = {}

    @property
    def page_present(self) -> bool:
        return self.paper is not None

    def lay(self, paper: Paper | None) -> None:
        self.paper = paper
        self.page_token += 1

    def power_lost(self) -> None:
        """Exposures under way come to nothing."""
        self._powered += 1

    def start(self, order: PhotoOrder) -> None:
        powered = self._powered

        def shoot() -> None:
            if powered == self._powered:
                self._taken(order.number, self._expose(order))

        self._timeline.after(self._rng.randint(*SHUTTER_MS), shoot)

    def _expose(self, order: PhotoOrder) -> Shot | NoShot:
        printed = order.code is not None and self.paper is not None
        if self.failing > 0:
            self.failing -= 1
            return NoShot(reason=Reason.CAMERA_FAILED, code_printed=printed)
        self._shots += 1
        paper = self.paper or Paper(bytes(32), 0)
        preview, photo = (paper.picture(self._name, kind, str(self._shots)) for kind in ("preview", "photo"))
        for picture in (preview, photo):
            self.pictures[hashlib.sha256(picture).digest()] = picture
        return Shot(
            preview_digest=hashlib.sha256(preview).digest(),
            photo_digest=hashlib.sha256(photo).digest(),
            page_token=self.page_token,
            code_printed=printed,
        )

    def forget(self, digest: bytes) -> None:
        if self.pictures.pop(digest, None) is not None:
            self._forgotten(digest)

    def keep_only(self, digests: Iterable[bytes]) -> None:
        for digest in set(self.pictures) - set(digests):
            self.forget(digest)
