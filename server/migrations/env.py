"""Run by Alembic, always online, on the connection that `migrate` opened."""

from collections.abc import Iterable
from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from alembic.autogenerate.render import render_op, renderers
from alembic.operations.ops import MigrateOperation, MigrationScript, OpContainer
from sqlmodel.sql.sqltypes import AutoString

from server.core.db import UtcDateTime
from server.migrations import only_on, own_metadata


def render_type(kind: str, item: object, _context: object) -> str | Literal[False]:
    """Our own column types under the names that the migration's template imports; False leaves it to Alembic."""
    if kind == "type" and isinstance(item, UtcDateTime):
        return "db.UtcDateTime()"
    if kind == "type" and isinstance(item, AutoString):
        return "sa.String()" if item.length is None else f"sa.String(length={item.length})"
    return False


class OnlyOn(MigrateOperation):
    """An operation for one of the two databases."""

    def __init__(self, dialect: str, operation: MigrateOperation) -> None:
        self.dialect = dialect
        self.operation = operation


@renderers.dispatch_for(OnlyOn)
def render_only_on(autogen_context: AutogenContext, only: OnlyOn) -> list[str]:
    condition = f'if op.get_context().dialect.name == "{only.dialect}":'
    return [condition, *render_op(autogen_context, only.operation), ""]  # the empty line ends the block


def for_their_database(_context: object, _revision: object, scripts: Iterable[MigrationScript]) -> None:
    """What only one database has is written for that one alone."""
    only = only_on()

    def sort(container: OpContainer) -> None:
        for place, operation in enumerate(container.ops):
            name = getattr(operation, "index_name", None) or getattr(operation, "table_name", None)
            if isinstance(operation, OpContainer) and not only.get(str(name)):
                sort(operation)
            elif name in only:
                container.ops[place] = OnlyOn(only[name], operation)

    for script in scripts:
        for container in (*script.upgrade_ops_list, *script.downgrade_ops_list):
            sort(container)


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=own_metadata(),
    compare_type=True,
    render_item=render_type,
    process_revision_directives=for_their_database,
)
with context.begin_transaction():
    context.run_migrations()
