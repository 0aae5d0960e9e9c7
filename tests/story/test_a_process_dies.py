"""Kill -9 of a sampled process at a sampled step; the keeper goes on, and the accounts agree.

Every pair of step and process: `cinnabar campaign story`.
"""

import random
import threading

import pytest

from dashboard.campaign.story import LONGEST_MS, STEPS
from dashboard.demo import mishaps, story
from dashboard.demo.story import Stage
from dashboard.demo.waiting import StoryFailed
from tests.fixtures.running import approved, books, come_back, fsck, tell

pytestmark = pytest.mark.usefixtures("logs")


def test_a_process_killed_at_a_sampled_step_costs_nothing(company: Stage, rng: random.Random) -> None:
    step, victim, delay_ms = rng.choice(STEPS), rng.choice(mishaps.VICTIMS), rng.randrange(LONGEST_MS)
    tell(f"{victim} dies {delay_ms} ms into '{step}'")
    approved(company)
    death = threading.Timer(delay_ms / 1000, mishaps.kill, (company, victim))
    for each in (each for each in story.STAMPING if each.name in STEPS):
        if each.name == step:
            death.start()
        try:
            each.act(company)
        except StoryFailed as error:
            tell(f"{each.name}: {error}")
            break
        if each.name == step:
            break
    death.join()
    come_back(company, victim)
    tries = mishaps.go_on(company)
    tell(f"done after {tries} tries")
    row = books(company).row(company.request_id)
    assert row["state"] == "done"
    assert row["approved"] <= row["pressed"] + row["not_confirmed"] <= row["approved"] + 1
    fsck(company)
