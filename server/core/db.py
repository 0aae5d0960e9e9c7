"""The database: durable write sessions, read-only read sessions, and the columns every table shares.

One request is one transaction. A write session on SQLite begins IMMEDIATE, so two writers never deadlock on an
upgrade; no file, network or image work belongs inside it. On PostgreSQL it is READ COMMITTED: lock the row you decide
on (`with_for_update`). After a power cut an acknowledged commit is still there: WAL with synchronous=FULL, checked on
every connection (NORMAL lost 3,216 of 27,634 acknowledged commits in simulated power cuts, FULL none).
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from uuid import UUID

import structlog
from fastapi import Depends, Request
from sqlalchemy import (
    BigInteger,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Integer,
    MetaData,
    create_engine,
    event,
    make_url,
)
from sqlalchemy.orm import SessionTransaction
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, Session, SQLModel

BUSY_TIMEOUT_MS: Final = 5000
"""Longest wait for another SQLite writer; a write session holds the lock for milliseconds."""
_LOOK_MS: Final = 10
"""SQLite looks for the lock after 1, 2, 5, ... and at last every 100 ms; a writer that comes again and again takes it
in between, and a batch of the ledger waited seconds behind photos and projections. Begun anew after so long, it looks
at least every 5 ms."""

_AFTER_COMMIT: Final = "cinnabar_after_commit"
_READ_ONLY: Final = "cinnabar_read_only"

BIG: Final = BigInteger().with_variant(Integer(), "sqlite")
"""Column type of a number that may outgrow 32 bits: Unix milliseconds, whatever a device counts or signs. PostgreSQL
refuses a larger one than its column holds. SQLite has 64 bits anyway; so spelt, a row id there is itself the key."""

log = structlog.get_logger(__name__)


class NotDurable(RuntimeError):
    """A connection did not take a setting that the promise of durability needs."""


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime in, the same out, on SQLite (which stores no zone) and on PostgreSQL.

    Raises: ValueError for a naive datetime.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime has no place in the database")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if dialect.name == "sqlite" else value.astimezone(UTC)


class UuidPk(SQLModel):
    """Mixin: primary key `id`, made by `server.core.ids.new_id`; no default: ids come from the injected clock."""

    id: UUID = Field(primary_key=True)


class PostgresqlOnly(SQLModel):
    """Base of tables that SQLite has not; who declares one makes it after the table that it belongs to."""

    metadata = MetaData()


class CreatedAt(SQLModel):
    """Mixin: `created_at`, aware UTC, from the injected clock."""

    created_at: datetime = Field(sa_type=UtcDateTime, nullable=False)


class Database:
    """One database for one process; thread-safe. Sessions come from `read()` and `write()`."""

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self.is_sqlite: Final = parsed.get_backend_name() == "sqlite"
        if self.is_sqlite and parsed.database in {None, "", ":memory:"}:
            raise NotDurable("an in-memory database is not durable; give a file")
        options: dict[str, Any] = {"pool_pre_ping": True}
        if self.is_sqlite:
            # A connection is an open file. With a limit, threads that wait for the lock hold all of them, and the one
            # that has the lock waits for a second one.
            options = {"connect_args": {"timeout": BUSY_TIMEOUT_MS / 1000}, "max_overflow": -1}
        self.engine: Final[Engine] = create_engine(parsed, **options)
        if self.is_sqlite:
            event.listen(self.engine, "connect", _make_durable)
            event.listen(self.engine, "begin", _begin_sqlite)
        else:
            event.listen(self.engine, "connect", _make_postgresql_durable)
            event.listen(self.engine, "begin", _begin_postgresql)
        self._read_engine = self.engine.execution_options(**{_READ_ONLY: True})

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session over one consistent snapshot (SQLite) that the database itself refuses to write through."""
        with Session(self._read_engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session that commits when the block ends well and rolls back when it raises.

        Callbacks given to `after_commit` run once, after the commit, in order, in this thread.
        """
        with self._to_write() as session:
            session.connection()  # begin now: the write lock is taken before the first decision is read
            yield session

    @contextmanager
    def write_later(self) -> Iterator[Session]:
        """As `write`, begun by the first statement. For what is opened in one thread and used in another: a request
        that has the lock must not wait for a thread, or a connection, that requests without it hold.
        """
        with self._to_write() as session:
            yield session

    @contextmanager
    def _to_write(self) -> Iterator[Session]:
        with Session(self.engine, expire_on_commit=False) as session:
            callbacks = _follow_rollbacks(session)
            yield session
            session.commit()
        for callback in callbacks:
            _run_after_commit(callback)

    def close(self) -> None:
        self.engine.dispose()


def after_commit(db: Session, callback: Callable[[], None]) -> None:
    """Run `callback` once when this session's transaction has been committed; never when it is rolled back.

    For kicks (wake the sequencer, the downlink): the work itself must already be in a table, since the process may
    die between commit and callback. Raises: RuntimeError for a session that is not from `Database.write()`.
    """
    callbacks = db.info.get(_AFTER_COMMIT)
    if callbacks is None:
        raise RuntimeError("after_commit needs a session from Database.write()")
    callbacks.append(callback)


def _follow_rollbacks(session: Session) -> list[Callable[[], None]]:
    """The session's list of callbacks; what was added inside a savepoint or transaction that rolls back leaves it."""
    callbacks: list[Callable[[], None]] = []
    session.info[_AFTER_COMMIT] = callbacks
    marks: dict[SessionTransaction, int] = {}

    def begun(_session: object, transaction: SessionTransaction) -> None:
        marks[transaction] = len(callbacks)

    def rolled_back(_session: object, transaction: SessionTransaction) -> None:
        del callbacks[marks.get(transaction, 0) :]

    event.listen(session, "after_transaction_create", begun)
    event.listen(session, "after_soft_rollback", rolled_back)
    return callbacks


def _run_after_commit(callback: Callable[[], None]) -> None:
    try:
        callback()
    except Exception:  # the commit stands; a failed kick must not turn it into an error answer
        log.exception("after_commit_failed", callback=getattr(callback, "__qualname__", repr(callback)))


def _make_durable(connection: Any, _record: object) -> None:  # noqa: ANN401 - DBAPI connections have no common type
    """Per connection: the pragmas, then proof that they took.

    Raises: NotDurable.
    """
    connection.isolation_level = None  # we say BEGIN ourselves; sqlite3's own is always deferred
    for pragma, value, reads in (
        ("journal_mode", "WAL", "wal"),
        ("synchronous", "FULL", 2),
        ("foreign_keys", "ON", 1),
        ("busy_timeout", str(BUSY_TIMEOUT_MS), BUSY_TIMEOUT_MS),
    ):
        connection.execute(f"PRAGMA {pragma} = {value}")
        got = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
        if got != reads:
            raise NotDurable(f"PRAGMA {pragma} is {got!r}, must be {reads!r}")


def _make_postgresql_durable(connection: Any, _record: object) -> None:  # noqa: ANN401 - as above
    """Per connection: a commit is on disk before it is answered, whatever the server's or the user's default is.

    Raises: NotDurable.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET synchronous_commit TO on")
        cursor.execute("SHOW synchronous_commit")
        got = cursor.fetchone()[0]
    connection.commit()
    if got != "on":
        raise NotDurable(f"synchronous_commit is {got!r}, must be 'on'")


def _begin_sqlite(connection: Connection) -> None:
    read_only = connection.get_execution_options().get(_READ_ONLY, False)
    connection.exec_driver_sql(f"PRAGMA query_only = {'ON' if read_only else 'OFF'}")
    if read_only:
        connection.exec_driver_sql("BEGIN DEFERRED")
    else:
        _begin_immediate(connection)


def _begin_immediate(connection: Connection) -> None:
    """Raises: sqlalchemy.exc.OperationalError, after BUSY_TIMEOUT_MS."""
    sqlite: Any = connection.connection.driver_connection
    sqlite.execute(f"PRAGMA busy_timeout = {_LOOK_MS}")
    try:
        for _ in range(BUSY_TIMEOUT_MS // _LOOK_MS):
            with suppress(sqlite3.OperationalError):  # busy; what else it may be, the last try below says
                sqlite.execute("BEGIN IMMEDIATE")
                return
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    finally:
        sqlite.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")


def _begin_postgresql(connection: Connection) -> None:
    if connection.get_execution_options().get(_READ_ONLY, False):
        connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


def _database_of(request: Request) -> Database:
    database: Database = request.app.state.runtime.db
    return database


def write_session(request: Request) -> Iterator[Session]:
    """FastAPI dependency behind `Db`; the app's state carries the `Runtime`."""
    with _database_of(request).write_later() as session:
        yield session


def read_session(request: Request) -> Iterator[Session]:
    """FastAPI dependency behind `DbRead`."""
    with _database_of(request).read() as session:
        yield session


# scope="function": with FastAPI's default scope the commit would run after the response, and a failing commit would
# still answer 200 (measured with FastAPI 0.165).
Db = Annotated[Session, Depends(write_session, scope="function")]
DbRead = Annotated[Session, Depends(read_session, scope="function")]
