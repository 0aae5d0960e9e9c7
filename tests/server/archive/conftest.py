import pytest

from server.core.clock import FixedClock, SystemClock
from tests.server.office import gateway, office
from tests.server.world import company, installation, keys, run, with_passwords, workers

__all__ = [
    "company",
    "gateway",
    "installation",
    "keys",
    "office",
    "run",
    "with_passwords",
    "workers",
]


@pytest.fixture
def clock() -> FixedClock:
    """Now: the installation's keys are in force from the moment it was really made."""
    return FixedClock(SystemClock().now())
