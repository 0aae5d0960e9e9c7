"""Photos: their numbers, their light strip, and the two that belong to a stroke (design: D5, D6).

The strip shows sixteen bytes that nobody could know before, and the mechanical counter (four bytes, big-endian), in
every photo: an old photo shows an old strip.
"""

from dataclasses import dataclass
from typing import Final

from device_sim.core.checks import No
from device_sim.core.log import EventLog
from device_sim.core.memory import Memory
from device_sim.core.ports import CodeToPrint, NoShot, Parts, PhotoOrder, Shot
from device_sim.core.timekeeping import NONCE_SIZE
from firmware_protocol import events, trace
from firmware_protocol.events import Body, Cause
from firmware_protocol.reasons import Reason

PHOTO_TRIES: Final = 3
"""Photos tried after a press before the stroke counts as not photographed."""
MAX_PHOTOS: Final = 1_024
"""Pictures that may wait for a receipt; at 1 MB each, 1 GB."""
COUNTER_SIZE: Final = 4


def strip(nonce: bytes, *, counter: int) -> bytes:
    """What the light strip shows."""
    return nonce[:NONCE_SIZE] + (counter & 0xFFFF_FFFF).to_bytes(COUNTER_SIZE, "big")


class Shutter:
    """One photo at a time."""

    def __init__(self, *, parts: Parts, log: EventLog) -> None:
        self._parts = parts
        self._log = log
        self._ordered = log.memory.boot << 20  # a photo from before a restart fits no order of this one
        self._under_way: set[int] = set()

    @property
    def busy(self) -> bool:
        return bool(self._under_way)

    def check(self) -> No | None:
        """Why no photo of a sheet can be taken now."""
        if self.busy:
            return No(reason=Reason.BUSY, detail="a photo is being taken")
        if not self._parts.camera.page_present:
            return No(reason=Reason.NO_PAGE, detail="no page on the tray")
        if not self._log.journal.has_room or len(self._log.memory.photos) >= MAX_PHOTOS:
            return No(reason=Reason.JOURNAL_FULL, detail="too much waits for a receipt")
        return None

    def start(self, nonce: bytes, *, code: CodeToPrint | None = None, cancelled: bool = False) -> int:
        """The order's number."""
        self._ordered += 1
        self._under_way.add(self._ordered)
        shown = strip(nonce, counter=self._parts.counter.read())
        self._parts.camera.start(PhotoOrder(number=self._ordered, strip=shown, code=code, cancelled=cancelled))
        return self._ordered

    def glance(self) -> int:
        """A look, which keeps no photo waiting: the number of its order."""
        self._ordered += 1
        self._parts.camera.start(PhotoOrder(number=self._ordered, strip=b"", look=True))
        return self._ordered

    def delivered(self, number: int) -> None:
        self._under_way.discard(number)

    def moved(self, shot: Shot, *, page_token: int) -> No | None:
        """Whether the sheet lies as it lay when the photo was ordered."""
        if page_token == shot.page_token == self._parts.camera.page_token:
            return None
        return No(reason=Reason.PAGE_MOVED, detail="the page moved while the photo was taken")

    def forget(self, shot: Shot) -> None:
        """No event names it."""
        for digest in (shot.preview_digest, shot.photo_digest):
            if digest not in self._log.memory.photos:
                self._parts.photos.forget(digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A photo before a stroke, of a sweep, or of paper for a request that is yet to be written."""

    number: int
    token_id: bytes
    stroke: int
    nonce: bytes
    page_token: int
    page: int | None

    def seen(self, shot: Shot) -> events.PageSeen:
        return events.PageSeen(
            token_id=self.token_id,
            stroke=self.stroke,
            preview_digest=shot.preview_digest,
            photo_digest=shot.photo_digest,
            stroke_nonce=self.nonce,
            page=self.page,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    number: int
    code: bytes
    tries_left: int
    printed: bool


class AfterPhoto:
    """The photo of an imprint, with its code printed first. Without a photo the use stays consumed."""

    def __init__(self, *, shutter: Shutter, inline_coder: bool) -> None:
        self._shutter = shutter
        self._inline_coder = inline_coder
        self._waiting: _Waiting | None = None

    def start(self, code: bytes, memory: Memory) -> None:
        self._shoot(code, memory, tries_left=PHOTO_TRIES - 1, printed=not self._inline_coder)

    def is_it(self, number: int) -> bool:
        return self._waiting is not None and self._waiting.number == number

    def take(self, outcome: Shot | NoShot, memory: Memory) -> list[Body]:
        """What ends the stroke; nothing while another try is under way."""
        waiting, work = self._waiting, memory.work
        if waiting is None or work is None:  # pragma: no cover - is_it was asked, and a stroke is made for some work
            return []
        printed = waiting.printed or outcome.code_printed
        if isinstance(outcome, NoShot) and waiting.tries_left > 0:
            self._shoot(waiting.code, memory, tries_left=waiting.tries_left - 1, printed=printed)
            return []
        self._waiting = None
        used = memory.strokes_used + 1
        unprinted: list[Body] = [] if printed else [events.Sensor(sensor="coder", value=0)]
        if isinstance(outcome, NoShot):
            cancelled = events.Cancelled(token_id=work.token_id, stroke=used, cause=Cause.SENSOR_FAILED, returned=False)
            return [*unprinted, cancelled]
        done = events.Done(
            token_id=work.token_id,
            stroke=used,
            preview_digest=outcome.preview_digest,
            photo_digest=outcome.photo_digest,
            trace_code=waiting.code,
        )
        return [*unprinted, done]

    def _shoot(self, code: bytes, memory: Memory, *, tries_left: int, printed: bool) -> None:
        if memory.terms is None:  # pragma: no cover - a stroke needs a paired device
            raise ValueError("a stroke needs terms")
        url = trace.url(code, host=memory.terms.trace_host)
        to_print = None if printed else CodeToPrint(url=url, short_code=trace.short_code(code))
        number = self._shutter.start(events.chain_hash(code), code=to_print)
        self._waiting = _Waiting(number=number, code=code, tries_left=tries_left, printed=printed)
