"""Who may operate a device: keepers and deputies, as signed parts that the device checks without us."""

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select

from firmware_protocol import cose, operators, orders
from firmware_protocol.operators import Entry, Method
from firmware_protocol.orders import Roster
from server.app import create_api
from server.core.clock import FixedClock
from server.core.scope import Role, Scope
from server.devices import service as devices
from server.devices import tasks
from server.devices.errors import NoSuchDeputy, NotADeputy, OnlyForOneself, WrongDates
from server.devices.models import DownMessage
from server.devices.schemas import DeputyIn, RosterOut
from server.identity import service as identity
from server.identity.models import Person
from server.identity.schemas import PersonRead
from server.jobs.models import Job
from tests.server.office import Office
from tests.server.world import PIN, Client, Company

BADGE = "0004711815"


def fetched(office: Office) -> RosterOut:
    with office.run.db.write() as db:
        return devices.roster(db, office.run, office.gateway.gateway, device_id=office.pen.device_id)


def entries_of(office: Office, roster: RosterOut) -> list[Entry]:
    """As the device reads them: every part verified with the policy key, in order."""
    key = devices.issuer_keys(office.run)[4]
    parts = [orders.verify(Roster, part, keys=cose.keyring(key)) for part in roster.parts]
    assert [(part.number, part.part, part.parts) for part in parts] == [
        (roster.number, number, len(parts)) for number in range(len(parts))
    ]
    return [Entry.unpack(entry) for part in parts for entry in part.entries]


def give_badge(company: Company, person: PersonRead, badge: str = BADGE) -> Any:
    with company.run.db.write() as db:
        return identity.register_badge(
            db, company.run, company.everywhere, person_id=person.id, badge=f" {badge}\n", name="white card"
        )


def do_roster_jobs(office: Office) -> None:
    with office.run.db.read() as db:
        due = list(db.exec(select(Job).where(Job.kind == identity.ROSTER_JOB)).all())
    for payload in {job.payload["tenant"] for job in due if job.run_at <= office.run.now()}:
        tasks.refresh_rosters(office.run, {"tenant": payload})


def waiting(office: Office) -> list[bytes]:
    """Roster parts on their way down now."""
    with office.run.db.read() as db:
        rows = db.exec(select(DownMessage).where(DownMessage.kind == "roster")).all()
    return [row.payload for row in rows if row.expires_at > office.run.now() and row.acked_at is None]


def test_nobody_with_a_pin_is_no_roster(office: Office) -> None:
    roster = fetched(office)
    assert (roster.number, roster.parts) == (0, ())
    assert [person.username for person in roster.people] == ["keeper"]
    assert waiting(office) == []


def test_a_pin_and_a_badge_are_verifiers_that_the_proof_fits(office: Office, with_passwords: Company) -> None:
    give_badge(with_passwords, with_passwords.keeper)
    roster = fetched(office)
    pin, badge = entries_of(office, roster)
    assert {entry.operator for entry in (pin, badge)} == {with_passwords.keeper.operator}
    assert (pin.method, badge.method) == (Method.PIN, Method.BADGE)
    assert pin.fits(operators.proof(PIN, salt=pin.salt))
    assert not pin.fits(operators.proof("0000", salt=pin.salt))
    assert badge.fits(operators.proof(BADGE, salt=badge.salt))
    (person,) = roster.people
    assert person.badge_lookup == hashlib.sha256(b"seal/1/badge" + BADGE.encode()).digest()[:8]
    assert [(way.method, way.salt) for way in person.methods] == [(1, pin.salt), (2, badge.salt)]


def test_the_number_rises_with_every_change_and_not_without_one(office: Office, with_passwords: Company) -> None:
    company, run = with_passwords, office.run
    do_roster_jobs(office)
    assert fetched(office).number == fetched(office).number == 1
    first = waiting(office)
    with run.db.write() as db:
        identity.set_pin(db, run, company.everywhere, person_id=company.keeper.id, pin="8642")
    do_roster_jobs(office)
    roster = fetched(office)
    assert roster.number == 2
    assert waiting(office) == list(roster.parts) != first  # the older parts are not sent any more
    badge = give_badge(company, company.keeper)
    assert fetched(office).number == 3
    with run.db.write() as db:
        identity.revoke_badge(db, run, company.everywhere, badge_id=badge.id, reason="lost")
    assert [entry.method for entry in entries_of(office, fetched(office))] == [Method.PIN]


def test_who_keeps_no_more_leaves_an_empty_roster(office: Office, with_passwords: Company) -> None:
    company, run = with_passwords, office.run
    assert len(entries_of(office, fetched(office))) == 1
    with run.db.write() as db:
        identity.set_role(
            db,
            run,
            company.everywhere,
            person_id=company.keeper.id,
            role=Role.KEEPER,
            branch_path="/spain/madrid/",
            held=False,
        )
    do_roster_jobs(office)
    roster = fetched(office)
    assert (roster.number, len(roster.parts), entries_of(office, roster), roster.people) == (2, 1, [], ())


def test_thirty_keepers_fit_into_parts_of_twelve(office: Office, company: Company) -> None:
    run = office.run
    with run.db.write() as db:
        for number in range(30):
            person = identity.add_person(
                db, run, company.everywhere, username=f"k{number}", name=f"K {number}", branch_path="/spain/madrid/"
            )
            identity.set_role(
                db, run, company.everywhere, person_id=person.id, role=Role.KEEPER, branch_path="/spain/madrid/"
            )
        identity.set_pin(db, run, company.everywhere, person_id=person.id, pin="1234")

        for row in db.exec(select(Person)).all():
            row.roster_salt, row.roster_verifier = b"s" * 8, b"v" * 16
            db.add(row)
    roster = fetched(office)
    assert [len(part) <= 480 for part in roster.parts] == [True] * 3
    assert len(entries_of(office, roster)) == 31


@pytest.fixture
def api(office: Office, with_passwords: Company) -> Client:
    return Client(create_api(office.run), headers=office.headers)


def test_a_badge_opens_the_session_and_a_foreign_one_does_not(api: Client, with_passwords: Company) -> None:
    give_badge(with_passwords, with_passwords.keeper)
    give_badge(with_passwords, with_passwords.stranger, "99887766")
    said = {"device_id": "MAD-0001", "badge": BADGE}
    answer = api.post("/gateway/v1/sessions", json=said)
    assert (answer.status_code, answer.json()["name"]) == (201, "Keeper")
    for badge in ("99887766", "0000", BADGE + "1"):
        assert api.post("/gateway/v1/sessions", json=said | {"badge": badge}).status_code == 401, badge
    assert api.post("/gateway/v1/sessions", json={"device_id": "MAD-0001"}).status_code == 422
    assert api.get("/gateway/v1/devices/MAD-0001/roster").json()["number"] == 1
    assert api.get("/gateway/v1/devices/MAD-0002/roster").status_code == 404


def deputy(company: Company, **changes: Any) -> DeputyIn:
    now = company.run.now()
    form: dict[str, Any] = {
        "person_id": company.clerk.id,
        "stands_for": company.keeper.id,
        "device_id": "MAD-0001",
        "starts_at": now + timedelta(days=1),
        "ends_at": now + timedelta(days=3),
    }
    return DeputyIn(**form | changes)


def test_a_deputy_operates_in_these_days_and_not_before_or_after(
    office: Office, with_passwords: Company, clock: FixedClock
) -> None:
    company, run = with_passwords, office.run
    with run.db.write() as db:
        identity.set_pin(db, run, company.everywhere, person_id=company.clerk.id, pin="2580")
        devices.name_deputy(db, run, company.scope(company.keeper), deputy(company))
    seen = []
    for _day in range(4):
        do_roster_jobs(office)
        with run.db.read() as db:
            device = office.device()
            may = devices.may_operate(db, run, device_read=device, person_id=company.clerk.id)
            stands = devices.stands_in_for(db, run, device, company.clerk.id) == {company.keeper.id}
        seen.append((may, stands, len(entries_of(office, fetched(office))), fetched(office).number))
        clock.advance(timedelta(days=1))
    assert seen == [(False, False, 1, 1), (True, True, 2, 2), (True, True, 2, 2), (False, False, 1, 3)]


def test_a_deputy_of_a_seal_operates_where_its_head_sits_until_called_back(
    office: Office, with_passwords: Company
) -> None:
    company, run = with_passwords, office.run
    form = deputy(company, device_id=None, seal_id=company.seal.id, starts_at=run.now())
    with run.db.write() as db:
        named = devices.name_deputy(db, run, company.scope(company.admin), form)
    with run.db.read() as db:
        assert devices.may_operate(db, run, device_read=office.device(), person_id=company.clerk.id)
        (shown,) = devices.deputies(db, run, company.scope(company.admin), seal_id=company.seal.id)
    assert shown.id == named.id
    with run.db.write() as db:
        devices.end_deputy(db, run, company.scope(company.keeper), deputy_id=named.id)
    with run.db.read() as db:
        assert not devices.may_operate(db, run, device_read=office.device(), person_id=company.clerk.id)
    with run.db.write() as db, pytest.raises(NoSuchDeputy):
        devices.end_deputy(db, run, company.scope(company.keeper), deputy_id=named.id)


def test_what_no_deputy_can_be(office: Office, with_passwords: Company) -> None:
    company, run = with_passwords, office.run
    keeper, admin = company.scope(company.keeper), company.scope(company.admin)
    now = run.now()
    cases: list[tuple[Scope, dict[str, Any], type[Exception]]] = [
        (keeper, {"stands_for": None}, OnlyForOneself),
        (keeper, {"person_id": company.keeper.id}, NotADeputy),
        (admin, {"stands_for": company.clerk.id}, NotADeputy),
        (admin, {"ends_at": now + timedelta(hours=1)}, WrongDates),
        (admin, {"starts_at": now - timedelta(days=2), "ends_at": now - timedelta(days=1)}, WrongDates),
        (admin, {"ends_at": now + timedelta(days=94)}, WrongDates),
    ]
    for scope, changes, error in cases:
        with pytest.raises(error), run.db.write() as db:
            devices.name_deputy(db, run, scope, deputy(company, **changes))
