"""Run by Alembic, always online, on the connection that `migrate` opened."""

from typing import Literal

from alembic import context
from sqlmodel.sql.sqltypes import AutoString

from server.core.db import UtcDateTime
from server.migrations import own_metadata


def render_type(kind: str, item: object, _context: object) -> str | Literal[False]:
    """Our own column types under the names that the migration's template imports; False leaves it to Alembic."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "db.UtcDateTime()"
    if kind == "type" and isinstance(item, AutoString):
        return "sa.String()" if item.length is None else f"sa.String(length={item.length})"
    return False


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=own_metadata(),
    compare_type=True,
    render_item=render_type,
)
with context.begin_transaction():
    context.run_migrations()
