"""The migrations make exactly what the models say, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy import inspect

from server.core.db import Database
from server.migrations import config_for, differences, migrate, newest, version_of


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'x.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    database = Database(url)
    yield database
    database.close()


def test_migrations_make_what_the_models_say(database: Database) -> None:
    migrate(database)
    with database.engine.begin() as connection:
        assert differences(connection) == []


def test_migrating_again_changes_nothing(database: Database) -> None:
    migrate(database)
    before = sorted(inspect(database.engine).get_table_names())
    migrate(database)
    assert sorted(inspect(database.engine).get_table_names()) == before
    assert {"blob", "blob_upload", "job", "alembic_version"} <= set(before)


def test_the_newest_revision_is_known_without_alembic(database: Database) -> None:
    with database.engine.begin() as connection:
        assert version_of(connection) is None
        assert ScriptDirectory.from_config(config_for(connection)).get_current_head() == newest()
    migrate(database)
    with database.engine.begin() as connection:
        assert version_of(connection) == newest()


def test_a_missing_column_would_be_noticed(database: Database) -> None:
    migrate(database)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE job DROP COLUMN last_error")
        assert len(differences(connection)) == 1


def test_what_devices_count_or_sign_fits_into_its_column(postgres_url: str) -> None:
    """PostgreSQL's INTEGER ends at 2^31: a time in milliseconds is longer, and a device's numbers may become so."""
    database = Database(postgres_url)
    migrate(database)
    tables = inspect(database.engine)
    narrow = [
        f"{table}.{column['name']}"
        for table in tables.get_table_names()
        for column in tables.get_columns(table)
        if column["name"].endswith(("_ms", "_seq")) or column["name"] in {"seq", "counter", "generation", "epoch"}
        if str(column["type"]) != "BIGINT"
    ]
    database.close()
    assert narrow == []
