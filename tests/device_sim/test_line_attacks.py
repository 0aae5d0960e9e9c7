"""Retries, garbage and nonsense on the line: answered in its own words, done once, and never a free latch."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_sim.core.limits import BURST, REFILL_MS
from firmware_protocol import cbor, cose, events, messages
from firmware_protocol.events import ResetCause
from firmware_protocol.purposes import Purpose
from firmware_protocol.reasons import Reason
from tests.device_sim.installation import DEVICE_ID
from tests.device_sim.world import World


def test_a_retry_gets_the_same_reply_and_does_nothing_twice(world: World) -> None:
    request = messages.encode(messages.ChallengeRequest(), msg_id=77)
    first = world.ask_raw(request, msg_id=77)
    assert world.ask_raw(request, msg_id=77) == first
    world.ask_raw(messages.encode(messages.HelloRequest(), msg_id=78), msg_id=78)
    assert world.ask_raw(request, msg_id=77) != first  # a new session


def test_a_retried_permit_is_answered_from_the_cache(world: World, seen: messages.Captured) -> None:
    request = messages.encode(messages.PermitRequest(permit=world.permit(seen)), msg_id=500)
    first = world.ask_raw(request, msg_id=500)
    assert isinstance(first, messages.Unlocked)
    assert world.ask_raw(request, msg_id=500) == first
    world.pull()
    assert world.ask_raw(request, msg_id=500) == first
    assert not world.shaft.free
    assert world.shaft.count == 1


def test_the_token_of_the_open_grant_is_answered_again_without_a_second_grant(world: World) -> None:
    token = world.token()
    first = world.ask(messages.TokenRequest(token=token))
    seq = world.device.memory.seq
    assert world.ask(messages.TokenRequest(token=token)) == first
    assert world.device.memory.seq == seq


def test_garbage_that_asks_for_signed_things_cannot_fill_the_journal(world: World) -> None:
    before = world.device.memory.seq
    for number in range(200):
        world.ask(messages.TokenRequest(token=number.to_bytes(2, "big")))
    assert world.device.memory.seq == before + BURST
    world.wait(REFILL_MS)
    world.ask(messages.TokenRequest(token=b"once more"))
    assert world.device.memory.seq == before + BURST + 1
    assert world.last() == events.Refusal(message_type=0x05, reason=Reason.MALFORMED)


@pytest.mark.parametrize("garbage", [b"", b"\xff", b"\xa0", cbor.encode([2, 1, 1, {}]), cbor.encode(["x"])])
def test_garbage_without_a_message_id_is_not_answered(world: World, garbage: bytes) -> None:
    world.device.take_outgoing()
    world.device.receive(garbage)
    assert [messages.decode(out).msg_id for out in world.device.take_outgoing()] in ([], [1])


@given(
    st.binary(max_size=600)
    | st.builds(
        lambda number, body: cbor.encode([1, number, 9, body]),
        st.sampled_from(sorted(messages.TYPE_OF.values())),
        st.dictionaries(
            st.integers(1, 8), st.binary(max_size=40) | st.integers(0, 9) | st.text(max_size=9), max_size=5
        ),
    )
)
def test_nothing_on_the_line_stops_the_device_or_frees_the_latch(data: bytes) -> None:
    hit = _A_DEVICE
    hit.device.receive(data)
    hit.shutter()
    hit.device.take_outgoing()
    assert not hit.shaft.free
    assert isinstance(hit.ask(messages.StatusRequest()), messages.Status)


_A_DEVICE = World()


def test_a_message_of_an_unknown_type_is_refused_under_its_own_id(world: World) -> None:
    answer = world.ask_raw(cbor.encode([1, 0x3F, 12, {}]), msg_id=12)
    assert isinstance(answer, messages.Refused)
    assert (answer.request_type, answer.reason) == (0x3F, Reason.UNKNOWN_MESSAGE)


def test_a_request_with_a_body_that_does_not_fit_is_malformed(world: World) -> None:
    answer = world.ask_raw(cbor.encode([1, 0x05, 13, {1: "text"}]), msg_id=13)
    assert isinstance(answer, messages.Refused)
    assert answer.reason is Reason.MALFORMED


def test_a_device_does_not_obey_replies(world: World) -> None:
    assert world.refused(messages.PairStatus(confirmed=True)) is Reason.UNKNOWN_MESSAGE


def test_an_auditor_gets_head_hash_number_and_counter_signed_over_the_own_nonce(world: World) -> None:
    answer = world.ask(messages.AttestRequest(nonce=b"auditor's nonce!"))
    assert isinstance(answer, messages.Attestation)
    hello = world.hello()
    keys = cose.keyring(hello.public_key)
    statement = cbor.decode(cose.verify1(answer.signed, keys=keys, purpose=Purpose.ATTEST))
    assert statement == [b"auditor's nonce!", DEVICE_ID, 1, hello.last_seq, hello.chain_hash, hello.counter]


def test_hello_never_changes_the_lock_and_tells_what_it_must(world: World) -> None:
    world.boot()
    hello = world.hello()
    assert (hello.device_id, hello.boot, hello.reset_cause) == (DEVICE_ID, 2, ResetCause.POWER)
    assert hello.paired
    assert hello.chain_hash == hashlib.sha256(world.event_bytes(hello.last_seq)).digest()
