"""Who stands at the device: roster, signing in and out, and the lock against guessing."""

import hashlib

import pytest

from device_sim.core.folding import remember
from device_sim.core.memory import EMPTY, snapshot_record
from firmware_protocol import events, messages, operators
from firmware_protocol.messages import State
from firmware_protocol.operators import Entry, Method
from firmware_protocol.reasons import Reason
from tests.device_sim.installation import POLICIES, STRANGER
from tests.device_sim.world import World

ANN, BOB = b"ann.", b"bob."
SALT = b"saltsalt"
ANN_PIN = operators.entry(operator=ANN, method=Method.PIN, secret="2468", salt=SALT)
BOB_BADGE = operators.entry(operator=BOB, method=Method.BADGE, secret="04A1", salt=SALT)
PROOFS = {pin: operators.proof(pin, salt=SALT) for pin in ("2468", "04A1", "0000")}


def sign_in(world: World, who: Entry = ANN_PIN, secret: str = "2468") -> messages.Message:
    return world.ask(messages.OperatorRequest(operator=who.operator, method=int(who.method), proof=PROOFS[secret]))


def reason(answer: messages.Message) -> Reason:
    assert isinstance(answer, messages.Refused), answer
    return answer.reason


@pytest.fixture
def office(world: World) -> World:
    """Ann has a PIN, Bob a badge."""
    assert world.ask(messages.RosterRequest(roster=world.roster(ANN_PIN, BOB_BADGE))) == messages.Accepted()
    return world


def test_the_proof_is_scrypt_and_the_verifier_does_not_give_it_away() -> None:
    proof = operators.proof("pleaseletmein", salt=b"SodiumChloride")
    # RFC 7914 section 12, the first 32 bytes
    assert proof.hex() == "7023bdcb3afd7348461c06cd81fd38ebfda8fbba904f8e3ea9b543f6545da1f2"
    assert operators.verifier(proof) == hashlib.sha256(proof).digest()[:16]


def test_signing_in_and_out_is_an_event(office: World) -> None:
    assert sign_in(office) == messages.Accepted()
    assert office.device.status.operator == ANN
    assert office.last() == events.Operator(operator=ANN, method=1, present=True)
    office.ask(messages.OperatorLeaveRequest())
    assert office.last() == events.Operator(operator=ANN, method=1, present=False)
    assert office.device.status.operator is None


def test_a_token_for_a_person_needs_that_person(office: World) -> None:
    token = office.token(operator=ANN)
    assert office.refused(messages.TokenRequest(token=token)) is Reason.OPERATOR_NEEDED
    sign_in(office, BOB_BADGE, "04A1")
    assert office.refused(messages.TokenRequest(token=office.token(operator=ANN))) is Reason.OPERATOR_NEEDED
    sign_in(office)
    office.grant(operator=ANN)


def test_a_token_for_nobody_opens_nothing_where_people_are_known(office: World) -> None:
    assert office.refused(messages.TokenRequest(token=office.token(operator=None))) is Reason.OPERATOR_NEEDED
    sign_in(office)
    assert office.refused(messages.TokenRequest(token=office.token(operator=None))) is Reason.OPERATOR_NEEDED
    office.grant(operator=ANN)


def test_without_a_roster_the_gateway_is_believed(world: World) -> None:
    world.grant(operator=ANN)


def test_another_person_closes_the_grant(office: World) -> None:
    sign_in(office)
    office.grant(operator=ANN)
    office.lay()
    office.unlock()
    sign_in(office, BOB_BADGE, "04A1")
    assert (office.shaft.free, office.device.state) == (False, State.LOCKED)
    told = [type(body).__name__ for body in office.bodies()[-4:]]
    assert told == ["Cancelled", "Closed", "Operator", "Operator"]


def test_the_same_person_again_changes_nothing(office: World) -> None:
    sign_in(office)
    office.grant(operator=ANN)
    seq = office.device.memory.seq
    assert sign_in(office) == messages.Accepted()
    assert office.device.memory.seq == seq
    assert office.device.state is State.GRANTED


def test_leaving_closes_the_grant_and_a_reboot_signs_out(office: World) -> None:
    sign_in(office)
    office.grant(operator=ANN)
    office.ask(messages.OperatorLeaveRequest())
    assert office.device.state is State.LOCKED
    sign_in(office)
    office.boot()
    assert office.device.status.operator is None
    assert office.refused(messages.TokenRequest(token=office.token(operator=ANN))) is Reason.OPERATOR_NEEDED


def test_five_wrong_tries_lock_this_person_for_a_minute(office: World) -> None:
    for _ in range(5):
        assert reason(sign_in(office, secret="0000")) is Reason.WRONG_OPERATOR
    assert reason(sign_in(office)) is Reason.TOO_MANY_TRIES
    assert sign_in(office, BOB_BADGE, "04A1") == messages.Accepted()
    office.wait(60_000)
    assert sign_in(office) == messages.Accepted()


def test_a_power_cut_buys_no_further_tries(office: World) -> None:
    for _ in range(5):
        sign_in(office, secret="0000")
    office.boot()
    assert reason(sign_in(office)) is Reason.TOO_MANY_TRIES
    office.wait(60_000)
    assert sign_in(office) == messages.Accepted()
    office.boot()
    assert sign_in(office) == messages.Accepted()


def test_every_wrong_try_is_told_even_among_garbage(office: World) -> None:
    for _ in range(20):
        office.ask(messages.TokenRequest(token=b"garbage"))
    for _ in range(4):
        sign_in(office, secret="0000")
    wrong = [body for body in office.bodies() if isinstance(body, events.Refusal) and body.message_type == 0x10]
    assert len(wrong) == 4


def test_a_stranger_and_a_wrong_way_are_refused(office: World) -> None:
    nobody = Entry(operator=b"eve.", method=Method.PIN, salt=SALT, verifier=bytes(16))
    assert reason(sign_in(office, nobody)) is Reason.WRONG_OPERATOR
    badge = Entry(operator=ANN, method=Method.BADGE, salt=SALT, verifier=bytes(16))
    assert reason(sign_in(office, badge)) is Reason.WRONG_OPERATOR


# --- the roster -------------------------------------------------------------------------------------------------------


def offer(world: World, roster: bytes) -> Reason:
    return world.refused(messages.RosterRequest(roster=roster))


def test_a_roster_survives_a_reboot_and_a_snapshot(office: World) -> None:
    office.boot()
    memory = office.device.memory
    assert {entry.operator for entry in memory.people} == {ANN, BOB}
    assert remember(EMPTY, snapshot_record(memory)) == memory


def test_a_higher_number_removes_everybody_of_the_lower(office: World) -> None:
    sign_in(office)
    office.ask(messages.RosterRequest(roster=office.roster(BOB_BADGE, number=2)))
    assert office.device.status.operator is None
    assert reason(sign_in(office)) is Reason.WRONG_OPERATOR
    assert offer(office, office.roster(ANN_PIN, number=1)) is Reason.OLD_EPOCH


def test_parts_come_in_any_order_and_more_than_once(world: World) -> None:
    parts = [world.roster(entry, number=3, part=part, parts=2) for part, entry in enumerate((ANN_PIN, BOB_BADGE))]
    for part in (parts[1], parts[0], parts[1]):
        assert world.ask(messages.RosterRequest(roster=part)) == messages.Accepted()
    assert [entry.operator for entry in world.device.memory.people] == [BOB, ANN]


def test_whoever_is_listed_in_a_later_part_stays_signed_in(office: World) -> None:
    sign_in(office)
    for part, entry in enumerate((BOB_BADGE, ANN_PIN)):
        office.ask(messages.RosterRequest(roster=office.roster(entry, number=2, part=part, parts=2)))
    assert office.device.status.operator == ANN


def test_a_roster_of_somebody_else_is_refused(world: World) -> None:
    assert offer(world, world.roster(ANN_PIN, key=STRANGER)) is Reason.UNKNOWN_KEY
    assert offer(world, world.roster(ANN_PIN, device_id="CB-OTHER000")) is Reason.WRONG_DEVICE
    assert offer(world, world.policy(key=POLICIES)) is Reason.BAD_SIGNATURE
    assert offer(world, world.roster(ANN_PIN, part=2, parts=2)) is Reason.MALFORMED
    strange = bytes(4) + b"\x09" + bytes(24)
    assert offer(world, world.roster(entries=(strange,))) is Reason.MALFORMED
