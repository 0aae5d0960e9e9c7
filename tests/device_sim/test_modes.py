"""Single, batch, continuous, straddle, voucher: which strokes each way of stamping allows."""

import pytest

from firmware_protocol import events, messages, orders
from firmware_protocol.events import Cause
from firmware_protocol.messages import State
from firmware_protocol.orders import FAN
from firmware_protocol.reasons import Reason
from firmware_protocol.tokens import Mode
from tests.device_sim.installation import UNIX_S
from tests.device_sim.world import World

NONE = 2
"""Page check: nobody permits."""
CONTINUOUS = NONE | Mode.CONTINUOUS
VOUCHER = NONE | Mode.VOUCHER


def permitted(world: World, *, page: int, **changes: object) -> messages.Message:
    seen = world.scan()
    return world.ask(messages.PermitRequest(permit=world.permit(seen, page=page, **changes)))


def reason(answer: messages.Message) -> Reason:
    assert isinstance(answer, messages.Refused), answer
    return answer.reason


def voucher(world: World, counter: int, **changes: object) -> bytes:
    facts: dict[str, object] = {
        "policy": VOUCHER,
        "voucher_counter": counter,
        "max_strokes": 2,
        "epoch": world.device.memory.epoch,
    }
    return world.token(**(facts | changes))  # type: ignore[arg-type]


@pytest.fixture
def offline(world: World) -> World:
    """It may take two strokes offline and knows the time."""
    world.ask(messages.PolicyRequest(policy=world.policy(epoch=1, max_offline_strokes=2)))
    world.set_time()
    return world


# --- single and batch -------------------------------------------------------------------------------------------------


def test_without_a_mode_every_permit_names_the_same_page(world: World) -> None:
    world.grant(max_strokes=3)
    world.lay()
    world.stamp(page=2)
    assert reason(permitted(world, page=3)) is Reason.WRONG_PAGE
    world.stamp(page=2)


def test_a_cancelled_stroke_binds_the_page_too(world: World) -> None:
    world.grant()
    world.lay()
    world.unlock(page=2)
    world.ask(messages.RelockRequest(close_grant=False))
    assert reason(permitted(world, page=3)) is Reason.WRONG_PAGE


def test_batch_lets_pages_differ_within_its_range(world: World) -> None:
    world.grant(policy=int(Mode.BATCH), max_strokes=4, first_page=2, last_page=4)
    world.lay()
    for page in (2, 4, 3):
        world.stamp(page=page)
    assert reason(permitted(world, page=5)) is Reason.WRONG_PAGE
    assert reason(permitted(world, page=1)) is Reason.WRONG_PAGE
    assert reason(permitted(world, page=FAN)) is Reason.WRONG_PAGE


def test_a_new_grant_may_name_another_page(world: World) -> None:
    for page in (1, 2):
        world.grant(max_strokes=1)
        world.lay()
        world.stamp(page=page)


# --- continuous -------------------------------------------------------------------------------------------------------


def test_continuous_frees_the_latch_by_itself_until_used_up(world: World) -> None:
    world.lay()
    world.grant(policy=CONTINUOUS, max_strokes=3)
    for _ in range(3):
        assert world.device.state is State.UNLOCKED
        assert world.pull()
    assert world.device.state is State.LOCKED
    told = [body for body in world.bodies() if isinstance(body, events.Intent | events.Done | events.Closed)]
    assert [type(body).__name__ for body in told] == ["Intent", "Done"] * 3 + ["Closed"]
    assert [body.stroke for body in told if isinstance(body, events.Intent)] == [1, 2, 3]
    assert not world.shaft.free


def test_continuous_stops_at_a_relock_and_goes_on_with_a_photo(world: World) -> None:
    world.lay()
    world.grant(policy=CONTINUOUS, max_strokes=3)
    assert world.pull()
    world.ask(messages.RelockRequest(close_grant=False))
    assert (world.shaft.free, world.device.state) == (False, State.GRANTED)
    world.wait(1_000)
    assert not world.shaft.free
    assert world.capture().stroke == 2
    assert world.pull()
    assert world.shaft.free


def test_continuous_keeps_going_while_sheets_are_changed(world: World) -> None:
    world.lay()
    world.grant(policy=CONTINUOUS)
    world.lay()
    assert world.shaft.free


def test_continuous_stops_when_the_journal_is_full() -> None:
    world = World(capacity=14_000)
    world.lay()
    world.grant(policy=CONTINUOUS, max_strokes=60)
    while world.pull():
        pass
    assert world.device.state is State.GRANTED
    assert not world.device._journal.has_room
    assert world.refused(messages.CaptureRequest()) is Reason.JOURNAL_FULL


@pytest.mark.parametrize("page_check", [0, 1])
def test_continuous_is_only_for_strokes_that_nobody_permits(world: World, page_check: int) -> None:
    token = world.token(policy=page_check | Mode.CONTINUOUS)
    assert world.refused(messages.TokenRequest(token=token)) is Reason.WRONG_MODE


# --- straddle ---------------------------------------------------------------------------------------------------------


def straddling(world: World, **changes: object) -> messages.Captured:
    facts: dict[str, object] = {"policy": int(Mode.STRADDLE), "first_page": 1, "last_page": 12}
    world.grant(**(facts | changes))
    return world.scan()


def test_a_straddle_is_stamped_on_the_fan_after_the_cover(world: World) -> None:
    cover = straddling(world)
    answer = permitted(world, page=FAN, cover_digest=cover.photo_digest)
    assert isinstance(answer, messages.Unlocked)
    assert world.pull()
    intent = next(body for body in world.bodies() if isinstance(body, events.Intent))
    assert intent.page == FAN


def test_a_straddle_without_its_cover_is_refused(world: World) -> None:
    straddling(world)
    assert reason(permitted(world, page=FAN)) is Reason.WRONG_PHOTO
    assert reason(permitted(world, page=FAN, cover_digest=b"c" * 32)) is Reason.WRONG_PHOTO


def test_the_fan_is_not_its_own_cover(world: World) -> None:
    straddling(world)
    fan = world.scan()
    permit = world.permit(fan, page=FAN, cover_digest=fan.photo_digest)
    assert world.refused(messages.PermitRequest(permit=permit)) is Reason.WRONG_PHOTO


def test_a_cover_of_an_earlier_grant_does_not_count(world: World) -> None:
    cover = straddling(world)
    world.ask(messages.RelockRequest(close_grant=True))
    straddling(world)
    assert reason(permitted(world, page=FAN, cover_digest=cover.photo_digest)) is Reason.WRONG_PHOTO


def test_a_straddle_permits_no_single_page(world: World) -> None:
    cover = straddling(world)
    assert reason(permitted(world, page=3, cover_digest=cover.photo_digest)) is Reason.WRONG_PAGE


def test_a_straddle_declares_its_pages(world: World) -> None:
    for pages in ({}, {"first_page": 3, "last_page": 2}, {"first_page": 1}):
        token = world.token(policy=int(Mode.STRADDLE), **pages)
        assert world.refused(messages.TokenRequest(token=token)) in (Reason.WRONG_MODE, Reason.WRONG_PAGE)


def test_a_cover_outside_a_straddle_is_refused(world: World) -> None:
    world.grant()
    assert reason(permitted(world, page=1, cover_digest=world.scan().photo_digest)) is Reason.WRONG_MODE


# --- vouchers ---------------------------------------------------------------------------------------------------------


def test_a_voucher_stamps_without_a_challenge_and_without_a_permit(offline: World) -> None:
    assert isinstance(offline.ask(messages.TokenRequest(token=voucher(offline, 1))), messages.Granted)
    for _ in range(2):
        offline.scan()
        assert offline.pull()
    assert offline.device.state is State.LOCKED


def test_a_voucher_leaves_the_challenge_alone(offline: World) -> None:
    nonce = offline.challenge()
    offline.ask(messages.TokenRequest(token=voucher(offline, 1)))
    offline.ask(messages.RelockRequest(close_grant=True))
    assert isinstance(offline.ask(messages.TokenRequest(token=offline.token(nonce=nonce, epoch=1))), messages.Granted)


def test_a_voucher_counter_only_rises_also_across_a_reboot(offline: World) -> None:
    offline.ask(messages.TokenRequest(token=voucher(offline, 7)))
    offline.boot()
    offline.set_time()
    for counter in (7, 6):
        assert offline.refused(messages.TokenRequest(token=voucher(offline, counter))) is Reason.VOUCHER_SPENT
    assert isinstance(offline.ask(messages.TokenRequest(token=voucher(offline, 8))), messages.Granted)


def test_no_voucher_unless_a_policy_allowed_strokes_offline(world: World) -> None:
    world.set_time()
    assert world.refused(messages.TokenRequest(token=voucher(world, 1, max_strokes=1))) is Reason.WRONG_MODE
    world.ask(messages.PolicyRequest(policy=world.policy(epoch=1, max_offline_strokes=1)))
    assert world.refused(messages.TokenRequest(token=voucher(world, 1, epoch=1))) is Reason.WRONG_MODE
    one = voucher(world, 1, max_strokes=1, epoch=1)
    assert isinstance(world.ask(messages.TokenRequest(token=one)), messages.Granted)


def test_a_later_policy_that_says_nothing_of_it_keeps_what_was_allowed(offline: World) -> None:
    offline.ask(messages.PolicyRequest(policy=offline.policy(epoch=2)))
    answer = offline.ask(messages.TokenRequest(token=voucher(offline, 1, epoch=2)))
    assert isinstance(answer, messages.Granted)


def test_a_voucher_needs_a_known_time_in_this_boot(offline: World) -> None:
    offline.boot()
    assert offline.refused(messages.TokenRequest(token=voucher(offline, 1))) is Reason.CLOCK_DOUBT


def test_an_expired_voucher_is_refused(offline: World) -> None:
    offline.wait(601_000)
    assert offline.refused(messages.TokenRequest(token=voucher(offline, 1))) is Reason.EXPIRED


def test_a_voucher_grant_ends_with_the_voucher(offline: World) -> None:
    offline.ask(messages.TokenRequest(token=voucher(offline, 1)))
    offline.wait(599_000)
    assert offline.device.state is State.GRANTED
    offline.wait(1_000)
    last = offline.last()
    assert isinstance(last, events.Closed)
    assert last.cause is Cause.TIMED_OUT


@pytest.mark.parametrize(
    "changes",
    [
        {"policy": int(Mode.VOUCHER)},
        {"policy": 1 | Mode.VOUCHER},
        {"max_strokes": 3},
        {"issued_at": UNIX_S, "expires_at": UNIX_S + 86_401},
        {"nonce": b"n" * 16},
        {"policy": VOUCHER, "voucher_counter": None},
        {"policy": NONE},
    ],
    ids=["permits", "checked after", "too many strokes", "too long", "nonce", "no counter", "no voucher bit"],
)
def test_a_voucher_of_another_form_is_refused(offline: World, changes: dict[str, object]) -> None:
    token = voucher(offline, 1, **changes)
    assert offline.refused(messages.TokenRequest(token=token)) in (Reason.WRONG_MODE, Reason.WRONG_NONCE)


def test_page_digest_of_the_fan_has_its_own_number() -> None:
    document = b"d" * 32
    assert orders.page_digest(document, FAN) != orders.page_digest(document, 1)
