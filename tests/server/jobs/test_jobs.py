"""A promise is kept at least once, later when it fails, never when the caller rolled back."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
import structlog
from sqlmodel import Session, select

from server.core.clock import FixedClock
from server.core.db import Database
from server.core.rng import SeededRng
from server.jobs import role, service, store
from server.jobs.models import Job, JobState

DONE: list[Any] = []
REPOSITORY = Path(__file__).parents[3]


@service.handler("test-note")
def note(runtime: Any, payload: dict[str, Any]) -> None:
    DONE.append(payload["n"])


@service.handler("test-fails")
def fails(runtime: Any, payload: dict[str, Any]) -> None:
    DONE.append("tried")
    raise ZeroDivisionError("a secret text")


@pytest.fixture(params=["sqlite", "postgresql"])
def runtime(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    url = f"sqlite:///{tmp_path / 'jobs.sqlite3'}"
    database = Database(url if request.param == "sqlite" else request.getfixturevalue("postgres_url"))
    Job.__table__.drop(database.engine, checkfirst=True)
    Job.__table__.create(database.engine)
    DONE.clear()
    clock = FixedClock()
    log = structlog.get_logger()
    swept: list[timedelta] = []
    blobs = SimpleNamespace(sweep=lambda db, older_than: swept.append(older_than), swept=swept)
    yield SimpleNamespace(db=database, clock=clock, rng=SeededRng(1), now=clock.now, log=log, blobs=blobs)
    Job.__table__.drop(database.engine)
    database.close()


def promise(runtime: Any, kind: str, **payload: Any) -> None:
    with runtime.db.write() as db:
        service.enqueue(db, kind, payload, now=runtime.now())


def states(runtime: Any) -> list[tuple[str, int, str | None]]:
    with runtime.db.read() as db:
        return [(job.state, job.attempts, job.last_error) for job in db.exec(select(Job))]


def test_a_job_is_done_once_in_order(runtime: Any) -> None:
    promise(runtime, "test-note", n=1)
    promise(runtime, "test-note", n=2)
    assert [service.run_one(runtime, owner="a") for _ in range(3)] == [True, True, False]
    assert DONE == [1, 2]
    assert {state for state, _attempts, _error in states(runtime)} == {JobState.DONE}


def test_a_patient_job_lets_the_others_pass(runtime: Any) -> None:
    with runtime.db.write() as db:
        service.enqueue(db, "test-note", {"n": "heavy"}, now=runtime.now(), patient=True)
        service.enqueue(db, "test-note", {"n": "awaited"}, now=runtime.now() + timedelta(seconds=1))
    runtime.clock.advance(timedelta(seconds=2))
    while service.run_one(runtime, owner="w"):
        pass
    assert DONE == ["awaited", "heavy"]


def test_a_job_that_waits_already_is_not_promised_twice(runtime: Any) -> None:
    with runtime.db.write() as db:
        for number in (1, 1, 2):
            service.enqueue_once(db, "test-note", {"n": number}, now=runtime.now())
    while service.run_one(runtime, owner="w"):
        pass
    assert DONE == [1, 2]
    with runtime.db.write() as db:
        service.enqueue_once(db, "test-note", {"n": 1}, now=runtime.now())  # the first is done: this is another
    assert service.run_one(runtime, owner="w")


def test_a_rolled_back_promise_is_no_promise(runtime: Any) -> None:
    with runtime.db.write() as db:
        service.enqueue(db, "test-note", {"n": 1}, now=runtime.now())
        db.rollback()
    assert not service.run_one(runtime, owner="a")


def test_a_failed_job_waits_longer_each_time_then_asks_for_a_person(runtime: Any) -> None:
    promise(runtime, "test-fails")
    waits = []
    for _attempt in range(service.MAX_ATTEMPTS):
        waited = 0
        while not service.run_one(runtime, owner="a"):
            runtime.clock.advance(5)
            waited += 5
        waits.append(waited)
    assert waits == [0, 5, 10, 20, 40, 80, 160, 320]
    runtime.clock.advance(timedelta(days=1))
    assert not service.run_one(runtime, owner="a")
    assert states(runtime) == [(JobState.FAILED, service.MAX_ATTEMPTS, "ZeroDivisionError")]


def test_a_job_whose_worker_died_is_taken_over_after_its_lease(runtime: Any) -> None:
    promise(runtime, "test-note", n=1)
    with runtime.db.write() as db:
        assert store.lease_next(db, owner="dead", now=runtime.now(), lease=service.LEASE) is not None
    assert not service.run_one(runtime, owner="b")
    runtime.clock.advance(service.LEASE + timedelta(seconds=1))
    assert service.run_one(runtime, owner="b")
    assert DONE == [1]


def test_a_worker_that_lost_its_lease_does_not_decide_the_outcome(runtime: Any) -> None:
    promise(runtime, "test-note", n=1)
    with runtime.db.write() as db:
        job = store.lease_next(db, owner="slow", now=runtime.now(), lease=service.LEASE)
    runtime.clock.advance(service.LEASE + timedelta(seconds=1))
    with runtime.db.write() as db:
        store.lease_next(db, owner="fast", now=runtime.now(), lease=service.LEASE)
        assert store.held(db, job.id, owner="slow") is None
        assert store.held(db, job.id, owner="fast") is not None


def test_a_job_that_kills_its_worker_every_time_is_given_up(runtime: Any) -> None:
    promise(runtime, "test-note", n=1)
    for _death in range(service.MAX_ATTEMPTS):
        with runtime.db.write() as db:
            assert store.lease_next(db, owner="dies", now=runtime.now(), lease=service.LEASE) is not None
        runtime.clock.advance(service.LEASE + timedelta(seconds=1))
    assert service.run_one(runtime, owner="b")
    assert DONE == []
    assert states(runtime) == [(JobState.FAILED, service.MAX_ATTEMPTS + 1, "lease_ran_out")]


def test_a_job_without_handler_is_kept_and_named(runtime: Any) -> None:
    promise(runtime, "test-nobody")
    service.run_one(runtime, owner="a")
    assert states(runtime) == [(JobState.WAITING, 1, "unknown_job")]


def test_two_workers_never_hold_one_job(runtime: Any) -> None:
    for number in range(12):
        promise(runtime, "test-note", n=number)

    def work(owner: str) -> None:
        while service.run_one(runtime, owner=owner):
            pass

    threads = [threading.Thread(target=work, args=(f"w{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(DONE) == list(range(12))


def test_two_handlers_for_one_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="two handlers"):
        service.handler("test-note")(lambda runtime, payload: None)


def test_the_role_runs_until_it_is_stopped(runtime: Any) -> None:
    promise(runtime, "test-note", n=1)
    stop = threading.Event()
    runtime.new_id = lambda: UUID(int=5)

    @service.handler("test-stop")
    def stop_now(runtime: Any, payload: dict[str, Any]) -> None:
        stop.set()

    promise(runtime, "test-stop")
    ready = threading.Event()
    role.run(runtime, stop=stop, ready=ready.set)
    assert ready.is_set()
    assert DONE == [1]
    service._handlers.pop("test-stop")


def test_tidying_forgets_old_done_jobs_but_no_failed_or_waiting_one(runtime: Any) -> None:
    promise(runtime, "test-note", n=1)
    promise(runtime, "test-fails")
    while service.run_one(runtime, owner="a"):
        pass
    service.tidy(runtime)
    assert len(states(runtime)) == 2
    runtime.clock.advance(service.KEEP_DONE + timedelta(minutes=1))
    service.tidy(runtime)
    assert [state for state, _attempts, _error in states(runtime)] == [JobState.WAITING]
    assert runtime.blobs.swept == [service.KEEP_ORPHANS] * 2


def test_the_worker_does_not_load_what_belongs_in_the_sandbox() -> None:
    code = "import sys; from server.jobs import role; role.load_handlers(); print('cv2' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_counts_name_every_state(runtime: Any) -> None:
    promise(runtime, "test-note", n=1)
    with runtime.db.read() as db:
        assert isinstance(db, Session)
        assert store.counts(db) == {"waiting": 1, "leased": 0, "done": 0, "failed": 0}


def test_a_chore_is_done_at_the_start_and_again_when_it_is_due() -> None:
    clock, done = FixedClock(), []

    def chore(_runtime: Any) -> None:
        done.append("chore")

    def broken(_runtime: Any) -> None:
        done.append("broken")
        raise ZeroDivisionError

    runtime: Any = SimpleNamespace(clock=clock)
    chores: dict[service.Chore, float] = {chore: 60.0, broken: 30.0}
    due: dict[service.Chore, float] = {}
    seen = []
    for _half_minute in range(4):
        service.do_chores(runtime, chores, due)
        seen.append(list(done))
        done.clear()
        clock.advance(30)
    assert seen == [["chore", "broken"], ["broken"], ["chore", "broken"], ["broken"]]
