"""The job that writes the snapshot."""

import pytest
from sqlmodel import select

from server.core.runtime import Runtime
from server.jobs.models import Job
from server.ledger.errors import LogNotStarted
from server.public import tasks
from tests.server.world import Company


def test_a_log_that_has_not_begun_is_waited_for_without_failing(run: Runtime, company: Company) -> None:
    assert company.seal
    tasks.snapshot(run, {})
    with run.db.read() as db:
        promised = [job.payload for job in db.exec(select(Job).where(Job.kind == tasks.SNAPSHOT))]
    assert {"tries": 1} in promised
    with pytest.raises(LogNotStarted):
        tasks.snapshot(run, {"tries": tasks.QUIET_TRIES})
