"""The keeper of `bench workday`: goes on when a step has to be taken again, and says where it stood when none helps."""

from collections.abc import Callable
from typing import Any

import pytest

from dashboard.bench._keeper import Keeper, Tally
from dashboard.bench._paper_stack import Document
from dashboard.bench.workday import _next_mishap
from dashboard.demo.callers import Json
from dashboard.demo.waiting import StoryFailed

LEASE = Document(title="Agreement 07", pdf=b"%PDF", pages=3, places=((2, 150.0, 235.0),))
FORGIVING_S = 60.0


class Office:
    """Gateway and device in one: `shows` says what the page shows after the posts so far."""

    device_id = "CB-TEST"

    def __init__(self, shows: Callable[[list[str]], Json]) -> None:
        self.posts: list[str] = []
        self.refuse: list[str] = []
        self._shows = shows

    @property
    def at_gateway(self) -> "Office":
        return self

    @property
    def beside(self) -> "Office":
        return self

    def post(self, step: str, path: str, _body: Json | None = None) -> Json:
        self.posts.append(path.rpartition("/")[2])
        if self.refuse and self.refuse[0] == self.posts[-1]:
            self.refuse.pop(0)
            raise StoryFailed(step, "In a moment.")
        return {}

    def pull(self) -> Json:
        self.posts.append("pull")
        return {"pressed": True}

    def device(self, _step: str) -> Json:
        session = {"code": "", "text": "", "busy": True, "request_id": None, "page": 2, "page_used": False}
        session |= self._shows(self.posts)
        return {"session": session, "online": True, "state": "granted", "page_present": True, "last_seq": 4}

    def get(self, step: str, _path: str) -> Json:
        return {"devices": [self.device(step)], "uplink": False, "phone": True, "waiting": {"events": 3}}


def keeper(office: Office, tally: Tally, *, patience_s: float) -> Keeper:
    stage: Any = office
    return Keeper(stage, tally, patience_s=patience_s, again_s=0)


def test_a_step_that_never_comes_is_told_with_its_document_and_what_the_page_shows() -> None:
    tally = Tally(documents=6)
    with pytest.raises(StoryFailed) as failed:
        keeper(Office(lambda _posts: {"step": "place"}), tally, patience_s=0).stamp(LEASE, "r7", mishap="jam")
    for told in (
        "document 7, Agreement 07 (planned: jam)",
        "the page being noticed at step place",
        '"step": "place"',
        '"page_used": false',
        '"page_present": true',
        '"phone": true',
        '"events": 3',
    ):
        assert told in failed.value.why


def test_a_job_that_was_closed_is_picked_again() -> None:
    def shows(posts: list[str]) -> Json:
        closed = {"step": "problem", "code": "closed_timed_out", "busy": False}
        return {"step": "done"} if posts.count("start") == 2 else closed

    office, tally = Office(shows), Tally()
    keeper(office, tally, patience_s=FORGIVING_S).stamp(LEASE, "r7", mishap="")
    assert office.posts == ["start", "take-away", "abort", "start", "abort"]
    assert (tally.documents, tally.interruptions) == (1, 1)
    assert tally.taps == 4


def test_what_is_refused_for_a_moment_is_tapped_again_and_counted() -> None:
    office, tally = Office(lambda _posts: {"step": "done"}), Tally()
    office.refuse = ["start", "start"]
    keeper(office, tally, patience_s=FORGIVING_S).stamp(LEASE, "r7", mishap="")
    assert office.posts == ["start", "start", "start", "abort"]
    assert (tally.interruptions, tally.taps) == (2, 4)


def test_a_job_that_is_open_already_is_not_tapped_again() -> None:
    """Its answer came too late for the keeper's browser."""
    office, tally = Office(lambda posts: {"step": "done" if "start" in posts else "pick", "request_id": "r7"}), Tally()
    office.refuse = ["start"]
    keeper(office, tally, patience_s=FORGIVING_S).stamp(LEASE, "r7", mishap="")
    assert office.posts == ["start", "abort"]
    assert tally.interruptions == 0


def test_a_headquarters_that_is_far_behind_makes_the_day_longer_and_fails_nothing() -> None:
    office, tally = Office(lambda posts: {"step": "stamped" if "pull" in posts else "ready"}), Tally()
    keeper(office, tally, patience_s=0)._press("faint")
    assert (tally.imprints, tally.interruptions) == (1, 1)
    assert "faint" in tally.notes[0]


def test_each_mishap_comes_once_and_a_faint_imprint_waits_for_the_line() -> None:
    mishaps = [(1, "wrong_page"), (2, "faint"), (3, "jam")]
    came = [_next_mishap(mishaps, number, line=number not in (2, 3)) for number in range(6)]
    assert came == ["", "wrong_page", "", "jam", "faint", ""]
    assert not mishaps
