"""The ink trend: warns about 50 imprints ahead, whatever single imprints look like, and begins anew after a refill."""

import random

import pytest

from server.devices import service as devices
from server.devices.ink import FAINT_SHARE, WARN_AT, Reading, trend
from tests.server.office import DEVICE_ID, Office
from tests.server.world import HEAD


def pad(rng: random.Random, *, first: int, imprints: int, start: float = 0.95, noise: float = 0.03) -> list[Reading]:
    """An ink pad that falls from `start` to faint in `imprints`; one imprint in twenty came out badly."""
    fall = (start - FAINT_SHARE) / imprints
    readings = []
    for number in range(imprints):
        share = start - fall * number + rng.gauss(0, noise)
        readings.append(Reading(counter=first + number, share=share * 0.5 if rng.random() < 0.05 else share))
    return readings


@pytest.mark.parametrize("imprints", [150, 300, 600])
def test_the_warning_comes_about_50_imprints_ahead(imprints: int, seed: int) -> None:
    rng = random.Random(seed)
    early, late, estimates = 0, 0, []
    for _pad in range(20):
        readings = pad(rng, first=1000, imprints=imprints)
        found = {left: trend(readings[: imprints - left]) for left in (120, 50, 25)}
        early, late = early + found[120].low, late + (not found[25].low)
        estimates.append(found[50].imprints_left or 0)
    assert (early, late) <= (1, 1), f"seed {seed}: {early} of 20 warned too early, {late} too late"
    assert 40 <= sorted(estimates)[10] <= 65, f"seed {seed}: {sorted(estimates)}"


def test_full_ink_that_does_not_fall_warns_of_nothing(seed: int) -> None:
    rng = random.Random(seed)
    steady = [Reading(counter=number, share=0.9 + rng.gauss(0, 0.03)) for number in range(120)]
    lows = [trend(steady[:count]).low for count in range(0, len(steady), 5)]
    assert not any(lows), f"seed {seed}"


def test_few_imprints_tell_nothing() -> None:
    assert trend([]).imprints_left is None
    assert trend([Reading(counter=number, share=0.9 - number / 10) for number in range(10)]).imprints_left is None


def test_one_counter_for_all_is_no_trend() -> None:
    assert trend([Reading(counter=5, share=0.5)] * 30).imprints_left is None


@pytest.mark.parametrize("ordered", [True, False])
def test_a_refill_begins_anew(seed: int, *, ordered: bool) -> None:
    rng = random.Random(seed)
    old = pad(rng, first=0, imprints=200)
    fresh = pad(rng, first=200, imprints=200)
    assert trend(old[:190]).low
    refilled_at = 199 if ordered else -1
    after = [trend([*old, *fresh[:count]], refilled_at=refilled_at) for count in range(20, 60, 4)]
    assert sum(found.low for found in after) <= 1, f"seed {seed}"
    assert trend([*old, *fresh[:190]], refilled_at=refilled_at).low


def test_the_office_sees_it_per_head(office: Office) -> None:
    with office.run.db.write() as db:
        for reading in pad(random.Random(1), first=100, imprints=200)[:170] * 2:  # the same imprint twice
            devices.note_ink(
                db,
                office.run,
                tenant_id=office.company.tenant.id,
                device_id=DEVICE_ID,
                head_id=HEAD,
                counter=reading.counter,
                share=reading.share,
            )
    with office.run.db.read() as db:
        (seen,) = devices.ink(db, office.device())
    assert (seen.slot, seen.low, seen.readings) == (1, True, 170)
    assert 0 <= (seen.imprints_left or 0) <= WARN_AT
