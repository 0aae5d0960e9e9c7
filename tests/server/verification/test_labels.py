"""One label for the imprints of a sheet, offline: what it stands for, and labels that do not fit."""

import random

import pytest

from firmware_protocol import events, trace
from server.ledger.entry_types import EntryType
from server.verification import bundle
from server.verification.bundle import BundleVerdict, Outcome
from server.verification.roots import of_bundle
from tests.server.verification.story_maker import NOW, StoryMaker


@pytest.fixture
def story(rng: random.Random) -> StoryMaker:
    made = StoryMaker(rng)
    made.plan = ((1, 1), (1, 1), (1, 2), (2, 1))
    return made


def stamped(story: StoryMaker) -> StoryMaker:
    """Two imprints on one sheet, then one on its second page, then one on the next copy."""
    story.submit(strokes=4)
    story.decide()
    story.grant(story.token(strokes=4), strokes=4)
    for stroke, (_copy, page) in enumerate(story.plan or ((1, 1),) * 4, start=1):
        story.stroke(stroke, page=page)
    story.event(events.Closed(token_id=story.token_id, strokes_used=4, cause=events.Cause.USED_UP))
    return story


def judged(story: StoryMaker) -> BundleVerdict:
    return bundle.verify(story.file().bundle(), pins=[of_bundle(story.trust_bundle())], now=NOW)


def test_a_label_stands_for_every_imprint_on_its_sheet_and_no_other(story: StoryMaker) -> None:
    stamped(story)
    for stroke in (2, 3, 4):
        story.label(stroke)
    verdict = judged(story)
    assert verdict.outcome is Outcome.GOOD
    shorts = [trace.short_code(code) for code in story.codes]
    told = [(label.code, label.copy, label.page, label.imprints) for label in verdict.labels]
    assert told == [
        (shorts[1], 1, 1, (shorts[0], shorts[1])),
        (shorts[2], 1, 2, (shorts[2],)),
        (shorts[3], 2, 1, (shorts[3],)),
    ]
    (check,) = [check for check in verdict.checks if check.name == "labels"]
    assert f"label {shorts[1]} stands for 2 imprints on copy 1, page 1" in check.compared


def test_a_label_on_the_first_of_two_imprints_does_not_stand_for_the_later_one(story: StoryMaker) -> None:
    stamped(story).label(1)
    (label,) = judged(story).labels
    assert label.imprints == (trace.short_code(story.codes[0]),)


def test_an_imprint_of_a_cancelled_sheet_is_under_no_label(story: StoryMaker) -> None:
    stamped(story)
    first = trace.short_code(story.codes[0])
    story.entry(
        EntryType.CODE_WITHDRAWN,
        refs={"code": first, "request": story.request},
        public={"since_ms": NOW * 1000},
        private={"reason": "spoiled sheet"},
    )
    story.label(2)
    (label,) = judged(story).labels
    assert label.imprints == (trace.short_code(story.codes[1]),)


def test_where_the_entry_says_no_sheet_a_label_stands_for_its_own_imprint(story: StoryMaker) -> None:
    story.plan = ()
    stamped(story).label(2)
    (label,) = judged(story).labels
    assert (label.copy, label.page, label.imprints) == (0, 0, (trace.short_code(story.codes[1]),))


@pytest.mark.parametrize("wrong", ["another code", "no such imprint"])
def test_a_label_that_does_not_fit_is_refused_by_name(story: StoryMaker, wrong: str) -> None:
    stamped(story)
    leaf = story.label(2, code=story.codes[2]) if wrong == "another code" else story.label(9, code=story.codes[2])
    verdict = judged(story)
    assert verdict.outcome is Outcome.REFUSED
    assert len(verdict.named) == 1
    assert verdict.named[0].startswith("entries/"), leaf.hex()
