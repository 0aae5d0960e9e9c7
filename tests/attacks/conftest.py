"""One company for every attack; each test leaves it as it found it, or the books do not agree and the test fails."""

from collections.abc import Iterator

import pytest

from dashboard.demo.story import Stage
from tests.fixtures import running


@pytest.fixture(scope="session")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with running.running(tmp_path_factory.mktemp("company")) as stage:
        yield stage


@pytest.fixture
def stage(company: Stage) -> Iterator[Stage]:
    """The company, tidy before and after: nothing pressed that is not accounted for, nothing waiting, latch held."""
    yield company
    running.print_logs(company)
    if running.session(company)["request_id"] is not None:
        running.stop_job(company)
    running.books(company)
