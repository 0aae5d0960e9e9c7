"""One attack on a receipt, a policy or signed time, one test; and no key signs what another one is for."""

import hashlib

import pytest

from firmware_protocol import messages, orders
from firmware_protocol.messages import State
from firmware_protocol.orders import Receipt
from firmware_protocol.reasons import Reason
from tests.device_sim.installation import DEVICE_ID, ISSUER, RECEIPTS, RECOVERY, STRANGER, TERMS, UNIX_S
from tests.device_sim.world import World


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
