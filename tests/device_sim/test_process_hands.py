"""What a person does beside a running device: cover, tools, ink, labels, bound volumes, fans, leafing."""

import base64
import hashlib
import io
import json
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from fpdf import FPDF
from PIL import Image

from device_sim import cli
from device_sim.process.faults import Faults
from device_sim.process.identity import SystemRng, load_key
from device_sim.process.pad import FADES_BELOW, IMPRINTS, InkPad
from device_sim.scene.strip import read_strip
from firmware_protocol import events, messages, orders, trace
from firmware_protocol.messages import Feature, State
from firmware_protocol.orders import Policy, ServiceKind
from firmware_protocol.reasons import Reason
from firmware_protocol.tokens import Mode
from server.inspection import tasks
from tests.device_sim.installation import POLICIES
from tests.device_sim.rig import Rig
from tests.server.world import contract_pdf


def status(rig: Rig) -> messages.Status:
    found = rig.ask(messages.StatusRequest())
    assert isinstance(found, messages.Status)
    return found


def stamped(rig: Rig, **claims: int) -> tuple[bytes, events.Done]:
    """One stroke on the sheet that lies there; token id and DONE."""
    token_id = rig.grant(**claims)
    rig.unlock(token_id)
    assert rig.keeper("/pull", {})["pressed"]
    after = rig.hear(
        lambda envelope: (
            isinstance(envelope.message, messages.StatusNotice)
            and envelope.message.status.state in (State.GRANTED, State.LOCKED)
        )
    ).message
    assert isinstance(after, messages.StatusNotice)
    for seq in range(after.status.last_seq, 0, -1):
        body = events.peek(rig.event(seq)).body
        if isinstance(body, events.Done):
            return token_id, body
    raise AssertionError("no DONE")


def photo(rig: Rig, digest: bytes) -> bytes:
    found = rig.fetch(digest)
    assert isinstance(found, bytes)
    return found


def red(rig: Rig) -> int:
    """Pixels of stamp ink on the tray, as the camera sees them."""
    view = cv2.imdecode(np.frombuffer(rig.keeper("/view.jpg"), np.uint8), cv2.IMREAD_REDUCED_COLOR_2).astype(int)
    return int((view[..., 2] - view[..., 1] > 60).sum())


@pytest.fixture(scope="module")
def pdf() -> bytes:
    """Three pages with a number each."""
    document = FPDF(format="A4")
    document.set_font("Helvetica", "", 40)
    for page in range(1, 4):
        document.add_page()
        document.cell(0, 40, f"Page {page}")
    return bytes(document.output())


# --- housing ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def housing(rig: Rig) -> Iterator[Rig]:
    """Cleared by two persons afterwards."""
    yield rig
    rig.keeper("/cover", {"open": False})
    hello = rig.ask(messages.HelloRequest())
    assert isinstance(hello, messages.Hello)
    order = Policy(
        device_id=hello.device_id,
        epoch=hello.epoch + 1,
        suspended=False,
        service=ServiceKind.CLEAR_TAMPER,
        authorised_by=(b"anna", b"boris"[:4]),
    )
    assert rig.ask(messages.PolicyRequest(policy=orders.sign(order, key=POLICIES))) == messages.Accepted()
    rig.epoch = order.epoch
    assert rig.keeper("/state")["state"] == "LOCKED"


@pytest.mark.parametrize(
    ("path", "body", "sensor"), [("/cover", {"open": True}, "cover"), ("/pry", {}, "pry"), ("/tilt", {}, "motion")]
)
def test_the_housing_latches_tamper_until_two_persons_clear_it(
    housing: Rig, path: str, body: dict[str, bool], sensor: str
) -> None:
    housing.keeper(path, body)
    now = status(housing)
    assert now.state is State.TAMPERED
    assert now.cover_closed == (sensor != "cover")
    assert events.peek(housing.event(now.last_seq)).body == events.Tamper(sensor=sensor)
    assert housing.keeper("/display")["lines"] == ["LOCKED: opened by force"]
    refused = housing.ask(messages.ChallengeRequest())
    assert isinstance(refused, messages.Refused)
    assert refused.reason is Reason.TAMPERED


def test_battery_temperature_and_ink_are_in_the_status_and_told_at_a_mark(rig: Rig) -> None:
    rig.keeper("/battery", {"percent": 80})
    rig.keeper("/temperature", {"celsius": -12.4})
    rig.keeper("/ink", {"level": 0.2})
    now = status(rig)
    assert (now.battery, now.temperature, now.ink) == (80, 261, 20)
    state = rig.keeper("/state")
    assert (state["battery"], state["temperature_c"], state["ink"]) == (80, -12, 20)
    told = [events.peek(rig.event(seq)).body for seq in (now.last_seq - 1, now.last_seq)]
    assert told == [events.Sensor(sensor="temperature", value=261), events.Sensor(sensor="ink", value=20)]
    rig.keeper("/temperature", {"celsius": 21})
    rig.keeper("/ink", {"level": 1})


# --- ink --------------------------------------------------------------------------------------------------------------


def test_every_press_takes_ink_and_the_last_ones_are_pale(tmp_path: Path) -> None:
    pad = InkPad(tmp_path / "ink", Faults())
    assert (pad.percent, pad.press()) == (100, (1.0, 1.0))
    assert pad.level == 1.0 - 1.0 / IMPRINTS
    assert InkPad(tmp_path / "ink", Faults()).level == pad.level
    pad.fill(FADES_BELOW)
    tones = []
    for _ in range(3):
        tones.append(pad.press()[0])
        pad.fill(pad.level - 0.03)
    assert tones[0] == pytest.approx(1.0)
    assert tones[0] > tones[1] > tones[2] > 0.3
    pad.fill(0)
    assert pad.press()[0] == 0.0
    with pytest.raises(ValueError, match="0 to 1"):
        pad.fill(1.5)


def test_bad_imprints_are_strokes_and_the_photo_shows_them(rig: Rig) -> None:
    inks = {}
    for how in ("none", "faint_imprint", "cut_off_imprint", "no_imprint"):
        rig.keeper("/take-away", {})
        rig.lay()
        rig.keeper("/fault", {"name": how})
        before = rig.keeper("/state")["counter"]
        stamped(rig, max_strokes=1)
        assert rig.keeper("/state")["counter"] == before + 1, how
        assert rig.keeper("/state")["faults"] == [], "it happens once"
        inks[how] = red(rig)
    assert inks["no_imprint"] < 5
    assert inks["faint_imprint"] < 0.4 * inks["none"]
    assert 0.3 < inks["cut_off_imprint"] / inks["none"] < 0.8


# --- the strip, sweep, label, spoiled sheet ---------------------------------------------------------------------------


def test_the_strip_of_every_photo_is_fresh_and_has_the_counter(rig: Rig) -> None:
    rig.lay()
    token_id = rig.grant(max_strokes=2)
    counter = rig.keeper("/state")["counter"]
    seen = rig.capture()
    assert read_strip(photo(rig, seen.photo_digest)) == seen.stroke_nonce + counter.to_bytes(4, "big")
    assert isinstance(rig.ask(messages.PermitRequest(permit=rig.permit(token_id, seen))), messages.Unlocked)
    rig.keeper("/pull", {})
    now = rig.notice(State.GRANTED, strokes_left=1)
    done = events.peek(rig.event(now.last_seq)).body
    assert isinstance(done, events.Done)
    shown = hashlib.sha256(done.trace_code).digest()[:16] + (counter + 1).to_bytes(4, "big")
    assert read_strip(photo(rig, done.photo_digest)) == shown


def test_a_label_stuck_on_and_a_sheet_cancelled_are_photographed(rig: Rig) -> None:
    rig.lay()
    token_id, done = stamped(rig, max_strokes=2)
    counter = rig.keeper("/state")["counter"]
    label = {"url": trace.url(done.trace_code, host="SEAL.EXAMPLE"), "number": "1 of 2"}
    label["short_code"] = trace.short_code(done.trace_code)
    assert rig.keeper("/stick-label", label) == {"stuck": True}
    stuck = rig.ask(messages.LabelRequest(token_id=token_id, stroke=1))
    assert isinstance(stuck, messages.Labelled), stuck
    strip = hashlib.sha256(token_id + (1).to_bytes(2, "big")).digest()[:16] + counter.to_bytes(4, "big")
    assert read_strip(photo(rig, stuck.photo_digest)) == strip
    assert isinstance(events.peek(rig.event(stuck.seq)).body, events.Label)

    before = red(rig)
    spoiled = rig.ask(messages.SpoilRequest(token_id=token_id, stroke=1))
    assert isinstance(spoiled, messages.Spoiled), spoiled
    assert read_strip(photo(rig, spoiled.photo_digest)) == strip
    assert isinstance(events.peek(rig.event(spoiled.seq)).body, events.Spoiled)
    assert red(rig) < before, "the coder printed across the imprint"


def test_a_document_is_leafed_through_under_the_camera(rig: Rig, pdf: bytes) -> None:
    rig.grant(policy=int(Mode.SWEEP), first_page=1, last_page=3, title="Lease", short="R-7")
    encoded = base64.b64encode(pdf).decode()
    for page in (1, 2, 3):
        rig.keeper("/lay", {"pdf_base64": encoded, "page": page, "curl_mm": 4, "staple": True})
        seen = rig.capture()
        body = events.peek(rig.event(seen.seq)).body
        assert isinstance(body, events.PageSeen)
        assert (body.stroke, body.page) == (0, page)
    assert rig.keeper("/display")["lines"] == [
        "Leaf through the pages",
        "Lease",
        "R-7",
        "3 imprints left",
        "page 3 of 3",
    ]
    swept = rig.ask(messages.SweepEndRequest())
    assert isinstance(swept, messages.Swept)
    assert (swept.seen, swept.expected) == (3, 3)


def test_a_fan_of_sheets_lies_under_the_stamp_and_a_sheet_can_come_back(rig: Rig, pdf: bytes) -> None:
    rig.keeper("/fan", {"pdf_base64": base64.b64encode(pdf).decode(), "pages": [1, 2, 3]})
    stamped(rig, max_strokes=1)
    with Image.open(io.BytesIO(rig.keeper("/sheet.png"))) as fanned:
        assert abs(fanned.width - (210 + 26) / 25.4 * 200) <= 2
    ink = red(rig)
    assert ink > 0
    rig.keeper("/take-away", {})
    assert not rig.keeper("/state")["page_present"]
    rig.keeper("/lay", {"again": True})
    assert rig.keeper("/state")["page_present"]
    assert 0.9 < red(rig) / ink < 1.1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/cover", {"open": "yes"}),
        ("/cover", {}),
        ("/battery", {"percent": 101}),
        ("/temperature", {"celsius": -300}),
        ("/ink", {"level": 2}),
        ("/lay", {"blank": True, "curl_mm": 40}),
        ("/fan", {"pdf_base64": "", "pages": []}),
        ("/stick-label", {"url": "HTTPS://X/V/A" * 40, "short_code": "A", "number": 1}),
        ("/stick-label", {"url": "HTTPS://X/V/A"}),
    ],
)
def test_what_a_hand_cannot_do(rig: Rig, path: str, body: dict[str, object]) -> None:
    code, error = rig.keeper_error(path, body)
    assert code == 400
    assert error


# --- command line -----------------------------------------------------------------------------------------------------


def test_the_new_verbs_of_the_command_line(
    housing: Rig, pdf: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = ["--home", str(housing.home)]
    (tmp_path / "three.pdf").write_bytes(pdf)
    label = ["--url", "HTTPS://SEAL.EXAMPLE/V/ABC", "--short-code", "7KQ2", "--number", "1 of 2"]
    for verb, *options in (
        ("lay", "--blank", "--curl-mm", "6", "--staple"),
        ("stick-label", *label),
        ("take-away",),
        ("lay", "--again"),
        ("fan", "--pdf", str(tmp_path / "three.pdf"), "--pages", "1", "3"),
        ("battery", "40"),
        ("temperature", "30"),
        ("ink", "0.5"),
        ("fault", "faint_imprint"),
        ("fault", "none"),
        ("tilt",),
        ("pry",),
        ("cover", "open"),
        ("cover", "closed"),
    ):
        assert cli.main([verb, *home, *options]) == 0, verb
    printed = capsys.readouterr().out.splitlines()
    assert json.loads(printed[0]) == {"stuck": True}
    assert cli.main(["display", *home]) == 0
    assert capsys.readouterr().out == "LOCKED: opened by force\n"
    assert cli.main(["fault", *home, "sabotage"]) == 2


def assert_cancelled_by_label(rig: Rig) -> None:
    """A spoiled sheet of a device without a coder: the label brings the word, the device photographs it."""
    document = contract_pdf(pages=1)
    rig.keeper("/lay", {"pdf_base64": base64.b64encode(document).decode(), "page": 1})
    token_id, done = stamped(rig, max_strokes=2)
    label = {"url": trace.url(done.trace_code, host="SEAL.EXAMPLE"), "number": "1 of 2", "cancelled": True}
    label["short_code"] = trace.short_code(done.trace_code)
    assert rig.keeper("/stick-label", label) == {"stuck": True}
    spoiled = rig.ask(messages.SpoilRequest(token_id=token_id, stroke=1))
    assert isinstance(spoiled, messages.Spoiled), spoiled
    tasks.prepare_page(document, b"n" * 32, 1)
    check = tasks.check_spoiled(b"n" * 32, 1, photo(rig, spoiled.preview_digest))
    assert (check.marked, check.codes) == (True, (str(label["url"]).encode(),))


def test_a_device_without_a_coder_says_so_and_later_keys_are_its_own(tmp_path: Path, head_png: bytes) -> None:
    rig = Rig(tmp_path / "device")
    try:
        rig.start("--no-coder")
        hello = rig.ask(messages.HelloRequest())
        assert isinstance(hello, messages.Hello)
        assert not hello.features & Feature.INLINE_CODER
        rig.pair()
        rig.mount_head(head_png)
        assert_cancelled_by_label(rig)
    finally:
        rig.stop()
    keys = [load_key(rig.home, SystemRng(), generation=number).public_key for number in (1, 2, 3, 2)]
    assert keys[1] == keys[3]
    assert len(set(keys)) == 3
    assert keys[0] == hello.public_key
