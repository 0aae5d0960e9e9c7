"""fsck names whatever row was changed, and nothing in a log that is whole."""

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlmodel import Session, SQLModel, select

from server.core.db import Database
from server.core.signer import Purpose
from server.ledger import fsck, service
from server.ledger.entry_types import EntryType
from server.ledger.models import LedgerCheckpoint, LedgerDeviceHead, LedgerEntry, LedgerGap, LedgerTile
from server.ledger.schemas import LeafKind
from tests.server.ledger.conftest import TENANT, Device, Log


@pytest.fixture
def log(sqlite: Database) -> Log:
    return Log(sqlite)


@pytest.fixture(scope="module")
def filled_file(empty_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 events; made once."""
    return fill(Path(shutil.copy(empty_file, tmp_path_factory.mktemp("filled") / "filled.sqlite3")), 200, 101)


@pytest.fixture(scope="module")
def short_file(empty_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 events; made once."""
    return fill(Path(shutil.copy(empty_file, tmp_path_factory.mktemp("short") / "short.sqlite3")), 50, 31)


def fill(path: Path, first: int, second: int) -> Path:
    """Events of two devices with one gap, and business entries, in batches of any size."""
    rng = random.Random(300)
    log = Log(Database(f"sqlite:///{path}"))
    device, other = Device(rng), Device(rng, "D2")
    log.enrol(device)
    log.enrol(other)
    leaves = device.many(first) + other.many(second)
    del leaves[first + second // 2]
    while leaves:
        size = rng.randrange(20, 80)
        log.put(*leaves[:size])
        leaves = leaves[size:]
        with log.database.write() as db:
            service.record(
                db,
                key=log.keys[Purpose.ENTRY],
                entry_type=EntryType.VERDICT,
                refs={"request": UUID(int=size)},
                tenant_id=TENANT,
                branch_path="/",
                now=log.clock.now(),
                rng=log.rng,
                clock=log.clock,
            )
    log.put()
    log.sequencer.close()
    log.database.close()
    return path


@pytest.fixture
def filled(filled_file: Path, tmp_path: Path) -> Iterator[Log]:
    database = Database(f"sqlite:///{shutil.copy(filled_file, tmp_path / 'filled.sqlite3')}")
    yield Log(database)
    database.close()


@pytest.fixture
def short(short_file: Path, tmp_path: Path) -> Iterator[Log]:
    database = Database(f"sqlite:///{shutil.copy(short_file, tmp_path / 'short.sqlite3')}")
    yield Log(database)
    database.close()


def problems(log: Log) -> list[str]:
    keys = fsck.Keys(log=log.verifier_key, server={LeafKind.ENTRY: (log.keys[Purpose.ENTRY].public_key,)})
    with log.database.read() as db:
        return [f"{problem.row}: {problem.what}" for problem in fsck.check(db, keys)]


def test_whole_log_has_no_problem(filled: Log) -> None:
    assert problems(filled) == []


def test_empty_log_has_no_problem(log: Log) -> None:
    assert problems(log) == []


def flip(data: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]


EDITS: dict[str, tuple[type[SQLModel], Callable[..., None]]] = {
    "a leaf's byte": (LedgerEntry, lambda row, rng: setattr(row, "leaf", flip(row.leaf, rng))),
    "a leaf hash": (LedgerEntry, lambda row, rng: setattr(row, "leaf_hash", flip(row.leaf_hash, rng))),
    "a device id": (LedgerEntry, lambda row, rng: setattr(row, "device_id", "D9")),
    "a number": (LedgerEntry, lambda row, rng: setattr(row, "seq", 10_000)),
    "a type": (LedgerEntry, lambda row, rng: setattr(row, "entry_type", 3)),
    "a tile": (LedgerTile, lambda row, rng: setattr(row, "data", flip(row.data, rng))),
    "a root": (LedgerCheckpoint, lambda row, rng: setattr(row, "root", flip(row.root, rng))),
    "a note": (LedgerCheckpoint, lambda row, rng: setattr(row, "note", row.note.replace("+", "-") + " ")),
    "a head's number": (LedgerDeviceHead, lambda row, rng: setattr(row, "prefix_seq", row.prefix_seq + 1)),
    "a head's hash": (LedgerDeviceHead, lambda row, rng: setattr(row, "last_hash", flip(row.last_hash, rng))),
    "a gap": (LedgerGap, lambda row, rng: setattr(row, "last_seq", row.last_seq + 1)),
}


@pytest.mark.parametrize("edit", EDITS)
def test_any_single_edit_is_found(filled: Log, rng: random.Random, edit: str) -> None:
    table, change = EDITS[edit]
    with filled.database.write() as db:
        row = rng.choice(db.exec(select(table)).all())
        change(row, rng)
        db.add(row)
    assert problems(filled)


@pytest.mark.parametrize(
    "table", ["ledger_entry", "ledger_tile", "ledger_checkpoint", "ledger_device_head", "ledger_gap"]
)
def test_row_taken_away_is_found(filled: Log, rng: random.Random, table: str) -> None:
    order = {"ledger_checkpoint": "size DESC"}.get(table, "random()")  # an old checkpoint follows from the newest
    with filled.database.write() as db:
        victim = db.connection().execute(text(f"SELECT rowid FROM {table} ORDER BY {order} LIMIT 1")).scalar()
        db.connection().execute(text(f"DELETE FROM {table} WHERE rowid = :victim"), {"victim": victim})
    assert problems(filled)


def test_edit_names_the_row(filled: Log) -> None:
    with filled.database.write() as db:
        row = db.get(LedgerEntry, 42)
        assert row
        row.leaf = row.leaf[:-1] + bytes([row.leaf[-1] ^ 1])
        db.add(row)
    assert problems(filled)[0].startswith("ledger_entry 42: ")


def test_leaf_of_the_wrong_server_key_is_named(filled: Log) -> None:
    keys = fsck.Keys(log=filled.verifier_key, server={LeafKind.ENTRY: (bytes(31) + b"\x01",)})
    with filled.database.read() as db:
        first = next(fsck.check(db, keys))
    assert first.row.startswith("ledger_entry ")
    assert "does not verify" in first.what


KEYS_OF = {
    "ledger_entry": ("leaf", "leaf_hash", "kind", "entry_type", "device_id", "generation", "seq"),
    "ledger_tile": ("data", "width"),
    "ledger_checkpoint": ("root", "note"),
    "ledger_device_head": ("last_seq", "last_hash", "prefix_seq"),
    "ledger_gap": ("first_seq", "last_seq"),
    "ledger_log": ("size",),
    "ledger_ref": ("ref",),
}
"""The columns that follow from the leaves or are signed."""


def changed(value: object, rng: random.Random) -> object:
    """Another value of the same type, as one who edits a row would write it."""
    if isinstance(value, bytes):
        return flip(value, rng)
    if isinstance(value, int):
        return value + rng.choice((-1_000, 1_000))
    if isinstance(value, str):
        at = rng.randrange(len(value))
        return value[:at] + chr(ord(value[at]) ^ 1) + value[at + 1 :]
    return 1 if value is None else None


def test_100_of_100_random_edits_of_one_row_are_found(short: Log, rng: random.Random) -> None:
    found = 0
    for _ in range(100):
        table = rng.choice(list(KEYS_OF))
        column = rng.choice(KEYS_OF[table])
        with short.database.write() as db:
            connection = db.connection()
            row = connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY random() LIMIT 1").one()._asdict()
            edited = row | {column: changed(row[column], rng)}
            edit = f"UPDATE {table} SET {column} = ? WHERE {' AND '.join(f'{name} IS ?' for name in row)}"
            connection.exec_driver_sql(edit, (edited[column], *row.values()))
            session = Session(bind=connection)
            keys = fsck.Keys(log=short.verifier_key, server={LeafKind.ENTRY: (short.keys[Purpose.ENTRY].public_key,)})
            first = next(fsck.check(session, keys), None)
            assert first is not None, f"{table}: {column} of {row} was changed unseen"
            found += 1
            connection.exec_driver_sql(edit, (row[column], *edited.values()))
    assert found == 100
    assert problems(short) == []
