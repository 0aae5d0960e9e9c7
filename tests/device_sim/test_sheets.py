"""Labels stuck on by hand, spoiled sheets, and what the light strip shows."""

import hashlib

import pytest

from firmware_protocol import events, messages
from firmware_protocol.messages import Feature, State
from firmware_protocol.reasons import Reason
from tests.device_sim.world import World


def stamped(world: World, **changes: object) -> bytes:
    """A token with one stroke made; its id."""
    token_id = world.grant(**changes)
    world.lay()
    world.stamp()
    return token_id


def test_a_spoiled_sheet_is_cancelled_on_the_paper_and_photographed(world: World) -> None:
    token_id = stamped(world)
    answer = world.ask(messages.SpoilRequest(token_id=token_id, stroke=1))
    assert isinstance(answer, messages.Spoiled)
    assert world.tray.printed[-1] == "CANCELLED"
    spoiled = world.story()[answer.seq - 1].body
    assert spoiled == events.Spoiled(
        token_id=token_id, stroke=1, preview_digest=answer.preview_digest, photo_digest=answer.photo_digest
    )
    assert {answer.preview_digest, answer.photo_digest} <= set(world.device.memory.photos)
    world.stamp()


def test_spoiling_drops_the_photo_before_it(world: World) -> None:
    token_id = stamped(world)
    permit = world.permit(world.capture())
    world.ask(messages.SpoilRequest(token_id=token_id, stroke=1))
    assert world.device.state is State.GRANTED
    assert world.refused(messages.PermitRequest(permit=permit)) is Reason.WRONG_NONCE


def test_a_sheet_can_be_spoiled_after_its_job(world: World) -> None:
    token_id = stamped(world, max_strokes=1)
    assert isinstance(world.ask(messages.SpoilRequest(token_id=token_id, stroke=1)), messages.Spoiled)


@pytest.mark.parametrize("stroke", [0, 2])
def test_a_stroke_that_was_not_made_is_not_spoiled(world: World, stroke: int) -> None:
    token_id = stamped(world)
    assert world.refused(messages.SpoilRequest(token_id=token_id, stroke=stroke)) is Reason.WRONG_STROKE


def test_a_use_of_another_device_is_not_spoiled_here(world: World) -> None:
    world.lay()
    assert world.refused(messages.SpoilRequest(token_id=b"t" * 16, stroke=1)) is Reason.NO_GRANT


def test_nothing_is_spoiled_while_a_stroke_is_under_way(world: World) -> None:
    token_id = stamped(world)
    world.unlock()
    assert world.refused(messages.SpoilRequest(token_id=token_id, stroke=1)) is Reason.OUT_OF_ORDER
    assert world.shaft.free


def test_no_spoiled_sheet_without_paper_or_ink(world: World) -> None:
    token_id = stamped(world)
    world.tray.dry = True
    assert world.refused(messages.SpoilRequest(token_id=token_id, stroke=1)) is Reason.NOT_SUPPORTED
    assert world.last() == events.Sensor(sensor="coder", value=0)
    world.take_away()
    assert world.refused(messages.SpoilRequest(token_id=token_id, stroke=1)) is Reason.NO_PAGE


def test_a_sheet_that_moved_under_the_photo_is_refused(world: World) -> None:
    token_id = stamped(world)
    world.device.receive(messages.encode(messages.SpoilRequest(token_id=token_id, stroke=1), msg_id=7))
    world.move()
    world.shutter()
    replies = [messages.decode(data) for data in world.device.take_outgoing()]
    refused = next(reply.message for reply in replies if reply.msg_id == 7)
    assert refused == messages.Refused(
        request_type=0x15, reason=Reason.PAGE_MOVED, detail="the page moved while the photo was taken"
    )


def test_a_label_carries_the_code_of_its_stroke(world: World) -> None:
    token_id = stamped(world)
    done = next(body for body in world.bodies() if isinstance(body, events.Done))
    world.ask(messages.ReceiptRequest(receipt=world.receipt()))
    answer = world.ask(messages.LabelRequest(token_id=token_id, stroke=1))
    assert isinstance(answer, messages.Labelled)
    label = events.peek(world.event_bytes(answer.seq)).body
    assert isinstance(label, events.Label)
    assert (label.trace_code, label.copy) == (done.trace_code, 1)
    assert (label.photo_digest, label.preview_digest) == (answer.photo_digest, answer.preview_digest)
    assert world.refused(messages.LabelRequest(token_id=token_id, stroke=2)) is Reason.WRONG_STROKE


def test_a_label_of_a_stroke_that_was_settled_at_boot(world: World) -> None:
    token_id = world.grant()
    world.lay()
    world.unlock()
    assert world.shaft.pull()
    world.boot()
    assert isinstance(world.ask(messages.LabelRequest(token_id=token_id, stroke=1)), messages.Labelled)


def test_a_device_without_a_coder_prints_nothing_and_says_so() -> None:
    world = World(boot=False, paired=False)
    world.inline_coder = False
    world.boot()
    world.pair()
    world.device.head_seen(0, b"\x01\x02\x03\x04\x05\x06\x07\x08")
    token_id = stamped(world)
    assert not world.hello().features & Feature.INLINE_CODER
    assert world.tray.printed == []
    assert not any(isinstance(body, events.Sensor) for body in world.bodies())
    assert isinstance(world.ask(messages.LabelRequest(token_id=token_id, stroke=1)), messages.Labelled)
    assert isinstance(world.ask(messages.SpoilRequest(token_id=token_id, stroke=1)), messages.Spoiled)
    assert world.tray.printed == []


def test_every_photo_shows_fresh_bytes_and_the_counter(world: World) -> None:
    world.shaft.count = 0x01020304
    world.device.lever_pulled()
    token_id = world.grant()
    world.lay()
    seen = world.capture()
    assert world.tray.strips[-1] == seen.stroke_nonce + b"\x01\x02\x03\x04"
    world.ask(messages.PermitRequest(permit=world.permit(seen)))
    world.pull()
    done = world.last()
    assert isinstance(done, events.Done)
    assert world.tray.strips[-1] == hashlib.sha256(done.trace_code).digest()[:16] + b"\x01\x02\x03\x05"
    about = hashlib.sha256(token_id + b"\x00\x01").digest()[:16]
    world.ask(messages.SpoilRequest(token_id=token_id, stroke=1))
    world.ask(messages.LabelRequest(token_id=token_id, stroke=1))
    assert world.tray.strips[-2:] == [about + b"\x01\x02\x03\x05"] * 2


def test_a_full_journal_takes_no_label_and_no_spoiled_sheet() -> None:
    world = World(capacity=14_000)
    token_id = stamped(world, max_strokes=100)
    while world.device._journal.has_room:
        world.capture()
    for request in (messages.SpoilRequest, messages.LabelRequest):
        assert world.refused(request(token_id=token_id, stroke=1)) is Reason.JOURNAL_FULL
