"""Many rows at once through the database driver itself: the part of a batch whose cost is per event.

The contract, the same on SQLite (executemany) and PostgreSQL (binary COPY, executemany), with the same tests:
- Everything happens in the transaction of the session that is passed in; nothing here commits.
- Values are stored exactly as the table's columns would store them, so other code reads the rows as its own.
- `insert` stores all rows or raises; a row that is there already is an error, never skipped.
- `upsert` overwrites by primary key, except the columns in `keep`; rows of one call differ in their key.
- `look_up` gives each stored row whose `by` columns are wanted, once, in no order.
- `change` locks the rows it changes until the transaction ends; on PostgreSQL it waits for another's lock and then
  looks again whether the row is still wanted.
Raises: sqlalchemy.exc.DBAPIError, whatever the driver raised.
"""

import json
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cache
from typing import Any, Final, TypeAlias

from sqlalchemy import Connection, Dialect, LargeBinary, Table
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session, SQLModel

Rows: TypeAlias = Sequence[tuple[Any, ...]]
Columns: TypeAlias = tuple[str, ...]
_Converters: TypeAlias = tuple[tuple[int, Callable[[Any], Any]], ...]
"""(place in the row, what the column makes of a value); places whose values stay as they are have none."""

_COPY_FROM: Final = 20
"""Rows from which one COPY costs less than a statement a row."""


def insert(db: Session, table: type[SQLModel], columns: Columns, rows: Rows) -> None:
    if not rows:
        return
    connection = db.connection()
    stored = list(_converted(rows, _binders(table, columns, connection.dialect)))
    if connection.dialect.name == "postgresql" and len(stored) >= _COPY_FROM:
        _copy(connection, table, columns, stored)
    else:
        connection.exec_driver_sql(_insert_text(table, columns, connection.dialect), stored)


def upsert(db: Session, table: type[SQLModel], columns: Columns, rows: Rows, *, keep: Columns = ()) -> None:
    if not rows:
        return
    connection = db.connection()
    stored = list(_converted(rows, _binders(table, columns, connection.dialect)))
    connection.exec_driver_sql(_upsert_text(table, columns, keep, connection.dialect), stored)


def look_up(
    db: Session,
    table: type[SQLModel],
    columns: Columns,
    *,
    by: Columns,
    wanted: Collection[tuple[Any, ...]],
    where: str = "",
    joined: str = "",
    more: Columns = (),
) -> list[tuple[Any, ...]]:
    """`by`: its columns are text or whole numbers. `where`: more conditions on the row `t`, as SQL, without values.

    `joined`: tables joined to `t`, as SQL, and `more`: their columns, which are numbers or bytes, after `columns`.
    """
    if not wanted:
        return []
    connection = db.connection()
    text, readers = _look_up_text(table, columns, by, (where, joined, more), connection.dialect)
    if connection.dialect.name == "sqlite":
        arguments: tuple[Any, ...] = (json.dumps(list(wanted)),)
    else:
        arguments = tuple(list(column) for column in zip(*wanted, strict=True))
    return list(_converted(connection.exec_driver_sql(text, arguments).fetchall(), readers))


def fetch(db: Session, table: type[SQLModel], column: str, **key: int | bytes) -> Any:  # noqa: ANN401 - of any column
    """One number or binary value of one row by columns that are unique; None when there is no such row."""
    connection = db.connection()
    text = _fetch_text(table, column, tuple(key), connection.dialect)
    return connection.exec_driver_sql(text, tuple(key.values())).scalar()


def change(
    db: Session, table: type[SQLModel], values: dict[str, Any], where: dict[str, Any], *, gives: Columns = ()
) -> list[tuple[Any, ...]]:
    """Set `values` in the rows that have all of `where`; the columns `gives` of the rows that were changed."""
    connection = db.connection()
    names = (*values, *where)
    (arguments,) = _converted([(*values.values(), *where.values())], _binders(table, names, connection.dialect))
    text = _change_text(table, tuple(values), tuple(where), gives, connection.dialect)
    result = connection.exec_driver_sql(text, arguments)
    readers = _processors(table, gives, connection.dialect, "result_processor")
    return list(_converted(result.fetchall(), readers)) if gives else []


def any_rows(db: Session, *wanted: tuple[type[SQLModel], str]) -> tuple[bool, ...]:
    """For each (table, condition as SQL without values; empty: none), whether there is such a row."""
    row = db.connection().exec_driver_sql(_any_text(wanted)).one()
    return tuple(bool(found) for found in row)


def _converted(rows: Iterable[Sequence[Any]], converters: _Converters) -> Iterable[tuple[Any, ...]]:
    """Few different tenants and times stand in many rows: each is converted once."""
    if not converters:
        return map(tuple, rows)
    known = [(place, _Memo(convert)) for place, convert in converters]
    return (_convert(list(row), known) for row in rows)


class _Memo(dict[Any, Any]):
    """Value -> what the column makes of it, made when it is first asked for."""

    def __init__(self, convert: Callable[[Any], Any]) -> None:
        super().__init__({None: None})
        self._convert = convert

    def __missing__(self, value: Any) -> Any:  # noqa: ANN401 - whatever the column holds
        made = self[value] = self._convert(value)
        return made


def _convert(row: list[Any], known: list[tuple[int, _Memo]]) -> tuple[Any, ...]:
    for place, seen in known:
        row[place] = seen[row[place]]
    return tuple(row)


def _copy(connection: Connection, table: type[SQLModel], columns: Columns, rows: Rows) -> None:
    text = f"COPY {_table(table).name} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
    types = _copy_types(table, columns, connection.dialect)
    driver: Any = connection.connection.driver_connection
    dbapi_error: type[Exception] = connection.dialect.loaded_dbapi.Error  # psycopg's, which SQLite alone need not load
    try:
        with driver.cursor() as cursor, cursor.copy(text) as copy:
            copy.set_types(types)
            for row in rows:
                copy.write_row(row)
    except dbapi_error as error:
        raise DBAPIError.instance(text, None, error, dbapi_error, dialect=connection.dialect) from error


@cache
def _insert_text(table: type[SQLModel], columns: Columns, dialect: Dialect) -> str:
    values = ", ".join([_mark(dialect)] * len(columns))
    return f"INSERT INTO {_table(table).name} ({', '.join(columns)}) VALUES ({values})"  # noqa: S608 - names of our columns


@cache
def _upsert_text(table: type[SQLModel], columns: Columns, keep: Columns, dialect: Dialect) -> str:
    key = [column.name for column in _table(table).primary_key]
    changed = [f"{name} = excluded.{name}" for name in columns if name not in key and name not in keep]
    conflict = f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {', '.join(changed)}"
    return f"{_insert_text(table, columns, dialect)} {conflict}"


@cache
def _look_up_text(
    table: type[SQLModel], columns: Columns, by: Columns, rest: tuple[str, str, Columns], dialect: Dialect
) -> tuple[str, _Converters]:
    where, joined, more = rest
    if dialect.name == "sqlite":
        parts = ", ".join(f"json_extract(value, '$[{place}]') AS {name}" for place, name in enumerate(by))
        source = f"(SELECT {parts} FROM json_each(?)) AS wanted"  # noqa: S608 - as above
    else:
        kinds = [column_type(table, name, dialect) for name in by]
        source = f"unnest({', '.join(f'%s::{kind}[]' for kind in kinds)}) AS wanted ({', '.join(by)})"
    same = " AND ".join(f"t.{name} = wanted.{name}" for name in by)
    picked = ", ".join((*(f"t.{name}" for name in columns), *more))
    ending = f" {joined}" * bool(joined) + f" WHERE {where}" * bool(where)
    text = f"SELECT {picked} FROM {source} JOIN {_table(table).name} AS t ON {same}{ending}"  # noqa: S608 - as above
    return text, _processors(table, columns, dialect, "result_processor")


@cache
def _fetch_text(table: type[SQLModel], column: str, key: Columns, dialect: Dialect) -> str:
    same = " AND ".join(f"{name} = {_mark(dialect)}" for name in key)
    return f"SELECT {column} FROM {_table(table).name} WHERE {same}"  # noqa: S608 - as above


@cache
def _change_text(table: type[SQLModel], values: Columns, where: Columns, gives: Columns, dialect: Dialect) -> str:
    mark = _mark(dialect)
    changed, same = ", ".join(f"{name} = {mark}" for name in values), " AND ".join(f"{name} = {mark}" for name in where)
    returning = f" RETURNING {', '.join(gives)}" if gives else ""
    return f"UPDATE {_table(table).name} SET {changed} WHERE {same}{returning}"  # noqa: S608 - as above


@cache
def _any_text(wanted: tuple[tuple[type[SQLModel], str], ...]) -> str:
    parts = [
        f"EXISTS (SELECT 1 FROM {_table(table).name}{f' WHERE {condition}' if condition else ''})"  # noqa: S608 - as above
        for table, condition in wanted
    ]
    return f"SELECT {', '.join(parts)}"


@cache
def _binders(table: type[SQLModel], columns: Columns, dialect: Dialect) -> _Converters:
    return _processors(table, columns, dialect, "bind_processor")


def _processors(table: type[SQLModel], columns: Columns, dialect: Dialect, which: str) -> _Converters:
    found = []
    for place, name in enumerate(columns):
        kind = _table(table).columns[name].type.dialect_impl(dialect)
        if isinstance(kind, LargeBinary):
            continue  # both drivers take and give bytes
        made = kind.bind_processor(dialect) if which == "bind_processor" else kind.result_processor(dialect, None)
        if made is not None:
            found.append((place, made))
    return tuple(found)


@cache
def _copy_types(table: type[SQLModel], columns: Columns, dialect: Dialect) -> list[str]:
    return [column_type(table, name, dialect) for name in columns]


def column_type(table: type[SQLModel], name: str, dialect: Dialect) -> str:
    """The column's type as the engine names it, without a length."""
    return str(_table(table).columns[name].type.compile(dialect=dialect)).partition("(")[0].lower()


def _mark(dialect: Dialect) -> str:
    return "?" if dialect.name == "sqlite" else "%s"


def _table(table: type[SQLModel]) -> Table:
    found: Table = table.__table__  # type: ignore[attr-defined]
    return found
