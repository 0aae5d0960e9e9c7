"""The device as a process: a real port, real sockets, real files, and a power that really goes."""

import hashlib
import io
import json
import os
import random
import signal
import socket
import stat
import time
from pathlib import Path

import pytest
import serial
from PIL import Image

from device_sim import cli
from device_sim.process.bulk import BURST_S
from device_sim.process.faults import POINTS, POWER_CUT_EXIT, SLOW_BYTES_PER_S
from firmware_protocol import bulk, events, messages, operators, orders
from firmware_protocol.cose import keyring
from firmware_protocol.events import Cause
from firmware_protocol.framing import MAX_FRAME, encode_frame
from firmware_protocol.messages import State
from firmware_protocol.operators import Method
from firmware_protocol.orders import Roster
from firmware_protocol.reasons import Reason
from tests.device_sim.installation import POLICIES
from tests.device_sim.rig import Rig, presses_in


def hello_frame(msg_id: int) -> bytes:
    return encode_frame(messages.encode(messages.HelloRequest(), msg_id=msg_id))


# --- the port ---------------------------------------------------------------------------------------------------------


def test_the_ready_line_says_where_everything_is(rig: Rig) -> None:
    hello = rig.ask(messages.HelloRequest())
    assert isinstance(hello, messages.Hello)
    assert hello.device_id == rig.ready["device_id"]
    assert (rig.home / "control").resolve() == Path(rig.ready["control"])
    assert stat.S_IMODE((rig.home / "key").stat().st_mode) == 0o600


def test_a_second_gateway_cannot_open_the_port(rig: Rig) -> None:
    with pytest.raises(serial.SerialException):
        serial.Serial(rig.ready["control"], exclusive=True)


def test_a_request_that_arrives_byte_by_byte_is_answered(rig: Rig) -> None:
    for byte in hello_frame(5001):
        rig.write(bytes([byte]))
    assert isinstance(rig.hear(lambda envelope: envelope.msg_id == 5001).message, messages.Hello)


def test_garbage_between_frames_costs_nothing_else(rig: Rig, rng: random.Random) -> None:
    rig.write(rng.randbytes(200) + b"\x00" + b"\xff" * (MAX_FRAME + 50) + b"\x00\x00" + hello_frame(5002))
    assert isinstance(rig.hear(lambda envelope: envelope.msg_id == 5002).message, messages.Hello)


def test_a_truncated_frame_is_dropped_and_its_retry_answered(rig: Rig) -> None:
    request = encode_frame(messages.encode(messages.ChallengeRequest(), msg_id=5003))
    rig.write(request[: len(request) // 2])
    assert isinstance(rig.ask_raw(request, msg_id=5003), messages.Challenge)


def test_a_retry_gets_the_reply_that_was_lost(rig: Rig) -> None:
    request = encode_frame(messages.encode(messages.ChallengeRequest(), msg_id=5004))
    assert rig.ask_raw(request, msg_id=5004) == rig.ask_raw(request, msg_id=5004)


def test_hello_throws_away_what_was_said_to_nobody(rig: Rig) -> None:
    rig.unplug()
    for _ in range(3):
        rig.lay()
    rig.plug()
    assert isinstance(rig.ask(messages.HelloRequest()), messages.Hello)


# --- a stamping -------------------------------------------------------------------------------------------------------


def test_a_whole_stamping_and_what_is_left_of_it(rig: Rig) -> None:
    token_id = rig.grant(max_strokes=2)
    rig.lay()
    rig.notice(State.GRANTED, page_present=True, page_still=True)
    seen = rig.capture()
    assert isinstance(rig.ask(messages.PermitRequest(permit=rig.permit(token_id, seen))), messages.Unlocked)
    before = rig.keeper("/state")["counter"]
    assert rig.keeper("/pull", {}) == {"pressed": True, "counter": before + 1}
    assert rig.keeper("/pull", {}) == {"pressed": False, "counter": before + 1}
    status = rig.notice(State.GRANTED, strokes_left=1)
    done = events.verify(rig.event(status.last_seq), keys=keyring(_public_key(rig)))
    assert isinstance(done.body, events.Done)
    assert done.header.counter == before + 1
    for digest in (seen.preview_digest, seen.photo_digest, done.body.preview_digest, done.body.photo_digest):
        picture = rig.fetch(digest, chunk=50_000)
        assert isinstance(picture, bytes)
        assert hashlib.sha256(picture).digest() == digest
    assert rig.ask(messages.ReceiptRequest(receipt=rig.receipt(seen.photo_digest))) == messages.Accepted()
    assert rig.fetch(seen.photo_digest) is bulk.BulkStatus.UNKNOWN_DIGEST
    assert isinstance(rig.fetch(done.body.photo_digest), bytes)


def test_a_look_shows_the_sheet_that_lies_there_and_is_gone_with_the_next(rig: Rig) -> None:
    entry = operators.entry(operator=b"ann.", method=Method.PIN, secret="2468", salt=b"saltsalt")
    people(rig, number=1, entries=(entry.pack(),))
    proof = operators.proof("2468", salt=b"saltsalt")
    assert rig.ask(messages.OperatorRequest(operator=b"ann.", method=1, proof=proof)) == messages.Accepted()
    rig.grant(max_strokes=1)
    pictures = []
    for _ in range(2):
        looked = rig.ask(messages.LookRequest())
        while isinstance(looked, messages.Refused):  # the device's own half second is not over
            assert looked.reason is Reason.BUSY
            looked = rig.ask(messages.LookRequest())
        assert isinstance(looked, messages.Looked)
        picture = rig.fetch(looked.digest)
        assert isinstance(picture, bytes)
        assert hashlib.sha256(picture).digest() == looked.digest
        assert len(picture) <= bulk.MAX_LOOK
        pictures.append((looked.digest, Image.open(io.BytesIO(picture)).convert("L").resize((1, 1)).getpixel((0, 0))))
        rig.lay()
    (first, dark), (_, bright) = pictures
    assert bright > dark + 60, "white paper on the dark mat"
    assert rig.fetch(first) is bulk.BulkStatus.UNKNOWN_DIGEST
    assert not list(rig.home.glob(f"photos/{first.hex()}*"))
    people(rig, number=2, entries=())


def people(rig: Rig, *, number: int, entries: tuple[bytes, ...]) -> None:
    """Who may sign in from now on; nobody else stays."""
    roster = Roster(device_id=rig.ready["device_id"], number=number, part=0, parts=1, entries=entries)
    assert rig.ask(messages.RosterRequest(roster=orders.sign(roster, key=POLICIES))) == messages.Accepted()


def test_the_press_leaves_red_ink_and_a_code_on_the_paper(rig: Rig) -> None:
    token_id = rig.grant(max_strokes=1)
    rig.lay()
    clean = _reds_and_blacks(rig.keeper("/sheet.png"))
    rig.unlock(token_id)
    rig.keeper("/pull", {})
    rig.notice(State.LOCKED)
    rig.keeper("/take-away", {})
    stamped = _reds_and_blacks(rig.keeper("/sheet.png"))
    assert clean == (0, 0)
    assert rig.keeper("/view.jpg").startswith(b"\xff\xd8")
    assert min(stamped) > 200


def test_status_is_answered_while_the_camera_works(rig: Rig) -> None:
    rig.lay()
    rig.write(encode_frame(messages.encode(messages.CaptureRequest(), msg_id=6001)))
    rig.write(encode_frame(messages.encode(messages.StatusRequest(), msg_id=6002)))
    order = [rig.hear(lambda envelope: envelope.msg_id in (6001, 6002)).msg_id for _ in range(2)]
    assert order == [6002, 6001]


def test_a_page_moved_after_the_permit_relocks(rig: Rig) -> None:
    token_id = rig.grant()
    rig.lay()
    rig.unlock(token_id)
    rig.keeper("/move", {"dx_mm": 1.0, "dy_mm": 0, "rotation_deg": 0.5})
    status = rig.notice(State.GRANTED, strokes_left=3)
    cancelled = events.peek(rig.event(status.last_seq)).body
    assert cancelled == events.Cancelled(token_id=token_id, stroke=1, cause=Cause.PAGE_MOVED, returned=True)
    assert not rig.keeper("/pull", {})["pressed"]


def test_a_latch_that_sticks_gives_the_use_back(rig: Rig) -> None:
    token_id = rig.grant(window_s=1)
    rig.lay()
    rig.keeper("/fault", {"name": "latch_sticks"})
    rig.unlock(token_id)
    assert not rig.keeper("/pull", {})["pressed"]
    status = rig.notice(State.GRANTED, strokes_left=3)
    cancelled = events.peek(rig.event(status.last_seq)).body
    assert cancelled == events.Cancelled(token_id=token_id, stroke=1, cause=Cause.TIMED_OUT, returned=True)


def test_a_head_that_bounces_is_an_extra_stroke(rig: Rig) -> None:
    token_id = rig.grant()
    rig.lay()
    rig.keeper("/fault", {"name": "double_stroke"})
    rig.unlock(token_id)
    rig.keeper("/pull", {})
    status = rig.notice(State.GRANTED, strokes_left=2)
    assert events.peek(rig.event(status.last_seq)).body == events.ExtraStroke(strokes=1, token_id=token_id)


def test_a_head_forced_down_is_an_extra_stroke(rig: Rig) -> None:
    rig.keeper("/fault", {"name": "counter_jumps"})
    status = rig.ask(messages.StatusRequest())
    assert isinstance(status, messages.Status)
    assert events.peek(rig.event(status.last_seq)).body == events.ExtraStroke(strokes=1)


def test_a_camera_that_fails_says_so(rig: Rig) -> None:
    rig.lay()
    rig.keeper("/fault", {"name": "camera_fails"})
    answer = rig.ask(messages.CaptureRequest())
    assert isinstance(answer, messages.Refused)
    assert answer.reason is Reason.CAMERA_FAILED


def test_a_full_disk_refuses_before_anything_moves(rig: Rig) -> None:
    token = rig.token()
    rig.keeper("/fault", {"name": "disk_full"})
    answer = rig.ask(messages.TokenRequest(token=token))
    assert isinstance(answer, messages.Refused)
    assert answer.reason is Reason.JOURNAL_FULL
    rig.keeper("/fault", {"name": "none"})
    assert isinstance(rig.ask(messages.TokenRequest(token=rig.token())), messages.Granted)


def test_an_unplugged_port_disappears_and_comes_back_under_another_name(rig: Rig) -> None:
    token_id = rig.grant()
    rig.lay()
    rig.unlock(token_id)
    old = rig.keeper("/state")["control"]
    rig.keeper("/fault", {"name": "unplug"})
    with pytest.raises(serial.SerialException):
        rig.ask(messages.StatusRequest())
    assert rig.keeper("/pull", {})["pressed"]  # the latch was free, the cable has no say in it
    rig.unplug()
    blocker = os.openpty()  # takes the old number
    try:
        assert not (rig.home / "control").is_symlink()
        rig.keeper("/fault", {"name": "reappear"})
        assert rig.keeper("/state")["control"] != old
        rig.plug()
        hello = rig.ask(messages.HelloRequest())
        assert isinstance(hello, messages.Hello)
        told = [events.peek(rig.event(seq)).body for seq in range(hello.last_seq - 2, hello.last_seq + 1)]
        assert any(isinstance(body, events.Done | events.Intent) for body in told)
    finally:
        for descriptor in blocker:
            os.close(descriptor)


# --- bulk link and keeper ---------------------------------------------------------------------------------------------


def test_the_bulk_link_hangs_up_on_nonsense_and_refuses_an_offset_beyond_the_end(rig: Rig) -> None:
    rig.lay()
    seen = rig.capture()
    host, port = rig.ready["bulk"].split(":")
    with socket.create_connection((host, int(port)), 5) as link, link.makefile("rwb") as stream:
        request = bulk.BulkRequest(digest=seen.preview_digest, offset=1 << 30, length=10)
        stream.write(bulk.encode_header(request))
        stream.flush()
        reply = bulk.decode_reply(stream.read(bulk.header_length(stream.read(2))))
        assert reply.status is bulk.BulkStatus.BAD_OFFSET
        stream.write(b"\xff\xff nonsense")
        stream.flush()
        assert stream.read(1) == b""


def test_a_slow_bulk_link_is_slow(rig: Rig) -> None:
    rig.lay()
    seen = rig.capture()
    rig.keeper("/fault", {"name": "slow_bulk"})
    host, port = rig.ready["bulk"].split(":")
    started = time.monotonic()
    with socket.create_connection((host, int(port)), 5) as link, link.makefile("rwb") as stream:
        stream.write(bulk.encode_header(bulk.BulkRequest(digest=seen.photo_digest, offset=0, length=6_000)))
        stream.flush()
        reply = bulk.decode_reply(stream.read(bulk.header_length(stream.read(2))))
        assert len(stream.read(reply.length)) == 6_000
    assert time.monotonic() - started > 6_000 / SLOW_BYTES_PER_S - 2 * BURST_S


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/lay", {}),
        ("/lay", {"pdf_base64": "bm8gUERG"}),
        ("/lay", {"image_base64": "not base64!"}),
        ("/move", {"dx_mm": 1}),
        ("/fault", {"name": "sabotage"}),
        ("/fault", {"name": "power_cut", "at": "nowhere"}),
        ("/head", {"png_base64": "bm8gUE5H", "diameter_mm": 40, "head_id": "0102030405060708", "slot": 0}),
    ],
)
def test_the_keeper_is_told_what_cannot_be_done(rig: Rig, path: str, body: dict[str, object]) -> None:
    code, error = rig.keeper_error(path, body)
    assert code == 400
    assert error


def test_the_command_line_is_the_keepers_hand(rig: Rig, capsys: pytest.CaptureFixture[str]) -> None:
    home = ["--home", str(rig.home)]
    assert cli.main(["lay", *home, "--blank"]) == 0
    assert cli.main(["move", *home, "--dx-mm", "2"]) == 0
    assert cli.main(["pull", *home]) == 1
    assert cli.main(["take-away", *home]) == 0
    assert cli.main(["move", *home]) == 2
    assert cli.main(["state", *home]) == 0
    state = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (state["state"], state["page_present"]) == ("LOCKED", False)
    size = (rig.home / "journal" / "journal").stat().st_size
    assert cli.main(["journal", *home]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["event_type"] for line in lines if line["record"] == "EVENT"]
    assert lines[-1]["record"] in ("EVENT", "RECEIPT")
    assert (rig.home / "journal" / "journal").stat().st_size == size


def test_the_command_line_says_when_no_device_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["state", "--home", str(tmp_path)]) == 2
    assert "no device is running" in capsys.readouterr().err


# --- power ------------------------------------------------------------------------------------------------------------


def test_after_a_power_cut_at_any_named_point_journal_and_counter_agree(
    tmp_path: Path, head_png: bytes, rng: random.Random
) -> None:
    """One home through several power cuts: each start settles what the cut before it left open."""
    rig = Rig(tmp_path / "device")
    others = [point for point in POINTS if point != "after_press" and not point.endswith(("_swept", "_label"))]
    points = ["after_press", rng.choice(others)]  # no page is leafed and no label stuck on in this stamping
    try:
        for number, point in enumerate(points):
            rig.start("--fault", f"power_cut:{point}")
            if number == 0:
                bulk_address = rig.ready["bulk"]
                rig.pair()
                rig.mount_head(head_png)
            stamp_until_the_power_goes(rig)
            assert rig.wait_until_dead() == POWER_CUT_EXIT, point
        rig.start()
        state = rig.keeper("/state")
        told = [events.peek(rig.event(seq)) for seq in range(1, state["last_seq"] + 1)]
        assert state["boot"] == len(points) + 1
        assert presses_in(told) == state["counter"] == int((rig.home / "counter").read_text())
        assert rig.ready["bulk"] == bulk_address
        for fault in ("disk_full", "pry"):
            rig.keeper("/fault", {"name": fault})
        assert rig.keeper("/state")["state"] == "FAULT"
        rig.stop(signal.SIGKILL)
        rig.start()  # what it felt with a full disk was not lost with the power
        assert rig.keeper("/state")["state"] == "TAMPERED"
        last = [events.peek(rig.event(seq)).body for seq in range(1, rig.keeper("/state")["last_seq"] + 1)]
        assert events.Tamper(sensor="pry") in last
    finally:
        rig.stop()


def stamp_until_the_power_goes(rig: Rig) -> None:
    """One stamping; every step may be the last."""
    with pytest.raises((OSError, AssertionError)):  # noqa: PT012 - whichever step meets the dead device first
        token_id = rig.grant()
        rig.lay()
        rig.unlock(token_id)
        rig.keeper("/pull", {})
        rig.notice(State.GRANTED, strokes_left=2)
        rig.ask(messages.SpoilRequest(token_id=token_id, stroke=1))
        rig.ask(messages.HelloRequest())


def _public_key(rig: Rig) -> bytes:
    hello = rig.ask(messages.HelloRequest())
    assert isinstance(hello, messages.Hello)
    return hello.public_key


def _reds_and_blacks(png: bytes) -> tuple[int, int]:
    """Red and black pixels of a sheet, at a third of its resolution."""
    import numpy as np

    picture = np.asarray(Image.open(io.BytesIO(png)).convert("RGB").reduce(3)).astype(int)
    red, green, blue = picture[..., 0], picture[..., 1], picture[..., 2]
    return int(((red > 140) & (green < 110) & (blue < 110)).sum()), int((picture.max(axis=2) < 90).sum())
