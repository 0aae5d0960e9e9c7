"""The real core, rules and admission under one simulator: a sample of its schedules, and every planted bug found."""

import dataclasses

import pytest

from tests.simulation.bugs import BUGS, Bug, planted
from tests.simulation.campaign import find, run_schedules
from tests.simulation.marks import Marks
from tests.simulation.world import World

SAMPLE = 24
"""Schedules from the first on, the same in every run; so a change that breaks one of them is seen at once."""
FRESH = 8
"""And some that nobody ran before."""
NEAR = 400
"""Schedules tried from a bug's `near` on, where the first was seen to find it; the campaign searches from its first."""


def test_every_invariant_holds_in_a_sample() -> None:
    totals = run_schedules(1, SAMPLE)
    assert totals.violations == []
    assert totals.strokes >= 3 * SAMPLE
    assert {"cut_between_intent_and_press", "duplicate_after_lost_ack", "gap_closed_late"} <= totals.marks.keys()


def test_every_invariant_holds_in_schedules_that_are_new(seed: int) -> None:
    assert run_schedules(seed, FRESH).violations == []


def test_the_same_seed_is_the_same_world(seed: int) -> None:
    first, second = (World(seed, marks=Marks()) for _ in range(2))
    assert first.run() == second.run()
    for one, other in zip(first.stands, second.stands, strict=True):
        assert one.account.story == other.account.story


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_planted_bug_is_found(bug: Bug) -> None:
    _, after, broke = find(bug.name, bug.near, NEAR)
    assert after, f"{bug.name} not found in {NEAR} schedules from {bug.near} on"
    assert broke.startswith("I")


def test_real_code_is_back_after_a_planted_bug() -> None:
    before = [(owner, name, getattr(owner, name, None)) for bug in BUGS for owner, name, _ in bug.patches]
    for bug in BUGS:
        with planted(bug):
            pass
    assert all(getattr(owner, name, None) == value for owner, name, value in before)
    assert len({bug.name for bug in BUGS}) == len(BUGS)
    assert dataclasses.is_dataclass(BUGS[0])
