"""One attack on a permit, one test: it opens for one stroke on the page that was photographed, once."""

import hashlib

import pytest

from firmware_protocol import messages, orders
from firmware_protocol.reasons import Reason
from tests.device_sim.installation import STRANGER
from tests.device_sim.world import World


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
