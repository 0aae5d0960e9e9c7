"""One attack on a token, one test: whoever sits between server and device can delay and drop, and nothing more (D4)."""

import pytest

from firmware_protocol import cbor, cose, messages
from firmware_protocol.purposes import Purpose
from firmware_protocol.reasons import Reason
from tests.device_sim.installation import ISSUER, RECOVERY, STRANGER, UNIX_S
from tests.device_sim.world import World


def offer(world: World, token: bytes) -> Reason:
    """Why a token is refused; the lever stays blocked."""
    reason = world.refused(messages.TokenRequest(token=token))
    assert not world.shaft.free
    return reason


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


def test_the_recovery_key_signs_no_tokens(world: World) -> None:
    assert offer(world, world.token(key=RECOVERY)) is Reason.UNKNOWN_KEY
