"""Leafing through a document before its first stroke."""

import hashlib

import pytest

from firmware_protocol import events, messages
from firmware_protocol.messages import State
from firmware_protocol.reasons import Reason
from firmware_protocol.tokens import Mode
from tests.device_sim.world import World

PAGES = 3


@pytest.fixture
def sweeping(world: World) -> World:
    world.grant(policy=int(Mode.SWEEP), first_page=1, last_page=PAGES)
    return world


def end(world: World) -> messages.Swept:
    answer = world.ask(messages.SweepEndRequest())
    assert isinstance(answer, messages.Swept), answer
    return answer


def leaf(world: World, pages: int) -> list[messages.Captured]:
    return [world.scan() for _ in range(pages)]


def test_every_page_is_a_signed_photo_and_the_sum_is_too(sweeping: World) -> None:
    assert sweeping.device.state is State.SWEEPING
    photos = leaf(sweeping, PAGES)
    assert sweeping.device.status.pages_swept == PAGES
    swept = end(sweeping)
    assert (swept.seen, swept.expected) == (PAGES, PAGES)
    assert swept.digest == hashlib.sha256(b"".join(photo.photo_digest for photo in photos)).digest()
    seen = [body for body in sweeping.bodies() if isinstance(body, events.PageSeen)]
    assert [(body.stroke, body.page) for body in seen] == [(0, 1), (0, 2), (0, 3)]
    assert [body.stroke_nonce for body in seen] == [photo.stroke_nonce for photo in photos]
    assert isinstance(sweeping.last(), events.PagesSwept)
    sweeping.stamp()


def test_no_permit_before_the_last_page(sweeping: World) -> None:
    seen = leaf(sweeping, 1)[0]
    permit = sweeping.permit(seen, stroke=1)
    assert sweeping.refused(messages.PermitRequest(permit=permit)) is Reason.SWEEP_NEEDED
    leaf(sweeping, PAGES)
    assert sweeping.refused(messages.PermitRequest(permit=permit)) is Reason.SWEEP_NEEDED


def test_a_sweep_with_missing_pages_is_told_and_goes_on(sweeping: World) -> None:
    leaf(sweeping, PAGES - 1)
    assert end(sweeping).seen == PAGES - 1
    assert sweeping.device.state is State.SWEEPING
    before = sweeping.device.memory.seq
    assert end(sweeping).seen == PAGES - 1
    assert sweeping.device.memory.seq == before
    leaf(sweeping, 1)
    assert end(sweeping).seen == PAGES
    assert sweeping.device.state is State.GRANTED


def test_the_same_page_twice_is_one_page(sweeping: World) -> None:
    sweeping.lay()
    sweeping.capture()
    again = sweeping.capture()
    assert sweeping.device.status.pages_swept == 1
    last = sweeping.last()
    assert isinstance(last, events.PageSeen)
    assert (last.page, last.photo_digest) == (1, again.photo_digest)
    assert end(sweeping).digest == hashlib.sha256(again.photo_digest).digest()


def test_a_sweep_is_gone_with_the_power(sweeping: World) -> None:
    leaf(sweeping, PAGES)
    sweeping.boot()
    assert sweeping.device.state is State.LOCKED
    assert not sweeping.device.memory.swept
    assert sweeping.refused(messages.SweepEndRequest()) is Reason.NO_GRANT


def test_a_sweep_can_be_aborted(sweeping: World) -> None:
    leaf(sweeping, 1)
    sweeping.ask(messages.RelockRequest(close_grant=True))
    assert sweeping.device.state is State.LOCKED


def test_a_sweep_times_out_like_a_grant(sweeping: World) -> None:
    sweeping.wait(300_000)
    assert isinstance(sweeping.last(), events.Closed)


def test_a_continuous_grant_begins_after_its_sweep(world: World) -> None:
    world.grant(policy=2 | Mode.CONTINUOUS | Mode.SWEEP, first_page=1, last_page=1)
    assert not world.shaft.free
    leaf(world, 1)
    assert not world.shaft.free
    end(world)
    assert world.shaft.free


def test_a_sweep_needs_its_pages(world: World) -> None:
    token = world.token(policy=int(Mode.SWEEP))
    assert world.refused(messages.TokenRequest(token=token)) is Reason.WRONG_MODE


def test_a_device_that_must_sweep_takes_no_other_token(world: World) -> None:
    world.ask(messages.PolicyRequest(policy=world.policy(epoch=1, sweep_required=True)))
    assert world.refused(messages.TokenRequest(token=world.token(epoch=1))) is Reason.SWEEP_NEEDED


def test_a_full_journal_takes_no_sweep_photo() -> None:
    world = World(capacity=14_000)
    world.grant(policy=int(Mode.SWEEP), first_page=1, last_page=400)
    while world.device._journal.has_room:
        leaf(world, 1)
    world.lay()
    assert world.refused(messages.CaptureRequest()) is Reason.JOURNAL_FULL
