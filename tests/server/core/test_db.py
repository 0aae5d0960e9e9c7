"""Sessions are durable, read sessions cannot write, callbacks follow the commit."""

import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Annotated, Any

import anyio
import httpx
import pytest
from fastapi import Depends, FastAPI, Request
from sqlalchemy.exc import DBAPIError, StatementError
from sqlmodel import Field, SQLModel, select

from server.core.clock import FixedClock
from server.core.db import CreatedAt, Database, Db, NotDurable, UuidPk, after_commit
from server.core.ids import new_id
from server.core.rng import SeededRng

CLOCK, RNG = FixedClock(), SeededRng(1)


class Note(UuidPk, CreatedAt, table=True):
    __tablename__ = "test_core_note"
    text: str = Field(unique=True)
    blob: bytes = b""


# Collected by every worker of a run, and no table of the product: the migrations must not hear of it.
SQLModel.metadata.remove(Note.__table__)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path / 'x.sqlite3'}"
    database = Database(url if request.param == "sqlite" else request.getfixturevalue("postgres_url"))
    Note.__table__.drop(database.engine, checkfirst=True)
    Note.__table__.create(database.engine)
    yield database
    database.close()


def note(text: str, at: datetime | None = None) -> Note:
    return Note(id=new_id(CLOCK, RNG), created_at=at or CLOCK.now(), text=text, blob=b"\0\xff")


def texts(database: Database) -> list[str]:
    with database.read() as db:
        return sorted(db.exec(select(Note.text)))


def test_every_sqlite_connection_is_wal_and_full(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite3'}")
    found = []
    with database.read() as first, database.read() as second, database.write() as third:
        for db in (first, second, third):
            names = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
            found.append([db.connection().exec_driver_sql(f"PRAGMA {name}").scalar() for name in names])
    database.close()
    assert found == [["wal", 2, 1, 5000]] * 3


def test_an_in_memory_database_is_refused() -> None:
    with pytest.raises(NotDurable):
        Database("sqlite://")


def test_moments_come_back_aware_and_equal(database: Database) -> None:
    moment = datetime(2026, 3, 1, 23, 30, 0, 123456, tzinfo=timezone(timedelta(hours=-5)))
    with database.write() as db:
        db.add(note("a", moment))
    with database.read() as db:
        row = db.exec(select(Note)).one()
    assert row.created_at == moment
    assert row.created_at.tzinfo is UTC
    assert row.blob == b"\0\xff"


def test_a_naive_moment_is_refused(database: Database) -> None:
    naive = datetime(2026, 3, 1)  # noqa: DTZ001 - the point of the test
    with pytest.raises(StatementError, match="naive"), database.write() as db:
        db.add(note("a", naive))


def test_a_read_session_cannot_write_and_the_next_write_session_can(database: Database) -> None:
    with database.read() as db:
        db.add(note("a"))
        with pytest.raises(DBAPIError):
            db.flush()
    with database.write() as db:
        db.add(note("b"))
    assert texts(database) == ["b"]


def test_an_error_rolls_back_and_no_callback_runs(database: Database) -> None:
    ran: list[str] = []

    def step() -> None:
        with database.write() as db:
            db.add(note("a"))
            after_commit(db, lambda: ran.append("a"))
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError):
        step()
    assert texts(database) == []
    assert ran == []


def test_callbacks_run_once_in_order_after_the_commit(database: Database) -> None:
    ran: list[list[str]] = []
    with database.write() as db:
        db.add(note("a"))
        after_commit(db, lambda: ran.append(texts(database)))
        after_commit(db, lambda: 1 / 0)  # type: ignore[arg-type,return-value]
        after_commit(db, lambda: ran.append(["second"]))
        assert ran == []
    assert ran == [["a"], ["second"]]


def test_a_savepoint_that_rolls_back_takes_its_callbacks_along(database: Database) -> None:
    ran: list[str] = []
    with database.write() as db:
        after_commit(db, lambda: ran.append("outer"))
        inner = db.begin_nested()
        after_commit(db, lambda: ran.append("inner"))
        inner.rollback()
        kept = db.begin_nested()
        after_commit(db, lambda: ran.append("kept"))
        kept.commit()
    assert ran == ["outer", "kept"]


def test_after_commit_needs_a_write_session(database: Database) -> None:
    with database.read() as db, pytest.raises(RuntimeError):
        after_commit(db, lambda: None)


def test_two_sqlite_writers_wait_for_each_other_instead_of_failing(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite3'}")
    Note.__table__.create(database.engine)

    def write(worker: int) -> None:
        for number in range(10):
            with database.write() as db:
                seen = len(db.exec(select(Note)).all())
                db.add(note(f"{worker}-{number}-{seen}"))

    threads = [threading.Thread(target=write, args=(worker,)) for worker in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counted = sorted(int(text.rsplit("-", 1)[1]) for text in texts(database))
    database.close()
    assert counted == list(range(40))


def test_a_commit_that_fails_does_not_answer_200(tmp_path: Path, ask: Callable[..., Any]) -> None:
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite3'}")
    Note.__table__.create(database.engine)
    app = FastAPI()
    app.state.runtime = type("R", (), {"db": database})

    @app.post("/notes")
    def add(db: Db) -> str:
        db.add(note("same"))
        return "stored"

    assert ask(app, "POST", "/notes").status_code == 200
    assert ask(app, "POST", "/notes").status_code == 500  # the unique constraint fails at commit, not in the route
    database.close()


def test_a_crowd_of_requests_that_write_and_read_comes_through(tmp_path: Path) -> None:
    """More than the server has threads; each asks who is calling, on a connection of its own, before it writes."""
    database = Database(f"sqlite:///{tmp_path / 'x.sqlite3'}")
    Note.__table__.create(database.engine)
    app = FastAPI()
    app.state.runtime = type("R", (), {"db": database})

    def caller(request: Request) -> int:
        with database.read() as db:
            return len(db.exec(select(Note)).all())

    @app.post("/notes/{number}")
    def add(number: int, db: Db, seen: Annotated[int, Depends(caller)]) -> None:
        db.add(note(f"{number} saw {seen}"))

    async def post(client: httpx.AsyncClient, number: int, answers: list[int]) -> None:
        answers.append((await client.post(f"/notes/{number}")).status_code)

    async def crowd() -> list[int]:
        answers: list[int] = []
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        client = httpx.AsyncClient(transport=transport, base_url="https://localhost")
        async with client, anyio.create_task_group() as group:
            for number in range(60):
                group.start_soon(post, client, number, answers)
        return answers

    assert anyio.run(crowd) == [200] * 60
    database.close()
