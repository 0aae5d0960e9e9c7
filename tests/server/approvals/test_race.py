"""Two approvers, twenty clicks each, one quorum: the count is right on a real database."""

import threading
from concurrent.futures import ThreadPoolExecutor

from server.approvals import service as approvals
from server.approvals.errors import DecidedAlready, NothingToDecide
from server.approvals.policy import State
from server.core.runtime import Runtime
from tests.server.world import Company


def test_twenty_threads_approve_and_one_decision_counts(company: Company, run: Runtime) -> None:
    request = company.submitted()
    start = threading.Barrier(20)

    def click(number: int) -> str:
        person = company.boss if number % 2 else company.second_boss
        start.wait()
        try:
            return company.decide(person, request).state.value
        except (DecidedAlready, NothingToDecide) as error:
            return error.code

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(click, range(20)))
    assert answers.count("approved") == 1
    assert answers.count("nothing_to_decide") == 19
    with run.db.read() as db:
        after = approvals.request(db, run, company.everywhere, request.id)
    assert after.state is State.APPROVED
    assert len(after.decisions) == 1
