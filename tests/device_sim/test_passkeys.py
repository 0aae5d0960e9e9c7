"""A passkey at the device: it checks every part itself, and what a hostile gateway could try with one."""

import dataclasses
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from device_sim.core.folding import remember
from device_sim.core.memory import EMPTY, snapshot_record
from firmware_protocol import cose, events, messages, operators, passkeys
from firmware_protocol.errors import Malformed
from firmware_protocol.messages import State
from firmware_protocol.operators import Method
from firmware_protocol.passkeys import Assertion
from firmware_protocol.reasons import Reason
from tests.device_sim.installation import DEVICE_ID
from tests.device_sim.world import World
from tests.fixtures.authenticator import Authenticator, client_data

ANN, BOB = b"ann.", b"bob."
SALT = b"saltsalt"
BOB_PIN = operators.entry(operator=BOB, method=Method.PIN, secret="1357", salt=SALT)
BOB_PROOF = operators.proof("1357", salt=SALT)


@pytest.fixture
def anns() -> Authenticator:
    return Authenticator()


@pytest.fixture
def office(world: World, anns: Authenticator) -> World:
    """Ann has a passkey, Bob a PIN."""
    give_roster(world, anns)
    return world


def give_roster(world: World, *authenticators: Authenticator, number: int = 1, operator: bytes = ANN) -> None:
    keys = tuple(one.passkey(operator).pack() for one in authenticators)
    parts = [world.roster(BOB_PIN, number=number, parts=2), world.roster(number=number, part=1, parts=2, passkeys=keys)]
    for part in parts:
        assert world.ask(messages.RosterRequest(roster=part)) == messages.Accepted()


def asked(world: World) -> bytes:
    """A fresh challenge, as the page of a gateway shows it to the browser."""
    answer = world.ask(messages.PasskeyChallengeRequest())
    assert isinstance(answer, messages.PasskeyChallenge)
    return passkeys.challenge(DEVICE_ID, answer.nonce)


def show(
    world: World, assertion: Assertion, *, operator: bytes = ANN, authenticator: Authenticator | None = None
) -> messages.Message:
    credential = passkeys.short_id((authenticator or Authenticator()).credential_id)
    parts = dataclasses.asdict(assertion)
    return world.ask(messages.PasskeyRequest(operator=operator, credential=credential, **parts))


def sign_in(world: World, authenticator: Authenticator, **changes: Any) -> messages.Message:
    return show(world, authenticator.sign(client_data(asked(world), **changes)), authenticator=authenticator)


def reason(answer: messages.Message) -> tuple[Reason, str]:
    assert isinstance(answer, messages.Refused), answer
    return answer.reason, answer.detail or ""


def test_a_passkey_signs_in_and_the_answer_is_the_signed_event(office: World, anns: Authenticator) -> None:
    answer = sign_in(office, anns)
    assert isinstance(answer, messages.Identified)
    said = events.verify(answer.event, keys=cose.keyring(office.hello().public_key))
    credential = passkeys.short_id(anns.credential_id)
    assert said.body == events.Operator(operator=ANN, method=3, present=True, credential=credential, sign_count=0)
    assert office.device.status.operator == ANN
    office.grant(operator=ANN)
    office.ask(messages.OperatorLeaveRequest())
    assert office.last() == events.Operator(operator=ANN, method=3, present=False)


def test_a_passkey_alone_makes_the_device_ask_who_is_there(world: World, anns: Authenticator) -> None:
    roster = world.roster(passkeys=(anns.passkey(ANN).pack(),))
    assert world.ask(messages.RosterRequest(roster=roster)) == messages.Accepted()
    assert world.refused(messages.TokenRequest(token=world.token(operator=ANN))) is Reason.OPERATOR_NEEDED
    assert isinstance(sign_in(world, anns), messages.Identified)
    world.grant(operator=ANN)


def test_another_persons_pin_takes_over_and_closes_the_grant(office: World, anns: Authenticator) -> None:
    sign_in(office, anns)
    office.grant(operator=ANN)
    assert office.ask(messages.OperatorRequest(operator=BOB, method=1, proof=BOB_PROOF)) == messages.Accepted()
    assert office.device.state is State.LOCKED
    left = events.Operator(operator=ANN, method=3, present=False)
    assert left in office.bodies()


def test_the_same_person_again_keeps_the_grant(office: World, anns: Authenticator) -> None:
    sign_in(office, anns)
    office.grant(operator=ANN)
    assert isinstance(sign_in(office, anns), messages.Identified)
    assert office.device.state is State.GRANTED


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"type": "webauthn.create"}, "not made to sign in"),
        ({"origin": "http://localhost.evil.example:8123"}, "another host"),
        ({"origin": "http://evil.example"}, "another host"),
        ({"origin": "https://evillocalhost"}, "another host"),
        ({"origin": "https://localhost@evil.example"}, "another host"),
        ({"origin": "https://localhost:8123/page"}, "another host"),
        ({"crossOrigin": True}, "another site's page"),
        ({"topOrigin": "https://evil.example"}, "another site's page"),
        ({"challenge": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}, "another challenge"),
        ({"challenge": False}, "another challenge"),
        ({"origin": False}, "another host"),
        ({"tokenBinding": {}}, "flat JSON"),
        ({"x": 1}, "flat JSON"),
        ({"x": "\\"}, "flat JSON"),
        ({f"x{number}": True for number in range(5)}, "more than 8"),
    ],
)
def test_what_the_browser_says_of_the_page_is_checked(
    office: World, anns: Authenticator, changes: dict[str, Any], why: str
) -> None:
    found, detail = reason(sign_in(office, anns, **changes))
    assert (found, why in detail) == (Reason.WRONG_OPERATOR, True), detail
    assert office.device.status.operator is None


def test_client_data_longer_than_a_message_holds_is_not_even_read(anns: Authenticator) -> None:
    long = anns.sign(client_data(bytes(32), x="y" * passkeys.MAX_CLIENT_DATA))
    with pytest.raises(Malformed, match="at most 376"):
        passkeys.check(long, passkey=anns.passkey(ANN), challenge=bytes(32), count=0)


def test_one_member_twice_is_refused_even_when_both_are_right(office: World, anns: Authenticator) -> None:
    plain = client_data(asked(office))
    twice = plain[:-1] + b',"type":"webauthn.get"}'
    assert "twice" in reason(show(office, anns.sign(twice)))[1]


def test_browsers_order_their_members_as_they_like_and_add_some(office: World, anns: Authenticator) -> None:
    plain = client_data(asked(office))
    first, _, rest = plain[1:-1].partition(b",")
    reminder = b'"other_keys_can_be_added_here":"do not compare clientDataJSON against a template."'
    moved = b"{" + rest + b"," + first + b"," + reminder + b"}"
    assert isinstance(show(office, anns.sign(moved)), messages.Identified)


@pytest.mark.parametrize(
    ("flags", "why"),
    [(0x04, "nobody touched"), (0x01, "did not check who"), (0x45, "announce more"), (0x85, "announce more")],
)
def test_touched_and_verified_and_nothing_else(office: World, anns: Authenticator, flags: int, why: str) -> None:
    assert why in reason(show(office, anns.sign(client_data(asked(office)), flags=flags)))[1]


def test_a_flag_flipped_after_signing_breaks_the_signature(office: World, anns: Authenticator) -> None:
    signed = anns.sign(client_data(asked(office)), flags=0x01)
    data = bytearray(signed.authenticator_data)
    data[32] |= 0x04
    assert "does not verify" in reason(show(office, dataclasses.replace(signed, authenticator_data=bytes(data))))[1]


def test_a_foreign_key_under_the_same_name_is_refused(office: World) -> None:
    mallory = Authenticator(key=ec.derive_private_key(666, ec.SECP256R1()))
    assert "does not verify" in reason(sign_in(office, mallory))[1]


def test_for_another_relying_party_it_does_not_count(office: World) -> None:
    elsewhere = Authenticator(rp_id="gateway.example.com")
    assert "another relying party" in reason(sign_in(office, elsewhere, origin="https://gateway.example.com"))[1]


@pytest.mark.parametrize(
    ("rp_id", "origin", "fits"),
    [
        ("gw.example.com", "https://gw.example.com", True),
        ("gw.example.com", "https://gw.example.com:8443", True),
        ("example.com", "https://gw.example.com", True),
        ("gw.example.com", "http://gw.example.com", False),
        ("gw.example.com", "https://example.com", False),
        ("gw.example.com", "https://GW.example.com", False),
        ("gw.example.com", "https://.gw.example.com", False),
        ("localhost", "http://gw.localhost", True),
    ],
)
def test_the_page_belongs_to_the_relying_party(world: World, rp_id: str, origin: str, *, fits: bool) -> None:
    authenticator = Authenticator(rp_id=rp_id)
    give_roster(world, authenticator)
    assert isinstance(sign_in(world, authenticator, origin=origin), messages.Identified) is fits


def test_a_person_cannot_use_the_passkey_of_another(office: World, anns: Authenticator) -> None:
    answer = show(office, anns.sign(client_data(asked(office))), operator=BOB)
    assert reason(answer) == (Reason.WRONG_OPERATOR, "not in this device's roster")


# --- the nonce --------------------------------------------------------------------------------------------------------


def test_what_was_recorded_does_not_sign_in_again(office: World, anns: Authenticator) -> None:
    recorded = anns.sign(client_data(asked(office)))
    assert isinstance(show(office, recorded), messages.Identified)
    office.ask(messages.OperatorLeaveRequest())
    assert reason(show(office, recorded))[0] is Reason.WRONG_NONCE
    asked(office)
    assert "another challenge" in reason(show(office, recorded))[1]


def test_a_nonce_is_used_up_by_a_wrong_try(office: World, anns: Authenticator) -> None:
    challenge = asked(office)
    assert reason(show(office, anns.sign(client_data(challenge), flags=0)))[0] is Reason.WRONG_OPERATOR
    assert reason(show(office, anns.sign(client_data(challenge))))[0] is Reason.WRONG_NONCE


def test_a_nonce_dies_after_two_minutes_at_a_newer_one_and_with_the_power(office: World, anns: Authenticator) -> None:
    old = anns.sign(client_data(asked(office)))
    office.wait(120_001)
    assert reason(show(office, old))[0] is Reason.WRONG_NONCE
    old = anns.sign(client_data(asked(office)))
    asked(office)
    assert "another challenge" in reason(show(office, old))[1]
    old = anns.sign(client_data(asked(office)))
    office.boot()
    assert reason(show(office, old))[0] is Reason.WRONG_NONCE


def test_the_challenge_is_for_one_device() -> None:
    assert passkeys.challenge("CB-1", bytes(16)) != passkeys.challenge("CB-2", bytes(16))


# --- locks and counters -----------------------------------------------------------------------------------------------


def test_five_wrong_ones_lock_this_person_also_with_a_pin_and_through_a_power_cut(
    office: World, anns: Authenticator
) -> None:
    for _ in range(5):
        show(office, anns.sign(client_data(asked(office)), flags=0))
    wrong = [body for body in office.bodies() if isinstance(body, events.Refusal)]
    assert wrong == [events.Refusal(message_type=0x17, reason=Reason.WRONG_OPERATOR)] * 5
    assert reason(sign_in(office, anns))[0] is Reason.TOO_MANY_TRIES
    office.boot()
    assert reason(sign_in(office, anns))[0] is Reason.TOO_MANY_TRIES
    office.wait(60_000)
    assert isinstance(sign_in(office, anns), messages.Identified)


def test_a_counter_that_goes_back_is_a_copy(world: World) -> None:
    counting = Authenticator(counts=True, count=6)
    give_roster(world, counting)
    assert isinstance(sign_in(world, counting), messages.Identified)
    assert world.device.memory.sign_count(passkeys.short_id(counting.credential_id)) == 7
    copy = dataclasses.replace(counting, count=6)
    assert "went back" in reason(sign_in(world, copy))[1]
    silent = dataclasses.replace(counting, count=0, counts=False)
    assert "went back" in reason(sign_in(world, silent))[1]
    world.boot()
    give_roster(world, counting, number=2)
    assert "went back" in reason(sign_in(world, dataclasses.replace(counting, count=6)))[1]
    assert isinstance(sign_in(world, counting), messages.Identified)
    memory = world.device.memory
    assert memory.sign_count(passkeys.short_id(counting.credential_id)) == 8
    assert remember(EMPTY, snapshot_record(memory)) == memory


# --- the roster -------------------------------------------------------------------------------------------------------


def test_a_passkey_that_the_roster_names_no_more_opens_nothing(office: World, anns: Authenticator) -> None:
    sign_in(office, anns)
    office.ask(messages.RosterRequest(roster=office.roster(BOB_PIN, number=2)))
    assert office.device.status.operator is None
    assert reason(sign_in(office, anns)) == (Reason.WRONG_OPERATOR, "not in this device's roster")


def test_a_roster_with_a_key_that_is_no_point_is_refused_whole(world: World, anns: Authenticator) -> None:
    no_point = anns.passkey(ANN).pack()[:12] + b"\x02" + b"\xff" * 32 + anns.rp_hash
    no_sign = anns.passkey(ANN).pack()[:12] + b"\x07" + bytes(32) + anns.rp_hash
    for wrong in (no_point, no_sign):
        assert world.refused(messages.RosterRequest(roster=world.roster(passkeys=(wrong,)))) is Reason.MALFORMED


def test_the_longest_request_and_a_full_part_fit_one_message(world: World, anns: Authenticator) -> None:
    request = messages.PasskeyRequest(
        operator=ANN,
        credential=bytes(8),
        authenticator_data=bytes(37),
        client_data=bytes(passkeys.MAX_CLIENT_DATA),
        signature=bytes(64),
    )
    assert len(messages.encode(request, msg_id=messages.MAX_MSG_ID)) == 510
    full = world.roster(passkeys=(anns.passkey(ANN).pack(),) * 4, number=2**32, part=99, parts=100)
    assert len(full) <= 480
