"""One attack on the pairing, one test: who owns a device is settled once, by a person who stands there."""

from firmware_protocol import messages
from firmware_protocol.reasons import Reason
from tests.device_sim.installation import TERMS
from tests.device_sim.world import World


def test_pairing_needs_the_button() -> None:
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
