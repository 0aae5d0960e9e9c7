"""The shared fixtures do what the tests that use them rely on."""

import random
import socket

import psycopg
import pytest

from tests.fixtures.mosquitto import Mosquitto
from tests.fixtures.postgres import Postgres


def test_postgres_gives_each_test_an_empty_database(postgres: Postgres, postgres_url: str) -> None:
    assert postgres_url != postgres.new_database()
    with psycopg.connect(postgres_url.replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)
        assert "PostgreSQL" in connection.execute("SELECT version()").fetchone()[0]


def test_mosquitto_can_be_killed_and_started_on_the_same_port(mosquitto: Mosquitto) -> None:
    with socket.create_connection((mosquitto.host, mosquitto.port)):
        mosquitto.kill()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((mosquitto.host, mosquitto.port))
    mosquitto.start()
    socket.create_connection((mosquitto.host, mosquitto.port)).close()


@pytest.mark.parametrize("address", ["192.0.2.1", "0.0.0.0", "2001:db8::1"])
def test_no_socket_leaves_this_machine(address: str) -> None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as outgoing, pytest.raises(Exception, match=r"socket\.connect to") as refused:
        outgoing.connect((address, 9))
    assert type(refused.value).__name__ == "NotLoopback"


def test_the_seed_repeats(seed: int, rng: random.Random) -> None:
    assert random.Random(seed).random() == rng.random()
