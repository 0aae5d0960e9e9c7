"""The same story with everything of headquarters in PostgreSQL."""

from collections.abc import Iterator

import psycopg
import pytest

from dashboard.demo import mishaps, story
from dashboard.demo.story import Stage
from tests.fixtures import running
from tests.fixtures.postgres import Postgres
from tests.fixtures.running import books, finish, fsck, started

pytestmark = pytest.mark.usefixtures("logs")


@pytest.fixture(scope="module")
def database(postgres: Postgres) -> str:
    return postgres.new_database()


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[Stage]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CINNABAR_DATABASE_URL", database)
        with running.running(tmp_path_factory.mktemp("company")) as stage:
            yield stage


def test_the_same_story_comes_out_the_same(company: Stage, database: str) -> None:
    story.play(company, story.STAMPING)
    row = books(company).row(company.request_id)
    assert (row["pressed"], row["granted"], row["state"]) == (1, 1, "done"), row
    with psycopg.connect(database.replace("+psycopg", "")) as connection:
        assert connection.execute("SELECT count(*) FROM stroke WHERE state = 'done'").fetchall() == [(1,)]
    fsck(company)


@pytest.mark.parametrize("role", ["ledger", "worker"])
def test_a_role_of_the_server_dies_in_the_middle_of_a_job(company: Stage, role: str) -> None:
    request = started(company)
    mishaps.kill(company, role)
    mishaps.revive(company, role)
    finish(company, request)
    fsck(company)
