"""Entries over many small partitions on a real PostgreSQL: nothing is lost, doubled or searched for at a border."""

import json
import random
from collections.abc import Callable, Iterator
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import event, text
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlmodel import Session
from structlog.testing import capture_logs

from firmware_protocol import events
from server.core.db import Database
from server.core.signer import Purpose
from server.ledger import batch_store, browsing, fsck, merkle, partitions, places, service, store
from server.ledger.admission import Reason
from server.ledger.entry_types import EntryType
from server.ledger.models import LedgerQueue
from server.ledger.schemas import LeafKind
from server.ledger.sequencer import QUEUE_ROWS, Sequencer, Signers
from tests.fixtures.databases import new_database
from tests.server.ledger.conftest import SCOPE, TENANT, Device, Log

SMALL = 64


class SmallLog(Log):
    """Partitions of `entries`."""

    entries = SMALL

    def new_sequencer(self) -> Sequencer:
        return Sequencer(
            self.database,
            signers=Signers(checkpoint=self.keys[Purpose.CHECKPOINT], entry=self.keys[Purpose.ENTRY]),
            origin="seal.example/log",
            clock=self.clock,
            rng=self.rng,
            partition=self.entries,
        )

    def filled(self) -> dict[str, int]:
        """Partition -> entries, of those that have any."""
        query = "SELECT tableoid::regclass::text, count(*) FROM ledger_entry GROUP BY 1 ORDER BY min(idx)"
        with self.read() as db:
            return {name: count for name, count in db.connection().execute(text(query))}  # noqa: C416 - rows, not pairs

    def end(self) -> int:
        with self.read() as db:
            return partitions._end(db.connection())

    def problems(self) -> list[str]:
        with self.read() as db:
            return self.problems_in(db)

    def problems_in(self, db: Session) -> list[str]:
        keys = fsck.Keys(log=self.verifier_key, server={LeafKind.ENTRY: (self.keys[Purpose.ENTRY].public_key,)})
        return [problem.row for problem in fsck.check(db, keys)]


class RoomyLog(SmallLog):
    """More than a batch may need, so that the next partition is made at the half."""

    entries = 2 * (QUEUE_ROWS + 100)


@pytest.fixture
def database(postgres_url: str) -> Iterator[Database]:
    found = new_database(postgres_url)
    yield found
    found.close()


@pytest.fixture
def log(database: Database) -> SmallLog:
    return SmallLog(database)


@pytest.fixture
def roomy(database: Database, rng: random.Random) -> tuple[RoomyLog, Device]:
    log, device = RoomyLog(database), Device(rng)
    log.enrol(device)
    return log, device


@pytest.fixture
def signed(log: SmallLog, device: Device) -> list[bytes]:
    """200 events in four partitions, in one batch."""
    leaves = device.many(200)
    log.put(*leaves)
    return leaves


def test_log_goes_on_over_borders_in_mid_batch_and_at_a_restart(log: SmallLog, device: Device) -> None:
    leaves = device.many(4 * SMALL + 8)
    for first, behind in ((0, 50), (50, 80), (80, 2 * SMALL)):
        log.put(*leaves[first:behind])
    assert log.filled() == {"ledger_entry_0": SMALL, "ledger_entry_64": SMALL}
    log.restart()  # the next entry is the first of its partition
    log.put(leaves[2 * SMALL])
    log.restart()
    outcome = log.put(*leaves[2 * SMALL + 1 :])
    assert log.filled() == {f"ledger_entry_{first * SMALL}": SMALL for first in range(4)} | {"ledger_entry_256": 8}
    assert log.stored() == leaves
    assert log.receipt(outcome).up_to_seq == len(leaves)
    assert log.problems() == []


def test_batch_larger_than_many_partitions(log: SmallLog, device: Device) -> None:
    leaves = device.many(QUEUE_ROWS + 5 * SMALL)
    log.put(*leaves)
    assert log.stored() == leaves
    assert log.problems() == []


def test_event_of_an_older_partition_is_a_duplicate(log: SmallLog, signed: list[bytes]) -> None:
    log.restart()
    outcome = log.put(*signed[:5], signed[SMALL], signed[-1])
    assert (outcome.entries, outcome.duplicates) == (0, 7)
    assert log.receipt(outcome).up_to_seq == len(signed)
    assert log.stored() == signed


def test_second_history_is_seen_over_partitions(log: SmallLog, device: Device, signed: list[bytes]) -> None:
    other = device.event(seq=3, previous=events.chain_hash(signed[1]), counter=99)
    assert log.put(other).entries == 0
    with log.read() as db:
        (kept,) = service.set_aside(db, SCOPE)
    assert (kept.reason, kept.seq) == (Reason.EQUIVOCATION, 3)


def test_late_event_finds_its_neighbours_in_older_partitions(log: SmallLog, device: Device) -> None:
    leaves = device.many(150)
    late = leaves.pop(10)
    assert log.receipt(log.put(*leaves)).up_to_seq == 10
    outcome = log.put(late)
    assert (outcome.entries, log.receipt(outcome).up_to_seq) == (1, 150)
    assert log.filled() == {"ledger_entry_0": SMALL, "ledger_entry_64": SMALL, "ledger_entry_128": 22}
    assert log.problems() == []


def test_leaf_of_an_older_partition_is_not_queued_nor_taken_again(log: SmallLog, device: Device) -> None:
    with log.database.write() as db:
        ref = service.record(
            db,
            key=log.keys[Purpose.ENTRY],
            entry_type=EntryType.VERDICT,
            refs={"request": UUID(int=1)},
            tenant_id=TENANT,
            branch_path="/",
            now=log.clock.now(),
            rng=log.rng,
            clock=log.clock,
        )
    log.put()
    log.put(*device.many(2 * SMALL))
    with log.read() as db:
        found = service.entry(db, SCOPE, ref.leaf_hash)
    assert found is not None

    def row() -> LedgerQueue:
        facts: dict[str, Any] = {"tenant_id": TENANT, "branch_path": "/", "refs": [], "created_at": log.clock.now()}
        return LedgerQueue(leaf_hash=ref.leaf_hash, kind=LeafKind.ENTRY, leaf=found.leaf, **facts)

    with log.database.write() as db:
        store.add_to_queue(db, row())
        assert service.queued(db) == 0
        db.add(row())  # past the check, as two steps at the same moment might
    assert log.put().entries == 0
    with log.read() as db:
        assert service.queued(db) == 0


@pytest.mark.parametrize("same", ["leaf", "number"])
def test_database_itself_refuses_what_stands_in_another_partition(
    log: SmallLog, signed: list[bytes], rng: random.Random, same: str
) -> None:
    leaf = signed[3] if same == "leaf" else rng.randbytes(50)
    number = 999 if same == "leaf" else 4
    row = (200, merkle.leaf_hash(leaf), "event", leaf, TENANT, "/", log.clock.now(), 1, "D1", 1, number)
    with pytest.raises(IntegrityError, match="ledger_place"), log.database.write() as db:
        batch_store.store_entries(db, [row], [])
    assert log.stored() == signed


def test_next_partition_is_made_at_the_half_and_not_at_the_border(roomy: tuple[RoomyLog, Device]) -> None:
    log, device = roomy
    half = log.entries // 2
    log.put(*device.many(half - 1))
    log.put(device.next())
    assert log.end() == log.entries
    log.put(device.next())
    assert (log.sequencer.size, log.end()) == (half + 1, 2 * log.entries)


def test_reader_and_batch_do_not_wait_for_each_other_at_a_new_partition(roomy: tuple[RoomyLog, Device]) -> None:
    log, device = roomy
    log.put(*device.many(log.entries // 2))
    with log.read() as db:
        before = service.leaves(db, first=0, last=1 << 40)  # its locks stay until the block ends
        log.put(device.next())
        assert log.end() == 2 * log.entries
        assert service.leaves(db, first=0, last=1 << 40) == before


def test_new_partition_that_is_hindered_delays_no_batch_until_it_is_needed(
    roomy: tuple[RoomyLog, Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partitions, "LOCK_TIMEOUT_MS", 1)
    log, device = roomy
    log.put(*device.many(log.entries // 2))
    with log.database.engine.begin() as other, capture_logs() as said:
        other.exec_driver_sql("LOCK TABLE ledger_entry IN SHARE UPDATE EXCLUSIVE MODE")  # as VACUUM and ANALYZE do
        assert log.put(device.next()).entries == 1
        assert log.put(device.next()).entries == 1
        assert [one["event"] for one in said] == ["partition_not_made"]  # and it is not asked for with every batch
        stored = log.sequencer.size
        rest = device.many(log.entries - stored)
        with pytest.raises(OperationalError):
            log.put(*rest)
        assert log.sequencer.size == stored
    assert log.put(*rest).size == log.entries
    assert log.put(device.next()).size == log.entries + 1
    assert log.end() == 2 * log.entries


def touched(database: Database, work: Callable[[], object]) -> list[set[str]]:
    """For each SELECT of entries in `work`, the partitions in which PostgreSQL looked for rows."""
    asked: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        if statement.startswith("SELECT") and "ledger_entry" in statement:
            asked.append((statement, parameters))

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        work()
    finally:
        event.remove(database.engine, "before_cursor_execute", note)
    found = []
    with database.engine.begin() as connection:
        for statement, parameters in asked:
            (answer,) = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", parameters).scalars()
            plan = json.loads(answer) if isinstance(answer, str) else answer
            found.append(set(_executed(plan[0]["Plan"])))
    return found


def _executed(plan: dict[str, Any]) -> Iterator[str]:
    name = plan.get("Relation Name", "")
    if name.startswith("ledger_entry_") and plan["Actual Loops"]:
        yield name
    for part in plan.get("Plans", ()):
        yield from _executed(part)


def test_only_the_partitions_that_hold_the_answer_are_looked_into(
    log: SmallLog, device: Device, signed: list[bytes]
) -> None:
    third = merkle.leaf_hash(signed[130])

    def reading(ask: Callable[[Session], object]) -> list[set[str]]:
        def work() -> None:
            with log.read() as db:
                assert ask(db)

        return touched(log.database, work)

    first, second, last = {"ledger_entry_0"}, {"ledger_entry_64"}, {"ledger_entry_192"}
    assert touched(log.database, lambda: log.put(*signed[5:9])) == [first]  # the look-up of numbers that came before
    assert touched(log.database, lambda: log.receipts(log.put(device.next()))) == [last]  # one receipt
    assert reading(lambda db: service.leaves(db, first=70, last=90)) == [second]
    assert reading(lambda db: service.entry(db, SCOPE, third)) == [{"ledger_entry_128"}]
    at_place = reading(lambda db: browsing.at_place(db, SCOPE, device_id="D1", generation=1, seq=1))
    assert at_place == [first]
    assert reading(lambda db: service.proof(db, third)) == []
    (newest,) = reading(lambda db: service.find(db, SCOPE, limit=3))
    assert last < newest  # and in those made ahead, which are empty
    assert newest.isdisjoint({"ledger_entry_0", "ledger_entry_64", "ledger_entry_128"})


BREAKS = {
    "hash": "UPDATE ledger_place SET leaf_hash = sha256(leaf_hash) WHERE idx = {at}",
    "index": "UPDATE ledger_place SET idx = idx + 100000 WHERE idx = {at}",
    "device": "UPDATE ledger_place SET device_id = 'D9' WHERE idx = {at}",
    "generation": "UPDATE ledger_place SET generation = 7 WHERE idx = {at}",
    "number": "UPDATE ledger_place SET seq = 100000 WHERE idx = {at}",
    "no number": "UPDATE ledger_place SET device_id = NULL, generation = NULL, seq = NULL WHERE idx = {at}",
    "gone": "DELETE FROM ledger_place WHERE idx = {at}",
    "new": "INSERT INTO ledger_place (leaf_hash, idx) SELECT sha256(leaf_hash), idx FROM ledger_place WHERE idx = {at}",
}


def test_fsck_names_every_place_that_is_not_what_the_entry_says(
    log: SmallLog, signed: list[bytes], rng: random.Random
) -> None:
    assert log.problems() == []
    for name, statement in BREAKS.items():
        at = rng.randrange(len(signed))
        with log.database.write() as db:
            db.connection().exec_driver_sql(statement.format(at=at))
            assert f"ledger_place of entry {at}" in log.problems_in(db), name
            db.rollback()


def test_fsck_names_a_partition_that_is_gone(log: SmallLog, signed: list[bytes]) -> None:
    assert signed
    with log.database.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE ledger_entry DETACH PARTITION ledger_entry_64")
    assert log.problems() == ["ledger_entry 64"]


def test_places_and_entries_are_asked_in_the_same_words_on_both_databases(
    sqlite: Database, database: Database, rng: random.Random
) -> None:
    """The store contract: the same answers, whichever table has the unique indexes."""
    answers = []
    for one in (sqlite, database):
        log = Log(one)
        device = Device(random.Random(5))
        log.enrol(device)
        leaves = device.many(30)
        log.put(*leaves)
        with log.read() as db:
            answers.append(
                (
                    sorted(places.leaves(db, [("D1", 1, 4), ("D1", 1, 31), ("D2", 1, 4), ("D1", 2, 4)])),
                    places.ends_of_prefixes(db, [("D1", 1), ("D2", 1)]),
                    places.leaves(db, []),
                    places.wrong(db),
                    store.index_of(db, merkle.leaf_hash(leaves[7])),
                    store.index_of(db, rng.randbytes(32)),
                    [one.index for one in service.find(db, SCOPE, device_id="D1", limit=3)],
                )
            )
    assert answers[0] == answers[1]
    assert answers[0][3:] == ([], 7, None, [29, 28, 27])
