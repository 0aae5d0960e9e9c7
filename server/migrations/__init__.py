"""The database's shape, by Alembic. `migrate` runs at every start and does nothing when there is nothing to do."""

import importlib
import importlib.util
import pkgutil
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection
from sqlmodel import SQLModel

import server
from server.core.db import Database

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
        command.upgrade(config_for(connection), "head")


def config_for(connection: Connection) -> Config:
    """Alembic's configuration around an open connection."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def differences(connection: Connection) -> list[Any]:
    """What the models have and this database has not, or the other way round; empty when they match."""
    load_models()
    context = MigrationContext.configure(connection, opts={"compare_type": True})
    return list(compare_metadata(context, own_metadata()))


def own_metadata() -> Any:  # noqa: ANN401 - sqlalchemy.MetaData, seen through SQLModel
    return SQLModel.metadata
