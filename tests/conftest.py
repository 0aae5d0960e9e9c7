"""Fixtures that any folder may want: a seed that a failure prints, real servers, and no way out of this machine."""

import ipaddress
import os
import random
import sys
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import HealthCheck, settings

# The machine is shared: how long an example takes says nothing about the code.
settings.register_profile(
    "shared machine", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("shared machine")

pytest_plugins = [
    "tests.fixtures.mosquitto",
    "tests.fixtures.postgres",
    "tests.fixtures.databases",
    "tests.fixtures.times",
]


class NotLoopback(Exception):
    """A test reached for an address outside this machine."""


def refuse_other_machines(event: str, arguments: tuple[object, ...]) -> None:
    """Audit hook: a Python socket may connect, bind and send to loopback and Unix sockets only."""
    if event not in ("socket.connect", "socket.bind", "socket.sendto"):
        return
    address = arguments[1]
    if not isinstance(address, tuple) or not isinstance(address[0], str) or address[0] == "localhost":
        return  # Unix and netlink sockets
    try:
        loopback = ipaddress.ip_address(address[0].partition("%")[0]).is_loopback
    except ValueError:
        loopback = False  # a host name: it could be anywhere
    if not loopback:
        raise NotLoopback(f"{event} to {address[0]}")


sys.addaudithook(refuse_other_machines)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A command that a test runs in this process sets logging up for its own output, which ends with the test."""
    configuration = structlog.get_config()
    yield
    structlog.configure(**configuration)


@pytest.fixture
def seed() -> int:
    """CINNABAR_SEED, else a fresh one; a failed test shows the line that repeats it."""
    number = int(os.environ.get("CINNABAR_SEED") or random.SystemRandom().randrange(2**32))
    sys.stdout.write(f"repeat with CINNABAR_SEED={number}\n")
    return number


@pytest.fixture
def rng(seed: int) -> random.Random:
    return random.Random(seed)
