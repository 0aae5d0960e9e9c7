"""Two sequencers of one log, over connections of their own or in two processes: never do both write."""

import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from copy import copy
from datetime import timedelta

import pytest
from sqlmodel import Session

from server.core.db import Database
from server.core.signer import Purpose
from server.ledger import fsck
from server.ledger.batch import Arrival
from server.ledger.errors import Fenced
from server.ledger.lease import LEASE
from server.ledger.schemas import LeafKind
from server.ledger.sequencer import Outcome, Sequencer
from tests.server.ledger.conftest import GATEWAY, Device, Log

ENOUGH_S = 120.0
LATER = LEASE + timedelta(seconds=1)
SECOND = """\
import sys
from server.core.clock import FixedClock
from server.core.db import Database
from server.ledger.errors import Fenced
from tests.server.ledger.conftest import Log

url, later_s, leaf = sys.argv[1:]
clock = FixedClock()
clock.advance(float(later_s))
try:
    print("wrote", Log(Database(url), clock, seed=2).put(bytes.fromhex(leaf)).entries)
except Fenced as error:
    print("fenced", error)
"""


@pytest.fixture
def other(database: Database) -> Iterator[Database]:
    """The same database over connections of its own."""
    url = database.engine.url.render_as_string(hide_password=False)
    found = Database(url)
    yield found
    found.close()


def sequencer_over(log: Log, database: Database) -> Sequencer:
    twin = copy(log)
    twin.database = database
    return twin.new_sequencer()


def commit(sequencer: Sequencer, *leaves: bytes) -> Outcome:
    return sequencer.commit([Arrival(leaf, GATEWAY) for leaf in leaves])


def problems(log: Log) -> list[fsck.Problem]:
    keys = fsck.Keys(log=log.verifier_key, server={LeafKind.ENTRY: (log.keys[Purpose.ENTRY].public_key,)})
    with log.read() as db:
        return list(fsck.check(db, keys))


def second_process(log: Log, leaf: bytes, *, later: timedelta = timedelta(0)) -> str:
    """What it says: whether it wrote; it ends without giving the log back."""
    url = log.database.engine.url.render_as_string(hide_password=False)
    command = [sys.executable, "-c", SECOND, url, str(later.total_seconds()), leaf.hex()]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=ENOUGH_S).stdout


def test_second_process_started_by_mistake_does_not_write(log: Log, device: Device) -> None:
    one, two = device.many(2)
    log.put(one)
    assert second_process(log, two).startswith("fenced sequencer ")
    assert log.stored() == [one]
    assert log.put(two).size == 2


def test_first_process_does_not_write_once_a_second_has_taken_over(log: Log, device: Device) -> None:
    one, two, three = device.many(3)
    log.put(one)
    log.clock.advance(LATER)  # the first one was stopped for so long, and does not know it
    assert second_process(log, two, later=LATER) == "wrote 1\n"
    for act in (lambda: log.put(three), lambda: log.put(two), log.sequencer.renew):
        with pytest.raises(Fenced):
            act()
    assert log.stored() == [one, two]
    log.sequencer = log.new_sequencer()
    log.sequencer.open()  # at once: the second one's process is gone
    assert log.put(three).size == 3
    assert problems(log) == []


def test_take_over_waits_for_the_batch_that_is_being_written(log: Log, other: Database, device: Device) -> None:
    one, two, three = device.many(3)
    first, second = log.sequencer, sequencer_over(log, other)
    inside, go_on = threading.Event(), threading.Event()

    def hold(*_: object) -> None:
        inside.set()
        assert go_on.wait(ENOUGH_S)

    first._on_events = hold
    with ThreadPoolExecutor(2) as threads:
        written = threads.submit(commit, first, one)
        assert inside.wait(ENOUGH_S)
        log.clock.advance(LATER)
        taken = threads.submit(second.open)
        go_on.set()
        assert written.result(ENOUGH_S).size == 1
        taken.result(ENOUGH_S)
    assert second.size == 1
    with pytest.raises(Fenced):
        commit(first, two)
    assert commit(second, two, three).size == 3
    assert log.stored() == [one, two, three]


def test_batch_whose_signatures_are_checked_is_not_written_after_a_take_over(
    log: Log, other: Database, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, two = device.many(2)
    log.sequencer.close()
    first, second = sequencer_over(log, other), log.new_sequencer()
    first.open()

    def take_over_before() -> AbstractContextManager[Session]:
        monkeypatch.undo()
        log.clock.advance(LATER)
        second.open()
        assert commit(second, one).entries == 1
        return other.write()

    monkeypatch.setattr(other, "write", take_over_before)
    with pytest.raises(Fenced):
        commit(first, one, two)
    assert log.stored() == [one]
    assert (commit(second, one, two).entries, log.stored()) == (1, [one, two])


def test_two_that_take_the_log_from_each_other_again_and_again_write_everything_once(
    log: Log, other: Database, device: Device, rng: random.Random
) -> None:
    log.sequencer.close()
    signed = device.many(60)
    plans = [rng.sample(signed, len(signed)) for _ in range(2)]

    def work(database: Database, plan: list[bytes]) -> int:
        """How often it was put out."""
        sequencer, fenced, rest = sequencer_over(log, database), 0, list(plan)
        while rest:
            with suppress(Fenced):
                log.clock.advance(LATER)
                sequencer.open()
                while rest:
                    commit(sequencer, *rest[:4])
                    del rest[:4]
                return fenced
            fenced += 1
        return fenced

    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(work, *one) for one in zip((log.database, other), plans, strict=True)]
        for one in both:
            one.result(ENOUGH_S)
    assert sorted(log.events_of(device)) == list(range(1, len(signed) + 1))
    assert sorted(log.stored()) == sorted(signed)
    assert problems(log) == []
