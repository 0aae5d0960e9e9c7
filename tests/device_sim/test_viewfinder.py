"""A look at the tray: when the device allows one, and that nothing comes of it."""

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from device_sim.core.ports import Glance, PhotoOrder
from device_sim.core.viewfinder import LOOK_EVERY_MS
from device_sim.process.disk import PhotoFolder
from device_sim.process.faults import Fault, Faults
from device_sim.process.tray import Tray
from device_sim.scene.scene import Scene, SceneSettings
from firmware_protocol import messages, operators
from firmware_protocol.bulk import MAX_LOOK
from firmware_protocol.messages import Feature, State
from firmware_protocol.operators import Method
from firmware_protocol.reasons import Reason
from tests.device_sim.world import World

ANN, SALT = b"ann.", b"saltsalt"
ANN_PIN = operators.entry(operator=ANN, method=Method.PIN, secret="2468", salt=SALT)
PROOF = operators.proof("2468", salt=SALT)
LOOK = messages.LookRequest()


@pytest.fixture
def job(world: World) -> World:
    """Ann is signed in and has a job; no page lies there."""
    world.ask(messages.RosterRequest(roster=world.roster(ANN_PIN)))
    world.ask(messages.OperatorRequest(operator=ANN, method=int(Method.PIN), proof=PROOF))
    world.grant(operator=ANN)
    return world


def look(world: World) -> messages.Looked:
    answer = world.ask(LOOK)
    assert isinstance(answer, messages.Looked), answer
    return answer


def test_a_look_moves_nothing(job: World) -> None:
    assert job.hello().features & Feature.LOOK
    status, written, kept = job.device.status, dict(job.disk.files), set(job.tray.kept)
    found = look(job)
    assert len(found.place) == 8
    assert job.tray.strips == [], "the light strip stays dark, so a look never passes for a photo"
    assert (job.device.status, job.disk.files, job.tray.kept) == (status, written, kept)
    assert [type(said) for said in job.heard] == [messages.Looked], "no notice follows"
    job.lay()
    job.wait(LOOK_EVERY_MS)
    look(job)
    job.stamp()


def test_nobody_looks_without_a_person_and_a_job(world: World) -> None:
    assert world.refused(LOOK) is Reason.OPERATOR_NEEDED
    world.ask(messages.RosterRequest(roster=world.roster(ANN_PIN)))
    world.ask(messages.OperatorRequest(operator=ANN, method=int(Method.PIN), proof=PROOF))
    assert world.refused(LOOK) is Reason.NO_GRANT
    world.grant(operator=ANN)
    look(world)
    world.wait(LOOK_EVERY_MS)
    world.ask(messages.OperatorLeaveRequest())
    assert world.refused(LOOK) is Reason.OPERATOR_NEEDED


def test_nobody_looks_while_the_latch_is_free_or_the_head_is_down(job: World) -> None:
    job.lay()
    job.unlock()
    assert job.refused(LOOK) is Reason.OUT_OF_ORDER
    assert job.shaft.free, "and the stroke goes on"
    job.shaft.pull()
    job.device.lever_pulled()
    assert job.device.status.state is State.PRESSED
    job.device.receive(messages.encode(LOOK, msg_id=900))
    refused = next(e.message for e in map(messages.decode, job.device.take_outgoing()) if e.msg_id == 900)
    assert isinstance(refused, messages.Refused)
    assert refused.reason is Reason.OUT_OF_ORDER
    job.shutter()
    assert job.device.state is State.GRANTED


def test_a_look_that_an_unlocking_overtakes_is_refused(job: World) -> None:
    job.lay()
    permit = job.permit(job.capture())
    job.device.receive(messages.encode(LOOK, msg_id=900))
    job.device.receive(messages.encode(messages.PermitRequest(permit=permit), msg_id=901))
    job.shutter()
    said = {e.msg_id: e.message for e in map(messages.decode, job.device.take_outgoing())}
    assert isinstance(said[901], messages.Unlocked)
    assert isinstance(said[900], messages.Refused)


def test_two_looks_a_second_and_one_at_a_time(job: World) -> None:
    look(job)
    job.wait(LOOK_EVERY_MS - 1)
    assert job.refused(LOOK) is Reason.BUSY
    job.wait(1)
    look(job)
    job.wait(LOOK_EVERY_MS)
    job.device.receive(messages.encode(LOOK, msg_id=900))  # its picture is not there yet
    job.clock.ms += LOOK_EVERY_MS
    job.device.receive(messages.encode(LOOK, msg_id=901))
    said = {e.msg_id: e.message for e in map(messages.decode, job.device.take_outgoing())}
    assert 900 not in said
    assert isinstance(said[901], messages.Refused)
    job.shutter()
    assert [messages.decode(data).msg_id for data in job.device.take_outgoing()] == [900]


def test_a_photo_comes_first(job: World) -> None:
    job.lay()
    job.device.receive(messages.encode(messages.CaptureRequest(), msg_id=900))
    job.device.receive(messages.encode(LOOK, msg_id=901))
    said = {e.msg_id: e.message for e in map(messages.decode, job.device.take_outgoing())}
    refused = said[901]
    assert isinstance(refused, messages.Refused)
    assert refused.reason is Reason.BUSY
    job.shutter()
    assert isinstance(messages.decode(job.device.take_outgoing()[0]).message, messages.Captured)


def test_a_page_is_photographed_while_a_look_is_under_way(job: World) -> None:
    job.lay()
    job.device.receive(messages.encode(LOOK, msg_id=900))
    job.device.receive(messages.encode(messages.CaptureRequest(), msg_id=901))
    job.shutter()
    said = {e.msg_id: e.message for e in map(messages.decode, job.device.take_outgoing())}
    assert isinstance(said[900], messages.Looked)
    assert isinstance(said[901], messages.Captured)


def test_a_broken_camera_is_said_once_and_not_written(job: World) -> None:
    job.tray.fails = True
    seq, reason = job.device.memory.seq, job.device.status.last_reason
    assert job.refused(LOOK) is Reason.CAMERA_FAILED
    assert (job.device.memory.seq, job.device.status.last_reason) == (seq, reason)


def test_the_tray_takes_a_small_picture_and_keeps_it_in_memory(tmp_path: Path) -> None:
    settings = SceneSettings(dpi=100)
    scene, twin = (Scene(settings=settings, rng=np.random.default_rng(7)) for _ in range(2))
    faults = Faults()
    photos = PhotoFolder(tmp_path, faults)
    tray = Tray(scene, photos=photos, faults=faults)
    told: list[object] = []

    def order(number: int) -> Glance | None:
        tray.start(PhotoOrder(number=number, strip=b"", look=True))
        tray.stop()
        tray.work(lambda _number, outcome: told.append(outcome))
        found = told.pop()
        return found if isinstance(found, Glance) else None

    empty = order(1)
    assert empty is not None
    picture = photos.read(empty.digest)
    assert picture is not None
    assert hashlib.sha256(picture).digest() == empty.digest
    assert len(picture) <= MAX_LOOK
    assert list(tmp_path.iterdir()) == [], "not on disk"
    scene.lay_page(None)
    twin.lay_page(None)
    laid = order(2)
    assert laid is not None
    assert photos.read(empty.digest) is None, "gone with the next"
    assert _inside(photos.read(laid.digest), laid.place) > _inside(picture, empty.place) + 60, "paper fills the outline"
    assert scene.photograph(b"s").full_jpeg == twin.photograph(b"s").full_jpeg, "looks leave the photos as they are"
    faults.switch(Fault.CAMERA_FAILS)
    assert order(3) is None, "a broken camera says so"


def _inside(picture: bytes | None, place: tuple[int, ...]) -> float:
    """Mean brightness of what lies within the outline."""
    frame = cv2.imdecode(np.frombuffer(picture or b"", np.uint8), cv2.IMREAD_GRAYSCALE)
    assert frame is not None
    height, width = frame.shape
    corners = np.array(place, np.float64).reshape(4, 2) * [width, height] / 1000
    mask = np.zeros_like(frame)
    cv2.fillConvexPoly(mask, np.rint(corners).astype(np.int32), 255)
    return float(cv2.mean(frame, mask=mask)[0])
