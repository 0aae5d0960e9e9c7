"""How long the ink of a head lasts: a straight line through what its imprints showed. Pure, but for the two queries.

Its slope is the median of the slopes from each imprint of the first half to its partner in the second, so that single
faint or smeared imprints do not turn it. It starts anew at a refill: one that was ordered, or one that shows as a jump.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Final
from uuid import UUID

from sqlmodel import Session

from server.core.runtime import Runtime
from server.devices import store
from server.devices.models import InkReading
from server.devices.schemas import DeviceRead, InkRead

FAINT_SHARE: Final = 0.6
"""Darkness beside a fresh imprint below which an imprint is graded faint: FAINT_TONE of inspection, which a test holds
against this."""
WARN_AT: Final = 50
"""Imprints left from which on the office should fetch ink."""
FULL_SHARE: Final = 0.8
"""Imprints as dark as this warn of nothing, however the line through a few of them may fall."""
WINDOW: Final = 240
FEWEST: Final = 20
_JUMP: Final = 0.15
_JUMP_WIDTH: Final = 10
"""A refill nobody ordered: the median of ten imprints lies this much above that of the ten before."""
_FALLING: Final = 0.7
"""Less than this part of the pairs falling is noise, not a trend; no trend gives a half."""
MOST: Final = 9999


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    counter: int  # mechanical
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """`imprints_left` is None while nothing falls, or too few imprints were seen; `share` is where the line is now."""

    imprints_left: int | None
    share: float | None
    readings: int

    @property
    def low(self) -> bool:
        dark = self.share is not None and self.share > FULL_SHARE
        return self.imprints_left is not None and self.imprints_left <= WARN_AT and not dark


def trend(readings: Sequence[Reading], *, refilled_at: int = -1) -> Trend:
    """`readings` in the order of their counter; those up to `refilled_at` belong to the ink before."""
    current = _since_jump([reading for reading in readings if reading.counter > refilled_at])[-WINDOW:]
    if len(current) < FEWEST:
        return Trend(imprints_left=None, share=None, readings=len(current))
    slopes = [
        (later.share - earlier.share) / (later.counter - earlier.counter)
        for earlier, later in zip(current, current[len(current) // 2 :], strict=False)
        if later.counter > earlier.counter
    ]
    if not slopes:
        return Trend(imprints_left=None, share=median(reading.share for reading in current), readings=len(current))
    slope = median(slopes)
    start = median(reading.share - slope * reading.counter for reading in current)
    now = start + slope * current[-1].counter
    falling = sum(value < 0 for value in slopes) / len(slopes)
    if slope >= 0 or falling < _FALLING:
        return Trend(imprints_left=None, share=now, readings=len(current))
    left = min(MOST, max(0, int((now - FAINT_SHARE) / -slope)))
    return Trend(imprints_left=left, share=now, readings=len(current))


def _since_jump(readings: list[Reading]) -> list[Reading]:
    for at in range(len(readings) - _JUMP_WIDTH, _JUMP_WIDTH - 1, -1):
        before = median(reading.share for reading in readings[at - _JUMP_WIDTH : at])
        after = median(reading.share for reading in readings[at : at + _JUMP_WIDTH])
        if after - before > _JUMP:
            return readings[at:]
    return readings


def note_ink(
    db: Session, run: Runtime, *, tenant_id: UUID, device_id: str, head_id: bytes, counter: int, share: float
) -> None:
    """What the check of one imprint saw. The same imprint again changes nothing."""
    if store.ink_reading(db, device_id, head_id, counter, "imprint") is not None:
        return
    db.add(
        InkReading(
            id=run.new_id(),
            created_at=run.now(),
            tenant_id=tenant_id,
            device_id=device_id,
            head_id=head_id,
            counter=counter,
            source="imprint",
            share=share,
        )
    )
    db.flush()


def ink(db: Session, device: DeviceRead) -> list[InkRead]:
    """Of every head that the device holds now."""
    return [_ink_of(db, device.device_id, head.slot, head.head_id) for head in device.heads]


def _ink_of(db: Session, device_id: str, slot: int, head_id: bytes) -> InkRead:
    rows = store.ink_readings(db, device_id, head_id, 2 * WINDOW)
    refills = [row.counter for row in rows if row.source == "refill"]
    seen = [Reading(counter=row.counter, share=row.share) for row in rows if row.source == "imprint"]
    found = trend(seen, refilled_at=refills[-1] if refills else -1)
    return InkRead(
        slot=slot, head_id=head_id, imprints_left=found.imprints_left, low=found.low, readings=found.readings
    )
