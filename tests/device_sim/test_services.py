"""What two persons order: clear tamper, give the device away, change a head, refill ink. And what the housing feels."""

import pytest

from firmware_protocol import events, messages, pairing
from firmware_protocol.cose import keyring
from firmware_protocol.events import ServiceStage
from firmware_protocol.messages import State
from firmware_protocol.orders import ServiceKind
from firmware_protocol.reasons import Reason
from tests.device_sim.installation import DEVICE_KEY, HEAD, TERMS, Key
from tests.device_sim.world import World

NEW_HEAD = b"newhead!"
FEEL = {
    "cover": lambda world: world.device.cover_moved(closed=False),
    "pry": lambda world: world.device.pried(),
    "motion": lambda world: world.device.tilted(),
    "head": lambda world: world.device.head_seen(0, b"otherhed"),
}


def changing(world: World, *, epoch: int = 1) -> World:
    world.serve(ServiceKind.CHANGE_HEAD, epoch=epoch, slot=0, head_id=NEW_HEAD)
    world.device.cover_moved(closed=False)
    return world


# --- tamper -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sensor", FEEL)
def test_tamper_locks_latches_and_outlives_the_power(world: World, sensor: str) -> None:
    world.grant()
    world.lay()
    world.unlock()
    FEEL[sensor](world)
    assert not world.shaft.free
    assert [body.sensor for body in world.bodies() if isinstance(body, events.Tamper)] == [sensor]
    world.boot()
    assert world.device.state is State.TAMPERED
    assert world.refused(messages.ChallengeRequest()) is Reason.TAMPERED


def test_shaking_does_not_fill_the_journal(world: World) -> None:
    for _ in range(50):
        world.device.tilted()
        world.device.pried()
    assert sum(isinstance(body, events.Tamper) for body in world.bodies()) == 2


def test_two_persons_clear_it(world: World) -> None:
    world.device.pried()
    world.serve(ServiceKind.CLEAR_TAMPER, epoch=1)
    assert world.device.state is State.LOCKED
    told = world.last()
    assert isinstance(told, events.Service)
    assert (told.kind, told.stage) == (ServiceKind.CLEAR_TAMPER, ServiceStage.ENDED)
    world.grant(epoch=1)
    world.boot()
    assert world.device.state is State.LOCKED
    world.device.pried()
    assert world.device.state is State.TAMPERED


def test_a_device_that_stands_open_is_not_cleared(world: World) -> None:
    world.device.cover_moved(closed=False)
    order = world.policy(epoch=1, service=ServiceKind.CLEAR_TAMPER, authorised_by=(b"ann.", b"bob."))
    assert world.refused(messages.PolicyRequest(policy=order)) is Reason.COVER_OPEN
    world.device.cover_moved(closed=True)
    assert world.ask(messages.PolicyRequest(policy=order)) == messages.Accepted()


@pytest.mark.parametrize("persons", [None, (b"ann.",), (b"ann.", b"ann.")])
@pytest.mark.parametrize("kind", ServiceKind)
def test_one_person_alone_orders_no_service(world: World, kind: ServiceKind, persons: tuple[bytes, ...] | None) -> None:
    world.device.pried()
    order = world.policy(epoch=1, service=kind, authorised_by=persons, slot=0, head_id=NEW_HEAD)
    assert world.refused(messages.PolicyRequest(policy=order)) is Reason.MALFORMED
    assert world.device.state is State.TAMPERED
    assert world.device.memory.paired


def test_an_order_to_clear_tamper_cannot_be_replayed(world: World) -> None:
    world.device.pried()
    order = world.policy(epoch=1, service=ServiceKind.CLEAR_TAMPER, authorised_by=(b"ann.", b"bob."))
    world.ask(messages.PolicyRequest(policy=order))
    world.ask(messages.PolicyRequest(policy=world.policy(epoch=2)))
    world.device.pried()
    assert world.refused(messages.PolicyRequest(policy=order)) is Reason.OLD_EPOCH
    assert world.device.state is State.TAMPERED


def test_the_same_order_again_is_accepted_and_does_nothing(world: World) -> None:
    world.device.pried()
    order = world.policy(epoch=1, service=ServiceKind.CLEAR_TAMPER, authorised_by=(b"ann.", b"bob."))
    world.ask(messages.PolicyRequest(policy=order))
    world.device.pried()
    assert world.ask(messages.PolicyRequest(policy=order)) == messages.Accepted()
    assert world.device.state is State.TAMPERED


# --- heads and ink ----------------------------------------------------------------------------------------------------


def test_a_head_change_ends_with_a_sample(world: World) -> None:
    changing(world)
    assert world.device.state is State.SERVICE
    world.device.head_seen(0, None)
    world.device.head_seen(0, NEW_HEAD)
    world.device.cover_moved(closed=True)
    world.lay()
    world.capture()
    assert world.shaft.free
    assert world.pull()
    assert world.device.state is State.LOCKED
    sample = [body for body in world.bodies() if isinstance(body, events.PageSeen | events.Intent | events.Done)]
    digest = world.device.memory.policy_digest
    assert [(type(body).__name__, body.stroke) for body in sample] == [("PageSeen", 1), ("Intent", 1), ("Done", 1)]
    assert {body.token_id for body in sample} == {digest[:16]}
    stages = [body.stage for body in world.bodies() if isinstance(body, events.Service)]
    assert stages == [ServiceStage.BEGUN, ServiceStage.ENDED]
    assert not any(isinstance(body, events.Tamper) for body in world.bodies())
    world.grant(epoch=1, head_id=NEW_HEAD)


def test_the_sample_waits_for_the_cover_and_the_ordered_head(world: World) -> None:
    changing(world)
    world.lay()
    assert world.refused(messages.CaptureRequest()) is Reason.COVER_OPEN
    world.device.cover_moved(closed=True)
    assert world.refused(messages.CaptureRequest()) is Reason.WRONG_HEAD


def test_no_token_while_the_service_goes_on(world: World) -> None:
    changing(world)
    assert world.refused(messages.ChallengeRequest()) is Reason.BUSY


def test_a_service_that_is_not_ended_in_time_leaves_tamper(world: World) -> None:
    changing(world)
    world.device.head_seen(0, b"fakehead")
    world.device.cover_moved(closed=True)
    world.wait(15 * 60_000)
    told = world.bodies()[-2:]
    assert isinstance(told[0], events.Service)
    assert told[0].stage is ServiceStage.TIMED_OUT
    assert told[1] == events.Tamper(sensor="head")
    assert world.device.state is State.TAMPERED


def test_a_cover_left_open_is_tamper_after_the_service(world: World) -> None:
    changing(world)
    world.wait(15 * 60_000)
    assert world.last() == events.Tamper(sensor="cover")


def test_a_service_that_touched_nothing_ends_quietly(world: World) -> None:
    world.serve(ServiceKind.CHANGE_HEAD, epoch=1, slot=0, head_id=NEW_HEAD)
    world.wait(15 * 60_000)
    assert world.device.state is State.LOCKED
    world.grant(epoch=1)


def test_the_other_slot_stays_guarded(world: World) -> None:
    world.device.head_seen(1, b"second!!")
    changing(world)
    world.device.head_seen(1, None)
    assert world.device.state is State.TAMPERED


def test_a_refill_lets_no_head_out(world: World) -> None:
    world.serve(ServiceKind.REFILL_INK, epoch=1, slot=0)
    world.device.cover_moved(closed=False)
    world.device.head_seen(0, None)
    assert world.device.state is State.TAMPERED


def test_a_refill_ends_with_a_sample_of_the_same_head(world: World) -> None:
    world.serve(ServiceKind.REFILL_INK, epoch=1, slot=0)
    world.device.cover_moved(closed=False)
    world.device.cover_moved(closed=True)
    world.lay()
    world.capture()
    world.pull()
    assert world.device.state is State.LOCKED


def test_a_power_cut_ends_the_service_and_settles_its_sample(world: World) -> None:
    world.serve(ServiceKind.REFILL_INK, epoch=1, slot=0)
    world.lay()
    world.capture()
    assert world.shaft.pull()
    world.boot()
    told = [type(body).__name__ for body in world.bodies()[-3:]]
    assert told == ["Boot", "Settled", "Service"]
    assert world.device.memory.counted == world.shaft.count
    assert world.device.state is State.LOCKED


def test_an_extra_press_during_service_is_told(world: World) -> None:
    changing(world)
    world.shaft.free = True
    world.pull()
    assert any(isinstance(body, events.ExtraStroke) for body in world.bodies())


def test_a_pry_during_service_is_tamper(world: World) -> None:
    changing(world)
    world.device.pried()
    assert world.device.state is State.TAMPERED
    world.lay()
    assert world.refused(messages.CaptureRequest()) is Reason.TAMPERED


# --- release ----------------------------------------------------------------------------------------------------------


def released(world: World) -> World:
    world.serve(ServiceKind.RELEASE, epoch=9)
    return world


def test_a_released_device_obeys_nobody_and_forgets_nothing(world: World) -> None:
    world.shaft.count = 4711
    token = world.token()
    released(world)
    assert isinstance(world.last(), events.Reset)
    assert world.refused(messages.TokenRequest(token=token)) is Reason.NOT_PAIRED
    assert world.refused(messages.ChallengeRequest()) is Reason.NOT_PAIRED
    assert world.hello().counter == 4711
    assert not world.device.press_pairing_button()
    world.boot()
    assert not world.device.press_pairing_button()
    assert world.story()


def test_the_next_owner_gets_the_next_generation(world: World) -> None:
    released(world)
    told = world.device.memory.seq
    assert world.ask(messages.ReceiptRequest(receipt=world.receipt())) == messages.Accepted()
    assert (world.device.memory.generation, world.device.memory.seq) == (2, 0)
    assert world.refused(messages.ReadEventRequest(seq=told)) is Reason.OUT_OF_ORDER
    world.boot()
    assert world.device.press_pairing_button()
    answer = world.ask(messages.PairCommitRequest(commitment=pairing.commitment(TERMS)))
    assert isinstance(answer, messages.PairDevice)
    second = Key(b"dev2").public_key
    assert answer.public_key == second != DEVICE_KEY.public_key
    world.ask(messages.PairTermsRequest(terms=TERMS))
    assert world.device.confirm_pairing()
    first = events.verify(world.event_bytes(1), keys=keyring(second))
    assert (first.header.generation, first.header.seq, first.header.previous) == (2, 1, events.FIRST_PREVIOUS)
    assert first.header.boot == 2
    hello = world.hello()
    assert (hello.generation, hello.public_key, hello.epoch) == (2, second, 0)
    world.grant(epoch=0)


def test_presses_between_two_owners_are_told_to_the_next(world: World) -> None:
    released(world)
    world.ask(messages.ReceiptRequest(receipt=world.receipt()))
    world.shaft.count += 3
    world.boot()
    body = events.peek(world.event_bytes(2)).body
    assert body == events.ExtraStroke(strokes=3, token_id=None)
    assert world.device.memory.counted == world.shaft.count


def test_a_device_is_not_released_while_photos_wait(world: World) -> None:
    world.grant()
    world.scan()
    order = world.policy(epoch=1, service=ServiceKind.RELEASE, authorised_by=(b"ann.", b"bob."))
    assert world.refused(messages.PolicyRequest(policy=order)) is Reason.BUSY


# --- readings ---------------------------------------------------------------------------------------------------------


def test_readings_are_in_the_status_and_told_at_their_marks(world: World) -> None:
    for percent in (100, 80, 51, 50, 49, 21, 20, 4):
        world.device.battery(percent)
    for kelvin in (293, 314, 320, 300):
        world.device.temperature(kelvin)
    for percent in (90, 31, 30, 29):
        world.device.ink(percent)
    told = [(body.sensor, body.value) for body in world.bodies() if isinstance(body, events.Sensor)]
    assert told == [
        ("battery", 50), ("battery", 20), ("battery", 4), ("temperature", 314), ("temperature", 300), ("ink", 30),
    ]  # fmt: skip
    status = world.device.status
    assert (status.battery, status.temperature, status.ink) == (4, 300, 29)


def test_a_head_that_arrives_in_an_empty_slot_is_no_tamper(world: World) -> None:
    world.device.head_seen(1, b"second!!")
    assert world.device.memory.heads == (HEAD, b"second!!")
    assert world.device.state is State.LOCKED
