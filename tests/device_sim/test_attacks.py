"""One attack, one test: whoever sits between server and device can delay and drop, and nothing more (design: D4)."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_sim.core.limits import BURST, REFILL_MS
from firmware_protocol import cbor, cose, events, messages, orders
from firmware_protocol.events import ResetCause
from firmware_protocol.messages import State
from firmware_protocol.orders import Receipt
from firmware_protocol.purposes import Purpose
from firmware_protocol.reasons import Reason
from tests.device_sim.world import DEVICE_ID, ISSUER, RECEIPTS, RECOVERY, STRANGER, TERMS, UNIX_S, World


def offer(world: World, token: bytes) -> Reason:
    """Why a token is refused; the lever stays blocked."""
    reason = world.refused(messages.TokenRequest(token=token))
    assert not world.shaft.free
    return reason


# --- tokens -----------------------------------------------------------------------------------------------------------


def test_a_token_that_came_too_late_is_refused(world: World) -> None:
    token = world.token(exi_s=10)
    world.wait(10_001)
    assert offer(world, token) is Reason.EXPIRED


def test_a_token_that_expired_by_signed_time_is_refused(world: World) -> None:
    world.ask(messages.TimeRequest(time=world.signed_time(nonce=world.hello().boot_nonce)))
    assert offer(world, world.token(expires_at=UNIX_S)) is Reason.EXPIRED


def test_a_token_older_than_the_time_floor_is_refused_after_a_reboot(world: World) -> None:
    world.ask(messages.TimeRequest(time=world.signed_time(nonce=world.hello().boot_nonce)))
    world.boot()
    assert offer(world, world.token(expires_at=UNIX_S - 1)) is Reason.EXPIRED


def test_a_token_of_tomorrow_is_refused_when_the_time_is_known(world: World) -> None:
    world.ask(messages.TimeRequest(time=world.signed_time(nonce=world.hello().boot_nonce)))
    assert offer(world, world.token(not_before=UNIX_S + 3600, expires_at=UNIX_S + 7200)) is Reason.NOT_YET_VALID


def test_a_token_replayed_after_its_grant_is_refused(world: World) -> None:
    token = world.token()
    world.ask(messages.TokenRequest(token=token))
    world.ask(messages.RelockRequest(close_grant=True))
    assert offer(world, token) is Reason.WRONG_NONCE
    world.boot()
    assert offer(world, token) is Reason.WRONG_NONCE


def test_a_token_id_used_before_is_refused_under_a_new_nonce(world: World) -> None:
    token_id = world.grant()
    world.ask(messages.RelockRequest(close_grant=True))
    assert offer(world, world.token(token_id=token_id)) is Reason.REPLAYED
    world.boot()
    assert offer(world, world.token(token_id=token_id)) is Reason.REPLAYED


def test_no_altered_bit_of_a_token_is_accepted(world: World) -> None:
    token = world.token()
    for at in range(len(token)):
        altered = bytearray(token)
        altered[at] ^= 1
        assert isinstance(world.ask(messages.TokenRequest(token=bytes(altered))), messages.Refused)
    assert world.device.memory.token is None
    assert isinstance(world.ask(messages.TokenRequest(token=token)), messages.Granted)


@pytest.mark.parametrize("cut", [0, 1, 100, -1])
def test_a_truncated_token_is_malformed(world: World, cut: int) -> None:
    assert offer(world, world.token()[:cut]) is Reason.MALFORMED


def test_a_token_of_another_device_is_refused(world: World) -> None:
    assert offer(world, world.token(device_id="CB-OTHER000")) is Reason.WRONG_DEVICE


def test_a_token_for_another_nonce_is_refused(world: World) -> None:
    assert offer(world, world.token(nonce=b"not what we said")) is Reason.WRONG_NONCE


def test_a_newer_challenge_kills_the_one_before(world: World) -> None:
    token = world.token()
    world.challenge()
    assert offer(world, token) is Reason.WRONG_NONCE


def test_a_nonce_is_spent_by_the_first_authentic_token(world: World) -> None:
    nonce = world.challenge()
    assert offer(world, world.token(nonce=nonce, head_id=b"otherhed")) is Reason.WRONG_HEAD
    assert offer(world, world.token(nonce=nonce)) is Reason.WRONG_NONCE


def test_a_forged_token_does_not_spend_the_nonce(world: World) -> None:
    nonce = world.challenge()
    assert offer(world, world.token(nonce=nonce, key=STRANGER)) is Reason.UNKNOWN_KEY
    assert isinstance(world.ask(messages.TokenRequest(token=world.token(nonce=nonce))), messages.Granted)


def test_a_token_of_an_old_epoch_is_refused(world: World) -> None:
    world.ask(messages.PolicyRequest(policy=world.policy(epoch=7)))
    assert offer(world, world.token(epoch=6)) is Reason.OLD_EPOCH
    world.boot()
    assert offer(world, world.token(epoch=6)) is Reason.OLD_EPOCH
    world.grant(epoch=7)


def test_a_token_of_a_newer_epoch_kills_the_older(world: World) -> None:
    world.grant(epoch=3)
    world.ask(messages.RelockRequest(close_grant=True))
    assert offer(world, world.token(epoch=2)) is Reason.OLD_EPOCH


def test_a_token_with_a_claim_the_device_does_not_know_is_refused(world: World) -> None:
    claims = cbor.decode(cose.parse1(world.token()).payload)
    claims[-70000] = 1
    assert offer(world, cose.sign1(cbor.encode(claims), key=ISSUER, purpose=Purpose.TOKEN)) is Reason.UNKNOWN_CLAIM


def test_a_token_without_strokes_is_refused(world: World) -> None:
    assert offer(world, world.token(max_strokes=0)) is Reason.MALFORMED


@pytest.mark.parametrize(
    "changes", [{"head_id": b"otherhed"}, {"slot": 1}, {"slot": 9}, {"slot": 1, "head_id": bytes(8)}]
)
def test_a_token_for_another_head_is_refused(world: World, changes: dict[str, object]) -> None:
    assert offer(world, world.token(**changes)) is Reason.WRONG_HEAD  # type: ignore[arg-type]


def test_a_permit_signed_by_the_right_key_is_no_token(world: World) -> None:
    payload = cose.parse1(world.token()).payload
    assert offer(world, cose.sign1(payload, key=ISSUER, purpose=Purpose.PERMIT)) is Reason.BAD_SIGNATURE


def test_a_second_grant_while_one_is_open_is_refused(world: World) -> None:
    nonce = world.challenge()
    second = world.token(nonce=nonce)
    world.ask(messages.TokenRequest(token=world.token(nonce=nonce)))
    assert world.refused(messages.ChallengeRequest()) is Reason.BUSY
    assert offer(world, second) is Reason.WRONG_NONCE


def test_a_device_without_an_owner_obeys_nobody() -> None:
    alone = World(paired=False)
    assert alone.refused(messages.ChallengeRequest()) is Reason.NOT_PAIRED
    assert alone.refused(messages.TokenRequest(token=alone.token(nonce=bytes(16)))) is Reason.NOT_PAIRED


# --- permits ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def seen(world: World) -> messages.Captured:
    """A page that lies there, photographed for the first of two strokes."""
    world.grant()
    world.lay()
    return world.capture()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"device_id": "CB-OTHER000"}, Reason.WRONG_DEVICE),
        ({"token_id": b"some other token"}, Reason.NO_GRANT),
        ({"stroke": 2}, Reason.WRONG_STROKE),
        ({"stroke_nonce": b"some other nonce"}, Reason.WRONG_NONCE),
        ({"photo_digest": bytes(32)}, Reason.WRONG_PHOTO),
        ({"page_digest": orders.page_digest(hashlib.sha256(b"another PDF").digest(), 1)}, Reason.WRONG_PHOTO),
        ({"key": STRANGER}, Reason.UNKNOWN_KEY),
    ],
)
def test_a_permit_for_something_else_is_refused(
    world: World, seen: messages.Captured, changes: dict[str, object], reason: Reason
) -> None:
    assert world.refused(messages.PermitRequest(permit=world.permit(seen, **changes))) is reason  # type: ignore[arg-type]


def test_a_permit_after_the_page_moved_is_refused(world: World, seen: messages.Captured) -> None:
    permit = world.permit(seen)
    world.move()
    assert world.refused(messages.PermitRequest(permit=permit)) is Reason.WRONG_NONCE


def test_a_permit_is_refused_when_the_tray_moved_and_nobody_told(world: World, seen: messages.Captured) -> None:
    world.tray.page_token += 1  # the sensor's interrupt is still on its way
    assert world.refused(messages.PermitRequest(permit=world.permit(seen))) is Reason.PAGE_MOVED


def test_a_permit_is_refused_when_the_page_is_gone(world: World, seen: messages.Captured) -> None:
    world.tray.page_present = False
    assert world.refused(messages.PermitRequest(permit=world.permit(seen))) is Reason.NO_PAGE


def test_a_permit_opens_once(world: World, seen: messages.Captured) -> None:
    request = messages.PermitRequest(permit=world.permit(seen))
    assert isinstance(world.ask(request), messages.Unlocked)
    assert world.refused(request) is Reason.WRONG_NONCE
    assert world.pull()
    assert world.refused(request) is Reason.WRONG_STROKE
    assert not world.pull()


def test_a_permit_does_not_open_again_after_its_stroke_was_cancelled(world: World, seen: messages.Captured) -> None:
    request = messages.PermitRequest(permit=world.permit(seen))
    world.ask(request)
    world.ask(messages.RelockRequest(close_grant=False))
    assert world.refused(request) is Reason.WRONG_NONCE


def test_a_permit_without_a_grant_is_refused(world: World, seen: messages.Captured) -> None:
    permit = world.permit(seen)
    world.ask(messages.RelockRequest(close_grant=True))
    assert world.refused(messages.PermitRequest(permit=permit)) is Reason.NO_GRANT


# --- receipts, policy, time -------------------------------------------------------------------------------------------


def test_a_forged_receipt_deletes_nothing(world: World) -> None:
    last = world.device.memory.seq
    assert world.refused(messages.ReceiptRequest(receipt=world.receipt(key=STRANGER))) is Reason.UNKNOWN_KEY
    assert world.device.memory.acked_seq == 0
    assert len(world.story()) == last + 1  # and the refusal itself is an event


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"device_id": "CB-OTHER000"}, Reason.WRONG_DEVICE),
        ({"generation": 2}, Reason.WRONG_CHAIN),
        ({"up_to_seq": 99}, Reason.WRONG_CHAIN),
        ({"up_to_seq": 0}, Reason.WRONG_CHAIN),
        ({"chain_hash": bytes(32)}, Reason.WRONG_CHAIN),
    ],
)
def test_a_receipt_for_another_history_is_refused(world: World, changes: dict[str, object], reason: Reason) -> None:
    claims: dict[str, object] = {
        "device_id": DEVICE_ID,
        "generation": 1,
        "up_to_seq": 2,
        "chain_hash": hashlib.sha256(world.event_bytes(2)).digest(),
        "photo_digests": (),
    }
    receipt = orders.sign(Receipt(**(claims | changes)), key=RECEIPTS)  # type: ignore[arg-type]
    assert world.refused(messages.ReceiptRequest(receipt=receipt)) is reason
    assert world.device.memory.acked_seq == 0


def test_a_photo_is_deleted_only_by_a_receipt_that_names_it(world: World, seen: messages.Captured) -> None:
    world.ask(messages.ReceiptRequest(receipt=world.receipt()))
    assert world.tray.kept == {seen.preview_digest, seen.photo_digest}
    world.ask(messages.ReceiptRequest(receipt=world.receipt_again(photos=(seen.preview_digest,))))
    assert world.tray.kept == {seen.photo_digest}
    assert world.device.memory.photos == (seen.photo_digest,)


def test_an_old_receipt_that_arrives_late_still_frees_its_photos(world: World, seen: messages.Captured) -> None:
    late = world.receipt(up_to=seen.seq, photos=(seen.photo_digest,))
    world.unlock()
    world.pull()
    world.ask(messages.ReceiptRequest(receipt=world.receipt()))
    acked = world.device.memory.acked_seq
    assert world.ask(messages.ReceiptRequest(receipt=late)) == messages.Accepted()
    assert world.device.memory.acked_seq == acked
    assert seen.photo_digest not in world.tray.kept


def test_a_suspended_device_stops_and_an_old_policy_does_not_wake_it(world: World) -> None:
    awake, asleep = world.policy(epoch=1), world.policy(epoch=2, suspended=True)
    world.ask(messages.PolicyRequest(policy=awake))
    world.grant(epoch=1)
    assert world.ask(messages.PolicyRequest(policy=asleep)) == messages.Accepted()
    assert world.device.state is State.SUSPENDED
    assert world.refused(messages.PolicyRequest(policy=awake)) is Reason.OLD_EPOCH
    assert world.ask(messages.PolicyRequest(policy=asleep)) == messages.Accepted()  # the same again changes nothing
    assert world.refused(messages.ChallengeRequest()) is Reason.OUT_OF_ORDER
    world.boot()
    assert world.device.state is State.SUSPENDED


def test_only_the_recovery_key_names_a_new_issuer(world: World) -> None:
    new = (STRANGER.public_key, *TERMS.issuer_keys[1:])
    assert world.refused(messages.PolicyRequest(policy=world.policy(next_issuer_keys=new))) is Reason.UNKNOWN_KEY
    order = world.policy(next_issuer_keys=new, key=RECOVERY)
    assert world.ask(messages.PolicyRequest(policy=order)) == messages.Accepted()
    world.boot()
    world.grant(key=STRANGER, epoch=1)


def test_the_key_for_tokens_signs_no_permits_and_no_receipts(world: World) -> None:
    world.grant()
    world.lay()
    seen = world.capture()
    assert world.refused(messages.PermitRequest(permit=world.permit(seen, key=ISSUER))) is Reason.UNKNOWN_KEY
    assert world.refused(messages.ReceiptRequest(receipt=world.receipt(key=ISSUER))) is Reason.UNKNOWN_KEY


def test_the_recovery_key_signs_no_tokens(world: World) -> None:
    assert offer(world, world.token(key=RECOVERY)) is Reason.UNKNOWN_KEY


def test_only_the_recovery_key_turns_the_time_floor_back(world: World) -> None:
    world.ask(messages.TimeRequest(time=world.signed_time(nonce=world.hello().boot_nonce)))
    back = {"time_floor_ms": 5_000, "epoch": 1}
    assert world.refused(messages.PolicyRequest(policy=world.policy(**back))) is Reason.UNKNOWN_KEY  # type: ignore[arg-type]
    order = world.policy(key=RECOVERY, **back)  # type: ignore[arg-type]
    assert world.ask(messages.PolicyRequest(policy=order)) == messages.Accepted()
    assert world.device.memory.floor_ms == 5_000


def test_signed_time_counts_only_while_its_nonce_is_fresh(world: World) -> None:
    late = world.signed_time(nonce=world.hello().boot_nonce)
    world.wait(10_001)
    assert world.refused(messages.TimeRequest(time=late)) is Reason.CLOCK_DOUBT
    other_boot = world.hello().boot_nonce
    world.boot()
    assert world.refused(messages.TimeRequest(time=world.signed_time(nonce=other_boot))) is Reason.WRONG_NONCE


def test_signed_time_counts_once_and_never_goes_back(world: World) -> None:
    order = world.signed_time(nonce=world.hello().boot_nonce)
    assert world.ask(messages.TimeRequest(time=order)) == messages.Accepted()
    assert world.refused(messages.TimeRequest(time=order)) is Reason.WRONG_NONCE
    past = world.signed_time(nonce=world.hello().boot_nonce, unix_ms=UNIX_S * 1000 - 1)
    assert world.refused(messages.TimeRequest(time=past)) is Reason.CLOCK_DOUBT


# --- pairing ----------------------------------------------------------------------------------------------------------


def test_pairing_needs_the_button(world: World) -> None:
    alone = World(paired=False)
    assert alone.refused(messages.PairCommitRequest(commitment=bytes(32))) is Reason.PAIRING_CLOSED
    assert not alone.device.confirm_pairing()


def test_the_pairing_window_closes_after_180_seconds() -> None:
    alone = World(paired=False)
    alone.device.press_pairing_button()
    alone.wait(180_000)
    assert alone.refused(messages.PairCommitRequest(commitment=bytes(32))) is Reason.PAIRING_CLOSED


def test_terms_that_were_not_committed_to_are_refused() -> None:
    alone = World(paired=False)
    alone.device.press_pairing_button()
    alone.ask(messages.PairCommitRequest(commitment=bytes(32)))
    assert alone.refused(messages.PairTermsRequest(terms=TERMS)) is Reason.BAD_SIGNATURE
    assert not alone.device.confirm_pairing()


def test_a_second_commitment_needs_a_second_press_of_the_button() -> None:
    alone = World(paired=False)
    alone.device.press_pairing_button()
    alone.ask(messages.PairCommitRequest(commitment=bytes(32)))
    assert alone.refused(messages.PairCommitRequest(commitment=b"\1" * 32)) is Reason.PAIRING_CLOSED


def test_a_paired_device_refuses_pairing(world: World) -> None:
    assert not world.device.press_pairing_button()
    assert world.refused(messages.PairCommitRequest(commitment=bytes(32))) is Reason.ALREADY_PAIRED
    assert world.ask(messages.PairStatusRequest()) == messages.PairStatus(confirmed=True)


# --- the line ---------------------------------------------------------------------------------------------------------


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
