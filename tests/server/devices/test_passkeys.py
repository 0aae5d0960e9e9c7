"""A passkey from the page where it was made to the device that believes it: nothing counts before its owner said so."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from firmware_protocol import cose, events, messages, operators, orders, passkeys
from firmware_protocol.orders import Roster
from firmware_protocol.passkeys import Passkey
from firmware_protocol.reasons import Reason
from server.app import create_api
from server.core.clock import FixedClock
from server.core.scope import Role
from server.devices import service as devices
from server.devices.schemas import RosterOut
from server.identity import service as identity
from server.identity.errors import NoSuchPasskey, NoSuchPerson, TooManyPasskeys
from server.identity.schemas import PasskeyRead, PersonRead
from server.ledger import service as ledger
from server.ledger.entry_codec import Entry, peek
from server.ledger.entry_types import EntryType
from server.ledger.schemas import LeafKind
from tests.device_sim.installation import DEVICE_ID
from tests.fixtures.authenticator import Authenticator, client_data
from tests.server.devices.test_real_device import Bench, bench  # noqa: F401 - a fixture
from tests.server.world import PIN, Client

ROUTE = f"/gateway/v1/devices/{DEVICE_ID}/passkeys"


@pytest.fixture
def keepers() -> Authenticator:
    return Authenticator()


@pytest.fixture
def gateway_api(bench: Bench) -> Client:  # noqa: F811 - the fixture
    return Client(create_api(bench.office.run), headers=bench.office.headers)


@pytest.fixture
def desk(bench: Bench, gateway_api: Client) -> Bench:  # noqa: F811 - the fixture
    """The keeper stands there, signed in with name and PIN."""
    said = {"device_id": DEVICE_ID, "username": "keeper", "pin": PIN}
    assert gateway_api.post("/gateway/v1/sessions", json=said).status_code == 201
    return bench


def make(desk: Bench, api: Client, authenticator: Authenticator, **changes: Any) -> Any:
    facts = {
        "operator_id": str(desk.company.keeper.id),
        "rp_id": authenticator.rp_id,
        "authenticator_data": authenticator.made().hex(),
    }
    return api.post(ROUTE, json=facts | changes)


def theirs(desk: Bench, person: PersonRead) -> list[PasskeyRead]:
    with desk.office.run.db.read() as db:
        return identity.passkeys(db, desk.office.run, desk.company.scope(person), person.id)


def confirm(desk: Bench, person: PersonRead, passkey: PasskeyRead) -> PasskeyRead:
    with desk.office.run.db.write() as db:
        return identity.confirm_passkey(db, desk.office.run, desk.company.scope(person), passkey_id=passkey.id)


def revoke(desk: Bench, person: PersonRead, passkey: PasskeyRead) -> None:
    with desk.office.run.db.write() as db:
        identity.revoke_passkey(
            db, desk.office.run, desk.company.scope(person), passkey_id=passkey.id, reason="the phone was lost"
        )


def roster(desk: Bench) -> RosterOut:
    """Brought up to date, and on the device."""
    run = desk.office.run
    with run.db.write() as db:
        made = devices.roster(db, run, desk.office.gateway.gateway, device_id=DEVICE_ID)
    for part in made.parts:
        assert desk.world.ask(messages.RosterRequest(roster=part)) == messages.Accepted()
    return made


def keys_in(desk: Bench, made: RosterOut) -> list[Passkey]:
    key = devices.issuer_keys(desk.office.run)[4]
    parts = [orders.verify(Roster, part, keys=cose.keyring(key)) for part in made.parts]
    return [Passkey.unpack(passkey) for part in parts for passkey in part.passkeys or ()]


def shows(desk: Bench, authenticator: Authenticator) -> messages.Message:
    """At the device: a challenge, a touch, the device's answer."""
    out = desk.world.ask(messages.PasskeyChallengeRequest())
    assert isinstance(out, messages.PasskeyChallenge)
    signed = authenticator.sign(client_data(passkeys.challenge(DEVICE_ID, out.nonce)))
    credential = passkeys.short_id(authenticator.credential_id)
    operator = desk.company.keeper.operator
    return desk.world.ask(messages.PasskeyRequest(operator=operator, credential=credential, **asdict(signed)))


def signs_in(desk: Bench, api: Client, event: bytes) -> int:
    said = {"device_id": DEVICE_ID, "event": event.hex()}
    return int(api.post("/gateway/v1/sessions", json=said).status_code)


def recorded(desk: Bench, kind: EntryType) -> list[Entry]:
    """Entries about passkeys, once they are in the ledger."""
    desk.office.sequencer.commit([])
    with desk.office.run.db.read() as db:
        rows = [row for row in ledger.leaves(db, first=0, last=1 << 40) if row.kind is LeafKind.ENTRY]
    found = [peek(row.leaf) for row in rows]
    return [entry for entry in found if entry.entry_type is kind and "passkey" in str(entry.public["method"])]


def test_from_the_page_to_the_device(desk: Bench, gateway_api: Client, keepers: Authenticator) -> None:
    waits = make(desk, gateway_api, keepers)
    assert waits.status_code == 201
    (mine,) = theirs(desk, desk.company.keeper)
    assert (mine.number, mine.confirmed_at) == (waits.json()["number"], None)
    assert (mine.device_id, mine.gateway_id, mine.rp_id) == (DEVICE_ID, "gw-madrid", "localhost")
    assert keys_in(desk, roster(desk)) == []
    refused = shows(desk, keepers)
    assert isinstance(refused, messages.Refused)
    assert refused.reason is Reason.WRONG_OPERATOR
    confirm(desk, desk.company.keeper, mine)
    made = roster(desk)
    assert keys_in(desk, made) == [keepers.passkey(desk.company.keeper.operator)]
    (person,) = made.people
    assert [(key.credential_id, key.rp_id) for key in person.passkeys] == [(keepers.credential_id, "localhost")]
    answer = shows(desk, keepers)
    assert isinstance(answer, messages.Identified)
    assert signs_in(desk, gateway_api, answer.event) == 201
    assert desk.world.device.status.operator == desk.company.keeper.operator
    (way,) = person.methods
    proof = operators.proof(PIN, salt=way.salt)
    asked = messages.OperatorRequest(operator=person.operator, method=way.method, proof=proof)
    assert desk.world.ask(asked) == messages.Accepted(), "the PIN works beside it"
    with desk.office.run.db.read() as db, pytest.raises(NoSuchPerson):
        identity.passkeys(db, desk.office.run, desk.company.scope(desk.company.stranger), desk.company.keeper.id)


def test_a_key_that_a_gateway_slips_in_opens_nothing(desk: Bench, gateway_api: Client, keepers: Authenticator) -> None:
    mallory = Authenticator(key=ec.derive_private_key(666, ec.SECP256R1()), credential_id=b"mallory's")
    assert make(desk, gateway_api, mallory).status_code == 201
    assert keys_in(desk, roster(desk)) == []
    assert isinstance(shows(desk, mallory), messages.Refused)
    (slipped,) = theirs(desk, desk.company.keeper)
    with pytest.raises(NoSuchPasskey):
        confirm(desk, desk.company.clerk, slipped)
    revoke(desk, desk.company.keeper, slipped)
    with pytest.raises(NoSuchPasskey):
        confirm(desk, desk.company.keeper, slipped)
    assert theirs(desk, desk.company.keeper) == []


def test_only_a_passkey_of_that_page_for_whom_headquarters_knows_there(
    desk: Bench, gateway_api: Client, keepers: Authenticator
) -> None:
    assert make(desk, gateway_api, keepers, operator_id=str(desk.company.clerk.id)).status_code == 401
    assert make(desk, gateway_api, keepers, operator_id=str(desk.company.tenant.id)).status_code == 401
    data = keepers.made()
    wrong = [
        {"rp_id": "gateway.example.com"},
        {"rp_id": "Localhost"},
        {"authenticator_data": ""},
        {"authenticator_data": data[:37].hex()},
        {"authenticator_data": data[:-1].hex()},
        {"authenticator_data": (data + b"\x00").hex()},
        {"authenticator_data": keepers.made(flags=0x41).hex()},  # nobody was verified
        {"authenticator_data": keepers.made(flags=0xC5).hex()},  # extensions announced, none there
        {"authenticator_data": (data[:-1] + bytes([data[-1] ^ 1])).hex()},  # not on the curve
        {"authenticator_data": data.replace(b"\x03\x26", b"\x03\x27").hex()},  # EdDSA
        {"authenticator_data": (data[:53] + b"\x00\x00" + data[55 + len(keepers.credential_id) :]).hex()},
    ]
    for facts in wrong:
        assert make(desk, gateway_api, keepers, **facts).status_code in (400, 422), facts
    assert theirs(desk, desk.company.keeper) == []
    protected = keepers.made(flags=0xC5) + b"\xa1\x6bcredProtect\x02"  # as Chromium asks of security keys by itself
    assert make(desk, gateway_api, keepers, authenticator_data=protected.hex()).status_code == 201


def test_three_may_wait_for_a_week_and_eight_may_count(desk: Bench, gateway_api: Client, clock: FixedClock) -> None:
    several = [Authenticator(credential_id=bytes([n]) * 20) for n in range(4)]
    assert [make(desk, gateway_api, one).status_code for one in several] == [201, 201, 201, 409]
    assert make(desk, gateway_api, several[0]).status_code == 409
    first = theirs(desk, desk.company.keeper)[0]
    clock.advance(timedelta(days=7))
    assert theirs(desk, desk.company.keeper) == []
    with pytest.raises(NoSuchPasskey):
        confirm(desk, desk.company.keeper, first)
    said = {"device_id": DEVICE_ID, "username": "keeper", "pin": PIN}
    assert gateway_api.post("/gateway/v1/sessions", json=said).status_code == 201
    for n in range(9):
        assert make(desk, gateway_api, Authenticator(credential_id=bytes([n]) * 30)).status_code == 201
        newest = next(one for one in theirs(desk, desk.company.keeper) if one.confirmed_at is None)
        if n < 8:
            confirm(desk, desk.company.keeper, newest)
        else:
            with pytest.raises(TooManyPasskeys):
                confirm(desk, desk.company.keeper, newest)
    assert len(keys_in(desk, roster(desk))) == 8


def test_every_step_that_counts_is_in_the_ledger(desk: Bench, gateway_api: Client, keepers: Authenticator) -> None:
    make(desk, gateway_api, keepers)
    assert recorded(desk, EntryType.CREDENTIAL_ENROLLED) == []
    (mine,) = theirs(desk, desk.company.keeper)
    confirm(desk, desk.company.admin, mine)
    (enrolled,) = recorded(desk, EntryType.CREDENTIAL_ENROLLED)
    assert enrolled.refs == {"person": str(desk.company.keeper.id), "credential": str(mine.id)}
    assert enrolled.public["public_key"] == keepers.passkey(b"....").public_key
    assert enrolled.public["attested_by"] == "administrator"
    revoke(desk, desk.company.keeper, mine)
    (revoked,) = recorded(desk, EntryType.CREDENTIAL_REVOKED)
    assert revoked.public == {"method": "passkey"}


def test_a_lost_phone_opens_nothing_at_once_at_headquarters_and_with_the_next_roster(
    desk: Bench, gateway_api: Client, keepers: Authenticator
) -> None:
    make(desk, gateway_api, keepers)
    confirm(desk, desk.company.keeper, theirs(desk, desk.company.keeper)[0])
    roster(desk)
    revoke(desk, desk.company.keeper, theirs(desk, desk.company.keeper)[0])
    answer = shows(desk, keepers)  # the device has not heard of it yet
    assert isinstance(answer, messages.Identified)
    assert signs_in(desk, gateway_api, answer.event) == 401
    roster(desk)
    assert isinstance(shows(desk, keepers), messages.Refused)


def test_an_event_signs_in_once_and_only_while_it_is_new_and_its_owner_keeps_here(
    desk: Bench, gateway_api: Client, keepers: Authenticator, clock: FixedClock
) -> None:
    company, run = desk.company, desk.office.run
    make(desk, gateway_api, keepers)
    confirm(desk, desk.company.keeper, theirs(desk, desk.company.keeper)[0])
    roster(desk)
    first, second = shows(desk, keepers), shows(desk, keepers)
    assert isinstance(first, messages.Identified)
    assert isinstance(second, messages.Identified)
    assert signs_in(desk, gateway_api, second.event) == 201
    for replayed in (first.event, second.event):
        assert signs_in(desk, gateway_api, replayed) == 401
    desk.world.ask(messages.OperatorLeaveRequest())
    left = desk.world.event_bytes(desk.world.device.memory.seq)
    assert events.peek(left).body == events.Operator(operator=desk.company.keeper.operator, method=3, present=False)
    assert signs_in(desk, gateway_api, left) == 400
    assert signs_in(desk, gateway_api, second.event[:-1] + bytes([second.event[-1] ^ 1])) == 400
    assert signs_in(desk, gateway_api, b"") == 400
    time = devices.signed_time(run, device_id=DEVICE_ID, boot_nonce=desk.said().boot_nonce)
    assert desk.world.ask(messages.TimeRequest(time=time)) == messages.Accepted()
    kept = shows(desk, keepers)
    assert isinstance(kept, messages.Identified)
    clock.advance(timedelta(minutes=11))
    assert signs_in(desk, gateway_api, kept.event) == 401
    desk.world.wait(11 * 60_000)
    fresh = shows(desk, keepers)
    assert isinstance(fresh, messages.Identified)
    keeping: dict[str, Any] = {"person_id": company.keeper.id, "role": Role.KEEPER, "branch_path": "/spain/madrid/"}
    for held, status in ((False, 401), (True, 201)):
        with run.db.write() as db:
            identity.set_role(db, run, company.everywhere, **keeping, held=held)
        assert signs_in(desk, gateway_api, fresh.event) == status


def test_a_device_that_knows_no_passkeys_gets_none(desk: Bench, gateway_api: Client, keepers: Authenticator) -> None:
    make(desk, gateway_api, keepers)
    confirm(desk, desk.company.keeper, theirs(desk, desk.company.keeper)[0])
    run = desk.office.run
    desk.office.hello()  # of MAD-0001, which says no features
    with run.db.write() as db:
        made = devices.roster(db, run, desk.office.gateway.gateway, device_id=desk.office.pen.device_id)
    assert keys_in(desk, made) == []
    assert made.people[0].passkeys != ()
