"""Jobs: promised in the caller's transaction, done at least once by the worker role.

`enqueue` writes the promise; if the caller rolls back there is no job. A handler may run twice (the process can die
between its work and the note that it is done), so handlers are idempotent: look first, then do.
"""

import threading
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlmodel import Session

from server.core.db import after_commit
from server.core.runtime import Runtime
from server.jobs import store
from server.jobs.models import Job, JobState

Handler = Callable[[Runtime, dict[str, Any]], None]
"""Does one job; opens its own sessions. Raising means "try again later"."""

Chore = Callable[[Runtime], None]
"""Something that is due again and again; opens its own sessions."""

LEASE: Final = timedelta(minutes=5)
"""How long a worker may hold a job before another takes it over; longer than any handler's own deadlines."""
MAX_ATTEMPTS: Final = 8
"""With the waits below, a job is tried for about 20 minutes before a person must look."""
FIRST_WAIT: Final = timedelta(seconds=5)
LONGEST_WAIT: Final = timedelta(minutes=15)

KEEP_DONE: Final = timedelta(days=7)
KEEP_ORPHANS: Final = timedelta(days=1)
"""Longer than any transaction or upload step, so that a file is never swept before its row is committed."""
TIDY_EVERY_S: Final = 3600.0

_handlers: dict[str, Handler] = {}
_chores: dict["Chore", float] = {}
_wake = threading.Event()

log = structlog.get_logger(__name__)


def handler(kind: str) -> Callable[[Handler], Handler]:
    """Decorator in a slice's `tasks.py` or `handlers.py`: this function does jobs of `kind`.

    Raises: ValueError, when two functions claim one kind.
    """

    def register(function: Handler) -> Handler:
        if _handlers.setdefault(kind, function) is not function:
            raise ValueError(f"two handlers for {kind}")
        return function

    return register


def every(seconds: float) -> Callable[[Chore], Chore]:
    """Decorator in a slice's `tasks.py`: the worker does this at its start and again after `seconds`.

    Each worker does it, so a chore looks first and may find nothing to do.
    """

    def register(function: Chore) -> Chore:
        _chores[function] = seconds
        return function

    return register


def enqueue(
    db: Session,
    kind: str,
    payload: dict[str, Any],
    *,
    now: datetime,
    delay: timedelta = timedelta(0),
    patient: bool = False,
) -> None:
    """Promise a job in the caller's transaction. `payload` is JSON: ids, digests in hex, numbers.

    `patient`: heavy work that nobody waits for; whatever else is due goes first.
    """
    store.add(db, kind=kind, payload=payload, patient=patient, now=now, run_at=now + delay)
    after_commit(db, _wake.set)


def enqueue_once(db: Session, kind: str, payload: dict[str, Any], *, now: datetime) -> None:
    """Promise a job, unless the same one waits already: its work covers this one too."""
    if store.waiting(db, kind=kind, payload=payload, by=now) is None:
        enqueue(db, kind, payload, now=now)


def wait_after(attempts: int) -> timedelta:
    """Doubling from 5 seconds to 15 minutes."""
    doublings = max(0, attempts - 1)
    return min(LONGEST_WAIT, FIRST_WAIT * (1 << doublings))


def run_one(runtime: Runtime, *, owner: str) -> bool:
    """Do the job that has been due longest; False when nothing is due."""
    with runtime.db.read() as db:
        if not store.anything_due(db, now=runtime.now()):
            return False
    with runtime.db.write() as db:
        job = store.lease_next(db, owner=owner, now=runtime.now(), lease=LEASE)
    if job is None or job.id is None:
        return False
    error = None if job.attempts > MAX_ATTEMPTS else _do(runtime, job)
    with runtime.db.write() as db:
        mine = store.held(db, job.id, owner=owner)
        if mine is not None:  # else the lease ran out and another worker has it: its outcome counts
            _settle(mine, error, now=runtime.now())
            db.add(mine)
    return True


@every(TIDY_EVERY_S)
def tidy(runtime: Runtime) -> None:
    """Forget jobs done a week ago and files that no row names since a day."""
    with runtime.db.write() as db:
        store.forget_done(db, before=runtime.now() - KEEP_DONE)
    with runtime.db.read() as db:
        runtime.blobs.sweep(db, older_than=KEEP_ORPHANS)


def run_until(runtime: Runtime, stop: threading.Event, *, owner: str, poll_s: float = 0.5) -> None:
    """Do jobs until `stop` is set; looks every `poll_s` seconds for jobs promised by other processes."""
    due: dict[Chore, float] = {}
    while not stop.is_set():
        do_chores(runtime, _chores, due)
        _wake.clear()
        if not run_one(runtime, owner=owner):
            _wake.wait(poll_s)


def do_chores(runtime: Runtime, chores: Mapping[Chore, float], due: dict[Chore, float]) -> None:
    """Every chore whose time in `due` (monotonic seconds) has come or is not set; notes when it is due again."""
    for chore, seconds in chores.items():
        now = runtime.clock.monotonic()
        if now < due.get(chore, now):
            continue
        due[chore] = now + seconds
        try:
            chore(runtime)
        except Exception as error:  # a chore's failure is its own business, and it comes again
            log.warning("chore_failed", chore=getattr(chore, "__qualname__", repr(chore)), exc_info=error)


def _do(runtime: Runtime, job: Job) -> str | None:
    """None when done, else the name of what went wrong."""
    function = _handlers.get(job.kind)
    if function is None:
        log.error("job_without_handler", job=job.id, kind=job.kind)
        return "unknown_job"
    try:
        function(runtime, job.payload)
    except Exception as error:  # a handler's failure is this job's business alone
        log.warning("job_failed", job=job.id, kind=job.kind, attempt=job.attempts, exc_info=error)
        return str(getattr(error, "code", type(error).__name__))
    return None


def _settle(job: Job, error: str | None, *, now: datetime) -> None:
    job.lease = job.lease_until = None
    if error is None and job.attempts <= MAX_ATTEMPTS:
        job.state, job.finished_at = JobState.DONE, now
        return
    job.last_error = error or job.last_error or "lease_ran_out"
    if job.attempts >= MAX_ATTEMPTS:
        job.state, job.finished_at = JobState.FAILED, now
    else:
        job.state, job.run_at = JobState.WAITING, now + wait_after(job.attempts)
