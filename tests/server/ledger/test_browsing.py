"""Looking through the ledger: filters, pages and their cost, growth, cases, and who may see what."""

import random
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import event

from firmware_protocol import cbor
from firmware_protocol.events import EventType, Operator
from firmware_protocol.purposes import Purpose
from server.core.db import Database
from server.core.scope import Scope
from server.ledger import browsing, entry_codec, service
from server.ledger.admission import Reason
from server.ledger.browsing import Wanted
from server.ledger.entry_types import EntryType
from server.ledger.schemas import INSTALLATION, LeafKind
from tests.fixtures.databases import new_database
from tests.server.ledger.conftest import SCOPE, TENANT, Device, Log


@pytest.fixture
def database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """SQLite; both engines where a test says so."""
    if getattr(request, "param", "sqlite") == "sqlite":
        yield request.getfixturevalue("sqlite")
        return
    made = new_database(request.getfixturevalue("postgres_url"))
    yield made
    made.close()


ANA, BOB = UUID(int=11), UUID(int=12)
SPAIN = Scope(tenant_id=TENANT, branch_path="/spain/", person_id=ANA)
LISBON = Scope(tenant_id=TENANT, branch_path="/portugal/lisbon/", person_id=BOB)


def record(log: Log, number: int, *, seal: int = 1, by: UUID = ANA, branch: str = "/spain/") -> bytes:
    """A decision about a request of one seal, signed by `by`."""
    with log.database.write() as db:
        made = service.record(
            db,
            key=log.keys[Purpose.ENTRY],
            entry_type=EntryType.DECISION,
            refs={"request": UUID(int=number), "seal": UUID(int=seal)},
            public={"approved": True},
            private={"approver": by, "reason": "yes"},
            tenant_id=TENANT,
            branch_path=branch,
            now=log.clock.now(),
            rng=log.rng,
            clock=log.clock,
        )
    return made.leaf_hash


def numbers(log: Log, wanted: Wanted, *, scope: Scope = SCOPE, limit: int = 11) -> list[int]:
    """Every index that fits, over as many pages as it takes."""
    found: list[int] = []
    before: int | None = None
    with log.read() as db:
        while True:
            page = browsing.page(db, scope, wanted, before=before, limit=limit)
            assert len(page.entries) <= limit
            found += [entry.index for entry in page.entries]
            before = page.older
            if before is None:
                return found


@pytest.fixture
def full(log: Log, device: Device) -> Log:
    """60 entries: reports of two devices and decisions about three seals, over three days."""
    other = Device(random.Random(5), device_id="D2")
    log.enrol(other, branch_path="/portugal/lisbon/")
    for day in range(3):
        log.put(*device.many(5), *other.many(4), device.next(Operator(operator=b"abcd", method=1, present=True)))
        for number in range(10):
            record(
                log,
                day * 10 + number,
                seal=number % 3,
                by=(ANA, BOB)[number % 2],
                branch="/spain/" if number < 7 else "/portugal/lisbon/",
            )
        log.put()
        log.clock.advance(timedelta(days=1))
    return log


FILTERS: Sequence[Wanted] = (
    Wanted(),
    Wanted(refs=(f"seal:{UUID(int=1)}",)),
    Wanted(refs=(f"seal:{UUID(int=1)}", f"request:{UUID(int=4)}")),
    Wanted(device_id="D1"),
    Wanted(device_id="D2", kind=LeafKind.EVENT, entry_type=EventType.SENSOR),
    Wanted(kind=LeafKind.EVENT, entry_type=EventType.OPERATOR),
    Wanted(kind=LeafKind.ENTRY),
    Wanted(kind=LeafKind.TOKEN),
    Wanted(person_id=ANA, may_open=True),
    Wanted(person_id=BOB, may_open=True, refs=(f"seal:{UUID(int=2)}",)),
    Wanted(person_id=ANA, may_open=True, device_id="D1"),
)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize("scope", [SCOPE, SPAIN, LISBON], ids=["tenant", "spain", "lisbon"])
def test_pages_hold_what_a_look_at_every_entry_finds(full: Log, scope: Scope) -> None:
    with full.read() as db:
        everything = service.leaves(db, first=0, last=1000)
        by = {entry.leaf_hash: _approver(full, entry.leaf_hash) for entry in everything}
        refs = {entry.index: _refs(entry.leaf) for entry in everything if entry.kind is LeafKind.ENTRY}
    for wanted in FILTERS:
        expected = [
            entry.index
            for entry in reversed(everything)
            if scope.covers(entry.branch_path)
            and all(ref in refs.get(entry.index, ()) for ref in wanted.refs)
            and wanted.device_id in {None, entry.device_id}
            and wanted.kind in {None, entry.kind}
            and wanted.entry_type in {None, entry.entry_type}
            and wanted.person_id in {None, by[entry.leaf_hash]}
        ]
        assert numbers(full, wanted, scope=scope) == expected, wanted
        assert numbers(full, wanted, scope=scope, limit=500) == expected, wanted


def _refs(leaf: bytes) -> tuple[str, ...]:
    return entry_codec.ref_strings(entry_codec.peek(leaf).refs)


def _approver(log: Log, leaf_hash: bytes) -> UUID | None:
    with log.read() as db:
        opening = service.openings(db, SCOPE, leaf_hash).get("approver")
    return UUID(str(cbor.decode(opening.value))) if opening else None


def test_another_tenant_sees_nothing_by_any_filter(full: Log) -> None:
    stranger = Scope.system(UUID(int=8))
    assert all(numbers(full, wanted, scope=stranger) == [] for wanted in FILTERS)


def test_how_the_installation_began_is_a_plain_fact_for_everybody(log: Log) -> None:
    began = of_the_installation(log, EntryType.INSTALLATION, name="Example Group")
    aside = of_the_installation(log, EntryType.EVENTS_SET_ASIDE)  # from a device that nobody enrolled
    record(log, 1)
    log.put()
    with log.read() as db:
        first, second, own = service.leaves(db, first=0, last=2)
        assert [first.leaf_hash, second.leaf_hash] == [began, aside]
        for scope in (SCOPE, SPAIN, Scope(tenant_id=UUID(int=8), branch_path="/", person_id=BOB)):
            assert service.entry(db, scope, began) is not None
            assert service.entry(db, scope, aside) is None
            assert service.openings(db, scope, began) == {}, "its name stays a commitment"
            mine = [own.index] if scope.tenant_id == TENANT else []
            assert numbers(log, Wanted(), scope=scope, limit=1) == [*mine, first.index]
            by_kind = Wanted(kind=LeafKind.ENTRY, entry_type=EntryType.INSTALLATION)
            assert numbers(log, by_kind, scope=scope) == [first.index]
            assert numbers(log, Wanted(refs=(f"installation:{UUID(int=3)}",)), scope=scope) == [first.index]


def of_the_installation(log: Log, entry_type: EntryType, **private: str) -> bytes:
    began = entry_type is EntryType.INSTALLATION
    with log.database.write() as db:
        made = service.record(
            db,
            key=log.keys[Purpose.ENTRY],
            entry_type=entry_type,
            refs={"installation": UUID(int=3)} if began else {},
            public={"origin": "seal.example/log"} if began else {"count": 1},
            private=private,
            tenant_id=INSTALLATION,
            branch_path="/",
            now=log.clock.now(),
            rng=log.rng,
            clock=log.clock,
        )
    return made.leaf_hash


def test_who_may_not_open_names_does_not_find_people_by_them(full: Log) -> None:
    assert numbers(full, Wanted(person_id=ANA, may_open=True))
    assert numbers(full, Wanted(person_id=ANA, may_open=False)) == []


def test_erased_names_are_found_no_more(full: Log) -> None:
    erased = record(full, 99)
    full.put()
    with full.read() as db:
        index = service.entry(db, SCOPE, erased).index  # type: ignore[union-attr]
    assert index in numbers(full, Wanted(person_id=ANA, may_open=True))
    with full.database.write() as db:
        service.erase_openings(db, SCOPE, erased, now=full.clock.now())
    assert index not in numbers(full, Wanted(person_id=ANA, may_open=True))


def test_days_are_those_of_utc_and_included(full: Log) -> None:
    with full.read() as db:
        everything = service.leaves(db, first=0, last=1000)
    first = everything[0].admitted_at.date()
    for since, until in ((0, 0), (1, 2), (None, 0), (2, None), (5, 9)):
        low = first + timedelta(days=since) if since is not None else None
        high = first + timedelta(days=until) if until is not None else None
        expected = [
            entry.index
            for entry in reversed(everything)
            if (low is None or entry.admitted_at.date() >= low) and (high is None or entry.admitted_at.date() <= high)
        ]
        assert numbers(full, Wanted(since=low, until=high)) == expected
    assert numbers(full, Wanted(until=date.max)) == numbers(full, Wanted())


def test_no_address_breaks_a_page(full: Log) -> None:
    with full.read() as db:
        assert browsing.page(db, SCOPE, Wanted(), before=-(10**30)).entries == ()
        assert browsing.page(db, SCOPE, Wanted(), before=10**30).entries


def test_a_look_stops_and_says_how_far_it_came(full: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browsing, "SPANS", (2, 5))
    with full.read() as db:
        page = browsing.page(db, Scope(tenant_id=TENANT, branch_path="/nowhere/", person_id=ANA), Wanted())
        size = service.head(db)[0]
    assert page.entries == ()
    assert page.looked_to == page.older == size - 5
    assert numbers(full, Wanted(kind=LeafKind.EVENT, entry_type=EventType.OPERATOR), scope=SPAIN)


def test_every_page_comes_out_of_an_index(log: Log) -> None:
    """SQLite's own plan of each query: a search in an index for the candidates, never a scan of the entries."""
    record(log, 1)
    log.put()
    plans: list[str] = []

    @event.listens_for(log.database.engine, "before_cursor_execute")
    def explain(_conn: object, cursor: object, statement: str, parameters: object, *_rest: object) -> None:
        if statement.startswith("SELECT") and "ledger_" in statement:
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", parameters)  # type: ignore[attr-defined]
            plans.extend(row[3] for row in cursor.fetchall())  # type: ignore[attr-defined]

    for wanted in FILTERS:
        numbers(log, wanted)
    assert plans
    scans = {plan for plan in plans if plan.startswith("SCAN ledger_")}
    assert scans == set()
    assert any("ix_ledger_opening_uuid" in plan for plan in plans)


def test_growth_counts_each_day_and_never_shrinks(full: Log) -> None:
    with full.read() as db:
        everything = service.leaves(db, first=0, last=1000)
        days = browsing.growth(db, days=6, now=full.clock.now())
    assert [day.day for day in days][-1] == full.clock.now().date()
    for day in days:
        assert day.added == sum(entry.admitted_at.date() == day.day for entry in everything)
        assert day.size == sum(entry.admitted_at.date() <= day.day for entry in everything)
    assert sum(day.added for day in days) == len(everything)


def test_growth_of_an_empty_log_is_nothing(log: Log) -> None:
    with log.read() as db:
        days = browsing.growth(db, days=3, now=datetime(2026, 1, 3, 12, tzinfo=UTC))
    assert [(day.added, day.size) for day in days] == [(0, 0)] * 3


def test_a_gap_is_a_case_until_its_reports_arrive(log: Log, device: Device) -> None:
    reports = device.many(5)
    log.put(reports[0], reports[3], reports[4])
    with log.read() as db:
        (gap,) = browsing.gaps(db, SCOPE)
        assert (gap.first_seq, gap.last_seq, gap.closed_at) == (2, 3, None)
        assert browsing.gap(db, SCOPE, device_id="D1", generation=1, seq=3) == gap
        assert browsing.gap(db, SCOPE, device_id="D1", generation=1, seq=4) is None
        assert browsing.gap(db, LISBON, device_id="D1", generation=1, seq=3) is None
        assert browsing.gaps(db, LISBON) == []
        before = browsing.at_place(db, SCOPE, device_id="D1", generation=1, seq=1)
        assert before is not None
        assert before.leaf == reports[0]
        assert browsing.at_place(db, LISBON, device_id="D1", generation=1, seq=1) is None
    log.put(*reports[1:3])
    with log.read() as db:
        assert browsing.gaps(db, SCOPE) == []
        closed = browsing.gap(db, SCOPE, device_id="D1", generation=1, seq=3)
        assert closed is not None
        assert closed.closed_at is not None
        assert closed in browsing.gaps(db, SCOPE, closed=True)


def test_what_was_set_aside_is_listed_page_by_page_and_kept(log: Log, device: Device) -> None:
    log.put(device.next())
    twin = device.event(seq=1, previous=bytes(32), counter=9)
    junk = [bytes([number]) * 9 for number in range(5)]
    for piece in (twin, *junk):
        log.put(piece)
        log.clock.advance(timedelta(seconds=1))
    found = []
    before = None
    with log.read() as db:
        while page := browsing.set_aside(db, SCOPE, before=before, limit=2):
            found += page
            before = (page[-1].last_at, page[-1].digest)
        assert [item.digest for item in found] == [item.digest for item in service.set_aside(db, SCOPE)]
        (contradiction,) = [item for item in found if item.reason is Reason.EQUIVOCATION]
        kept = browsing.set_aside_item(db, SCOPE, contradiction.digest)
        assert kept is not None
        assert kept.payload == twin
        unknown = next(item for item in found if item.reason is Reason.MALFORMED)
        assert browsing.set_aside_item(db, SPAIN, unknown.digest) is None  # nobody's: only for the whole tenant
        assert browsing.set_aside_item(db, SPAIN, contradiction.digest) is not None
        assert browsing.signing_key(db, SPAIN, device_id="D1", generation=1) == device.public_key
        assert browsing.signing_key(db, LISBON, device_id="D1", generation=1) is None
