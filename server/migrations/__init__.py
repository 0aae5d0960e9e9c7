"""The database's shape, by Alembic. `migrate` runs at every start and does nothing when there is nothing to do."""

import importlib
import importlib.util
import pkgutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import Connection, inspect, text
from sqlmodel import SQLModel

import server
from server.core.db import Database, PostgresqlOnly
from server.core.settings import Settings

if TYPE_CHECKING:  # Alembic costs 0.2 s, which a start with nothing to do is spared
    from alembic.config import Config

FOLDER: Final = Path(__file__).parent


def load_models() -> list[str]:
    """Import `models.py` of every slice, so that the metadata is whole; returns the modules."""
    slices = [f"server.{found.name}.models" for found in pkgutil.iter_modules(server.__path__) if found.ispkg]
    modules = [name for name in slices if importlib.util.find_spec(name) is not None]
    for name in modules:
        importlib.import_module(name)
    return modules


def migrate(database: Database) -> None:
    """Bring the database to the newest version, in one transaction."""
    with database.engine.begin() as connection:
        if version_of(connection) == newest():
            return
        from alembic import command

        command.upgrade(config_for(connection), "head")


def upgrade() -> None:
    """`migrate` the database of the settings in force; what `serve` does first."""
    database = Database(Settings.load().database_url)
    try:
        migrate(database)
    finally:
        database.close()


def newest() -> str:
    """The last revision here: the file names begin with them, in order."""
    return max(path.name.partition("_")[0] for path in (FOLDER / "versions").glob("[0-9]*_*.py"))


def version_of(connection: Connection) -> str | None:
    """The revision that this database has; None for an empty one."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    return found[0] if len(found) == 1 else None


def config_for(connection: Connection) -> "Config":
    """Alembic's configuration around an open connection."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def differences(connection: Connection) -> list[Any]:
    """What the models have and this database has not, or the other way round; empty when they match."""
    from alembic.autogenerate import compare_metadata
    from alembic.runtime.migration import MigrationContext

    load_models()
    others = {name for name, dialect in only_on().items() if dialect != connection.dialect.name}
    others |= _partitions(connection)

    def is_compared(_object: object, name: str | None, *_: object) -> bool:
        return name not in others

    context = MigrationContext.configure(connection, opts={"compare_type": True, "include_object": is_compared})
    return list(compare_metadata(context, own_metadata()))


def own_metadata() -> Any:  # noqa: ANN401 - a list of MetaData, which Alembic takes and its types do not know
    """All tables: those of both databases, then those that only PostgreSQL has."""
    return [SQLModel.metadata, PostgresqlOnly.metadata]


def only_on() -> dict[str, str]:
    """Table or index -> the one database that has it."""
    found = dict.fromkeys(PostgresqlOnly.metadata.tables, "postgresql")
    for table in SQLModel.metadata.tables.values():
        for index in table.indexes:
            condition = index._ddl_if  # noqa: SLF001 - what `Index.ddl_if` was told; there is no other way to ask
            if condition is not None:
                found[str(index.name)] = str(condition.dialect)
    return found


def _partitions(connection: Connection) -> set[str]:
    """Tables that the server makes as it goes on (see server.ledger.partitions)."""
    if connection.dialect.name != "postgresql":
        return set()
    return set(connection.execute(text("SELECT relname FROM pg_class WHERE relispartition")).scalars())
