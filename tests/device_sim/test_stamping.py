"""The order of one stamping, and everything a keeper does wrong on the way (design: D1 steps 3 to 6, D5)."""

import pytest

from device_sim.core.machine import STILL_MS
from firmware_protocol import events, messages, trace
from firmware_protocol.cose import keyring
from firmware_protocol.events import Cause
from firmware_protocol.messages import State
from firmware_protocol.reasons import Reason
from tests.device_sim.installation import DEVICE_KEY, DOCUMENT, HEAD
from tests.device_sim.world import World


def test_a_stamping_from_token_to_done_is_told_in_order(world: World) -> None:
    token_id = world.grant(max_strokes=1)
    world.lay()
    world.stamp()
    kinds = [type(body) for body in world.bodies()][-5:]
    assert kinds == [events.Grant, events.PageSeen, events.Intent, events.Done, events.Closed]
    done = world.bodies()[-2]
    assert isinstance(done, events.Done)
    assert (done.token_id, done.stroke) == (token_id, 1)
    assert world.last() == events.Closed(token_id=token_id, strokes_used=1, cause=Cause.USED_UP)
    assert world.device.state is State.LOCKED


def test_the_trace_code_is_signed_after_the_counter_moved_and_printed(world: World) -> None:
    token_id = world.grant()
    world.lay()
    world.stamp()
    done = world.last()
    assert isinstance(done, events.Done)
    code = trace.verify(done.trace_code, keys=keyring(DEVICE_KEY.public_key))
    assert code == trace.TraceCode(use=token_id[:8], document=DOCUMENT[:16], counter=1, head=HEAD[:4])
    assert world.tray.printed == [trace.url(done.trace_code, host="seal.example:8443")]


def test_intent_is_durable_before_the_latch_moves(world: World) -> None:
    world.grant()
    world.lay()
    seen = world.capture()
    world.disk.full = True
    assert world.refused(messages.PermitRequest(permit=world.permit(seen))) is Reason.JOURNAL_FULL
    assert not world.shaft.free
    world.disk.free, world.disk.full = 1 << 30, False
    world.device._journal._disk.append = _fail  # type: ignore[method-assign]
    assert world.refused(messages.PermitRequest(permit=world.permit(seen))) is Reason.STORAGE_FAILED
    assert not world.shaft.free
    assert world.device.state is State.FAULT


def _fail(_name: str, _data: bytes) -> None:
    from device_sim.core.errors import StorageFailed

    raise StorageFailed("the flash is worn out")


def test_an_extra_pull_after_the_press_meets_the_latch(world: World) -> None:
    world.grant()
    world.lay()
    world.stamp()
    assert not world.pull()
    assert world.shaft.count == 1


def test_a_pull_without_any_grant_meets_the_latch(world: World) -> None:
    world.lay()
    assert not world.pull()
    assert world.shaft.count == 0


def test_a_head_that_bounces_is_reported_as_an_extra_stroke(world: World) -> None:
    token_id = world.grant()
    world.lay()
    world.unlock()
    world.shaft.bounces = 1
    assert world.pull()
    assert world.shaft.count == 2
    assert world.last() == events.ExtraStroke(strokes=1, token_id=token_id)


def test_a_head_forced_down_while_locked_is_an_extra_stroke(world: World) -> None:
    world.shaft.count += 3
    world.device.lever_pulled()
    assert world.last() == events.ExtraStroke(strokes=3)


def test_a_page_moved_after_the_permit_relocks_and_gives_the_use_back(world: World) -> None:
    token_id = world.grant()
    world.lay()
    world.unlock()
    world.move()
    assert not world.shaft.free
    assert world.last() == events.Cancelled(token_id=token_id, stroke=1, cause=Cause.PAGE_MOVED, returned=True)
    assert world.device.status.strokes_left == 2
    world.stamp()
    assert world.device.status.strokes_left == 1


def test_a_window_that_passes_without_a_press_gives_the_use_back(world: World) -> None:
    token_id = world.grant(window_s=20)
    world.lay()
    world.unlock()
    world.wait(19_999)
    assert world.shaft.free
    world.wait(1)
    assert not world.shaft.free
    assert world.last() == events.Cancelled(token_id=token_id, stroke=1, cause=Cause.TIMED_OUT, returned=True)
    assert world.device.state is State.GRANTED


def test_a_press_at_the_last_moment_is_a_stroke_not_a_timeout(world: World) -> None:
    world.grant(window_s=20)
    world.lay()
    world.unlock()
    assert world.shaft.pull()  # the lever is down, the device has not noticed yet
    world.wait(20_000)
    assert isinstance(world.last(), events.Done)


def test_a_grant_ends_exi_after_its_challenge(world: World) -> None:
    token_id = world.grant(exi_s=60)
    world.wait(60_000)
    assert world.last() == events.Closed(token_id=token_id, strokes_used=0, cause=Cause.TIMED_OUT)


def test_relock_cancels_the_stroke_and_closes_the_grant(world: World) -> None:
    token_id = world.grant()
    world.lay()
    world.unlock()
    assert world.ask(messages.RelockRequest(close_grant=True)) == messages.Accepted()
    assert world.bodies()[-2:] == [
        events.Cancelled(token_id=token_id, stroke=1, cause=Cause.BY_KEEPER, returned=True),
        events.Closed(token_id=token_id, strokes_used=0, cause=Cause.BY_KEEPER),
    ]
    assert not world.shaft.free


def test_relock_after_the_press_lets_the_stroke_come_to_its_end(world: World) -> None:
    world.grant()
    world.lay()
    world.unlock()
    assert world.shaft.pull()
    world.ask(messages.RelockRequest(close_grant=True))
    assert [type(body) for body in world.bodies()[-2:]] == [events.Done, events.Closed]


def test_relock_is_accepted_also_when_nothing_is_open(world: World) -> None:
    before = world.device.memory.seq
    assert world.ask(messages.RelockRequest(close_grant=True)) == messages.Accepted()
    assert world.device.memory.seq == before


def test_a_retake_makes_a_new_nonce_and_kills_the_permit_of_the_first(world: World) -> None:
    world.grant()
    world.lay()
    first = world.capture()
    second = world.capture()
    assert first.stroke_nonce != second.stroke_nonce
    assert world.refused(messages.PermitRequest(permit=world.permit(first))) is Reason.WRONG_NONCE
    assert isinstance(world.ask(messages.PermitRequest(permit=world.permit(second))), messages.Unlocked)


def test_a_page_that_moves_during_the_photo_gives_no_photo(world: World) -> None:
    world.grant()
    world.lay()
    world.device.receive(messages.encode(messages.CaptureRequest(), msg_id=900))
    world.move()
    world.shutter()
    replies = [messages.decode(out) for out in world.device.take_outgoing()]
    answer = next(envelope.message for envelope in replies if envelope.msg_id == 900)
    assert isinstance(answer, messages.Refused)
    assert answer.reason is Reason.PAGE_MOVED
    assert not world.tray.kept


def test_status_is_answered_while_the_shutter_is_open(world: World) -> None:
    world.grant()
    world.lay()
    world.device.take_outgoing()
    world.device.receive(messages.encode(messages.CaptureRequest(), msg_id=900))
    world.device.receive(messages.encode(messages.StatusRequest(), msg_id=901))
    replies = [messages.decode(out) for out in world.device.take_outgoing()]
    assert [envelope.msg_id for envelope in replies] == [901]


def test_nothing_on_the_tray_gives_no_photo(world: World) -> None:
    world.grant()
    assert world.refused(messages.CaptureRequest()) is Reason.NO_PAGE


def test_paper_for_a_new_request_is_photographed_without_a_grant(world: World) -> None:
    world.lay()
    seen = world.capture()
    body = world.last()
    assert isinstance(body, events.PageSeen)
    assert (body.token_id, body.stroke, seen.stroke, world.device.state) == (bytes(16), 0, 0, State.LOCKED)


def test_a_camera_that_fails_before_the_stroke_costs_nothing(world: World) -> None:
    world.grant()
    world.lay()
    world.tray.fails = True
    assert world.refused(messages.CaptureRequest()) is Reason.CAMERA_FAILED
    world.tray.fails = False
    world.stamp()
    assert world.device.status.strokes_left == 1


def test_a_camera_that_fails_after_the_press_keeps_the_use_consumed(world: World) -> None:
    token_id = world.grant()
    world.lay()
    world.unlock()
    world.tray.fails = True
    assert world.pull()
    assert world.last() == events.Cancelled(token_id=token_id, stroke=1, cause=Cause.SENSOR_FAILED, returned=False)
    assert world.device.status.strokes_left == 1
    assert len(world.tray.printed) == 1  # three photos were tried, the code was printed once


@pytest.mark.parametrize("page_check", [1, 2])
def test_page_check_after_and_none_need_a_photo_but_no_permit(world: World, page_check: int) -> None:
    world.grant(policy=page_check)
    assert not world.shaft.free
    world.lay()
    seen = world.capture()
    assert world.shaft.free
    assert isinstance(world.story()[seen.seq - 1].body, events.PageSeen)
    assert world.pull()


def test_an_opened_cover_latches_and_survives_a_reboot(world: World) -> None:
    token_id = world.grant()
    world.lay()
    world.unlock()
    world.device.cover_moved(closed=False)
    world.device.cover_moved(closed=True)
    assert [type(body) for body in world.bodies()[-3:]] == [events.Cancelled, events.Closed, events.Tamper]
    assert world.bodies()[-2] == events.Closed(token_id=token_id, strokes_used=0, cause=Cause.TAMPERED)
    for _ in range(2):
        assert world.device.state is State.TAMPERED
        assert world.refused(messages.ChallengeRequest()) is Reason.TAMPERED
        world.boot()


def test_another_head_ends_the_grant(world: World) -> None:
    world.grant()
    world.device.head_seen(0, b"otherhed")
    assert [type(body) for body in world.bodies()[-3:]] == [events.Closed, events.Tamper, events.HeadChanged]
    assert world.refused(messages.ChallengeRequest()) is Reason.TAMPERED


def test_a_full_journal_refuses_to_unlock_and_a_receipt_makes_room_again() -> None:
    world = World(capacity=20_000)
    world.lay()
    while world.device._journal.has_room:
        world.capture()
        for _ in range(3):
            world.hello()
            world.ask(messages.TimeRequest(time=world.signed_time(nonce=world.hello().boot_nonce)))
            world.wait(6_000)
    assert world.refused(messages.TokenRequest(token=world.token())) is Reason.JOURNAL_FULL
    assert world.ask(messages.ReceiptRequest(receipt=world.receipt())) == messages.Accepted()
    world.grant()
    world.stamp()
    assert world.shaft.count == 1


def test_notices_say_when_a_page_lies_still_and_when_the_head_pressed(world: World) -> None:
    world.grant()
    world.device.take_outgoing()
    world.tray.page_present = True
    world.move()
    world.wait(STILL_MS)
    world.unlock()
    world.device.take_outgoing()
    assert world.shaft.pull()
    world.device.lever_pulled()
    pressed = _notices(world)
    world.shutter()
    done = _notices(world)
    assert [status.state for status in pressed] == [State.PRESSED]
    assert [(status.state, status.strokes_left, status.counter) for status in done] == [(State.GRANTED, 1, 1)]


def test_stillness_is_noticed_once(world: World) -> None:
    world.device.take_outgoing()
    world.tray.page_present = True
    world.move()
    for _ in range(10):
        world.wait(STILL_MS // 5)
    assert [(status.page_present, status.page_still) for status in _notices(world)] == [(True, False), (True, True)]


def _notices(world: World) -> list[messages.Status]:
    heard = [messages.decode(out).message for out in world.device.take_outgoing()]
    return [message.status for message in heard if isinstance(message, messages.StatusNotice)]


@pytest.mark.parametrize("strokes", [1, 2, 5])
def test_as_many_strokes_as_granted_and_not_one_more(world: World, strokes: int) -> None:
    world.grant(max_strokes=strokes)
    world.lay()
    for _ in range(strokes):
        world.stamp()
    assert world.device.state is State.LOCKED
    assert not world.pull()
    assert world.shaft.count == strokes
