"""The store contract of `driver`, on SQLite and on PostgreSQL: what it writes, other code reads as its own."""

import random
from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError
from sqlmodel import col, select

from server.core.clock import FixedClock
from server.core.db import Database
from server.ledger import batch_store, driver
from server.ledger.models import LedgerEntry, LedgerReceipt, LedgerTile
from server.ledger.partitions import Room
from tests.server.ledger.conftest import TENANT

NOW = FixedClock().now()
RECEIPT = ("device_id", "generation", "gateway_id", "acked_seq")


@pytest.fixture(autouse=True)
def room(database: Database) -> None:
    with database.write() as db:
        Room().extend(db, 0, 1)


def entry(index: int, rng: random.Random, *, device_id: str | None = "D1") -> tuple[object, ...]:
    place = (device_id, 1, index + 1) if device_id else (None, None, None)
    return (index, rng.randbytes(32), "event", rng.randbytes(50), TENANT, "/é/", NOW, index % 7, *place)


@pytest.mark.parametrize("count", [1, 19, 20, 300])
def test_rows_are_stored_as_their_columns_would_store_them(database: Database, rng: random.Random, count: int) -> None:
    rows = [entry(index, rng, device_id=None if index % 3 == 0 else "D1") for index in range(count)]
    with database.write() as db:
        driver.insert(db, LedgerEntry, batch_store.ENTRY_COLUMNS, rows)
    with database.read() as db:
        stored = db.exec(select(LedgerEntry).order_by(col(LedgerEntry.idx))).all()
    assert [tuple(getattr(row, name) for name in batch_store.ENTRY_COLUMNS) for row in stored] == rows


@pytest.mark.parametrize("count", [1, 50])
def test_row_that_is_there_is_an_error_and_nothing_is_stored(
    database: Database, rng: random.Random, count: int
) -> None:
    first = entry(0, rng)
    with database.write() as db:
        driver.insert(db, LedgerEntry, batch_store.ENTRY_COLUMNS, [first])
    more = [entry(index, rng) for index in range(1, count + 1)]
    with pytest.raises(IntegrityError), database.write() as db:
        driver.insert(db, LedgerEntry, batch_store.ENTRY_COLUMNS, [*more, first])
    with database.read() as db:
        assert db.exec(select(LedgerEntry.idx)).all() == [0]


def test_upsert_overwrites_all_but_what_is_kept(database: Database) -> None:
    with database.write() as db:
        driver.upsert(db, LedgerReceipt, RECEIPT, [("D1", 1, "gw-1", 5), ("D2", 1, "gw-1", 6)])
        driver.upsert(db, LedgerReceipt, RECEIPT, [("D1", 1, "gw-2", 0)], keep=("acked_seq",))
    with database.read() as db:
        rows = db.exec(select(LedgerReceipt).order_by(LedgerReceipt.device_id)).all()
    assert [(row.device_id, row.gateway_id, row.acked_seq) for row in rows] == [("D1", "gw-2", 5), ("D2", "gw-1", 6)]


def test_look_up_gives_the_wanted_rows_and_no_others(database: Database, rng: random.Random) -> None:
    rows = [entry(index, rng) for index in range(40)]
    with database.write() as db:
        driver.insert(db, LedgerEntry, batch_store.ENTRY_COLUMNS, rows)
    wanted = [("D1", 1, 3), ("D1", 1, 30), ("D1", 2, 3), ("D9", 1, 3), ("D1", 1, 2**62)]
    with database.read() as db:
        found = driver.look_up(
            db,
            LedgerEntry,
            ("seq", "leaf", "tenant_id", "admitted_at"),
            by=("device_id", "generation", "seq"),
            wanted=wanted,
        )
    assert sorted(found) == [(3, rows[2][3], TENANT, NOW), (30, rows[29][3], TENANT, NOW)]


def test_look_up_gives_columns_of_joined_rows_after_its_own(database: Database, rng: random.Random) -> None:
    rows = [entry(index, rng) for index in range(5)]
    with database.write() as db:
        driver.insert(db, LedgerEntry, batch_store.ENTRY_COLUMNS, rows)
        driver.upsert(db, LedgerReceipt, RECEIPT, [("D1", 1, "gw-1", 4), ("D2", 1, "gw-2", 4)])
    with database.read() as db:
        found = driver.look_up(
            db,
            LedgerReceipt,
            ("device_id", "gateway_id"),
            by=("device_id", "generation"),
            wanted=[("D1", 1), ("D2", 1)],
            joined="JOIN ledger_entry AS e ON e.device_id = t.device_id AND e.seq = t.acked_seq",
            more=("e.idx", "e.leaf"),
        )
    assert found == [("D1", "gw-1", 3, rows[3][3])]


def test_change_touches_the_rows_it_names_and_gives_what_they_have(database: Database) -> None:
    later = NOW + timedelta(seconds=7)
    columns = ("device_id", "generation", "gateway_id", "acked_seq")
    with database.write() as db:
        driver.upsert(db, LedgerReceipt, columns, [("D1", 1, "gw-1", 5), ("D1", 2, "gw-1", 6)])
        where = {"device_id": "D1", "generation": 2}
        assert driver.change(db, LedgerReceipt, {"acked_at": later}, where, gives=("acked_seq", "acked_at")) == [
            (6, later)
        ]
        assert driver.change(db, LedgerReceipt, {"acked_seq": 9}, {"device_id": "D1", "generation": 1}) == []
        assert driver.change(db, LedgerReceipt, {"acked_seq": 8}, {"device_id": "D9"}, gives=("acked_seq",)) == []
    with database.read() as db:
        rows = db.exec(select(LedgerReceipt).order_by(col(LedgerReceipt.generation))).all()
    assert [(row.acked_seq, row.acked_at) for row in rows] == [(9, None), (6, later)]


def test_any_rows_says_for_each_table_whether_there_is_one(database: Database) -> None:
    with database.write() as db:
        driver.upsert(db, LedgerReceipt, RECEIPT, [("D1", 1, "gw-1", 5)])
        asked = ((LedgerReceipt, ""), (LedgerReceipt, "acked_seq = 6"), (LedgerTile, ""))
        assert driver.any_rows(db, *asked) == (True, False, False)


def test_fetch_gives_one_value_or_none(database: Database) -> None:
    with database.write() as db:
        driver.upsert(db, LedgerTile, ("level", "idx", "width", "data"), [(0, 1, 1, bytes(32))])
    with database.read() as db:
        assert driver.fetch(db, LedgerTile, "data", level=0, idx=1) == bytes(32)
        assert driver.fetch(db, LedgerTile, "data", level=1, idx=1) is None
