"""Whole companies of real processes, one for each module: starting one costs more than a stamping."""

from collections.abc import Iterator

import pytest

from dashboard.demo.story import Stage
from tests.fixtures import running


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with running.running(tmp_path_factory.mktemp("company")) as stage:
        yield stage


@pytest.fixture
def logs(company: Stage) -> Iterator[None]:
    """What the processes said, when the test failed."""
    yield
    running.print_logs(company)
