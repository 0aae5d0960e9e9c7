"""What fielded devices get wrong (docs/field-failures.md), each by its named fault, on a device that really runs.

After each one the device's own account is compared with the mechanical counter, which no message can move.
"""

import contextlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from device_sim import cli
from device_sim.process.faults import FIELD_FAILURES, POWER_CUT_EXIT, Fault
from firmware_protocol import events, messages
from firmware_protocol.errors import ProtocolError
from firmware_protocol.events import Cause
from firmware_protocol.messages import State
from firmware_protocol.reasons import Reason
from firmware_protocol.tokens import Mode, PageCheck
from tests.device_sim.rig import Rig, presses_in

DOCUMENT = Path(__file__).parents[2] / "docs" / "field-failures.md"


class Count:
    """The shaft against the events, from now on."""

    def __init__(self, rig: Rig) -> None:
        state = rig.keeper("/state")
        self._rig = rig
        self._seq, self._counter = state["last_seq"], state["counter"]

    def told(self) -> list[events.Event]:
        return self._rig.told(after=self._seq)

    def check(self, *, presses: int) -> list[events.Body]:
        """The shaft turned so often, and the events say so. Their bodies."""
        told = self.told()
        assert self._rig.keeper("/state")["counter"] - self._counter == presses
        assert presses_in(told) == presses
        return [event.body for event in told]


@pytest.fixture
def count(rig: Rig) -> Count:
    return Count(rig)


def fault(rig: Rig, number: int) -> None:
    rig.keeper("/fault", {"name": FIELD_FAILURES[number]})


def mended(rig: Rig) -> None:
    rig.keeper("/fault", {"name": "none"})


def pull(rig: Rig) -> bool:
    pressed: bool = rig.keeper("/pull", {})["pressed"]
    return pressed


def test_each_has_a_fault_and_a_line_in_the_document() -> None:
    text = DOCUMENT.read_text()
    assert sorted(FIELD_FAILURES) == list(range(1, 11))
    for number, named in FIELD_FAILURES.items():
        assert f"| {number} |" in text
        assert f"`{named}`" in text
    for other in Fault:
        assert f"`{other}" in text, f"{other} is not described"


def test_1_the_door_does_not_open_and_the_use_comes_back(rig: Rig, count: Count) -> None:
    rig.lay()
    token_id = rig.grant(max_strokes=2, window_s=1)
    rig.unlock(token_id)
    fault(rig, 1)
    assert not pull(rig)
    rig.notice(State.GRANTED, strokes_left=2)
    bodies = count.check(presses=0)
    assert bodies[-1] == events.Cancelled(token_id=token_id, stroke=1, cause=Cause.TIMED_OUT, returned=True)


def test_2_a_lever_that_stops_half_way_costs_nothing_and_can_be_pulled_again(rig: Rig, count: Count) -> None:
    rig.lay()
    rig.unlock(rig.grant(max_strokes=2))
    fault(rig, 2)
    assert not pull(rig)
    assert rig.keeper("/state")["latch_free"]
    assert pull(rig)
    rig.notice(State.GRANTED, strokes_left=1)
    assert sum(isinstance(body, events.Done) for body in count.check(presses=1)) == 1


def test_3_an_imprint_that_nobody_reported_is_counted_in_continuous_mode_too(rig: Rig, count: Count) -> None:
    """The lever's switch is silent; the counter on the shaft is not."""
    rig.lay()
    rig.grant(max_strokes=2, window_s=1, policy=int(Mode.CONTINUOUS) | int(PageCheck.NONE))
    rig.heard.clear()
    fault(rig, 3)
    assert pull(rig)
    assert not pull(rig), "the spring latch holds: no second imprint on one count"
    rig.notice(State.UNLOCKED, strokes_left=1)
    assert pull(rig)
    rig.notice(State.LOCKED)
    bodies = count.check(presses=2)
    assert [body.stroke for body in bodies if isinstance(body, events.Done)] == [1, 2]
    assert isinstance(bodies[-1], events.Closed)
    assert bodies[-1].strokes_used == 2


def test_4_every_imprint_is_told_also_the_ones_that_no_app_saw(rig: Rig, count: Count) -> None:
    """The head bounces, and nothing that the device says arrives until later."""
    rig.lay()
    rig.unlock(rig.grant())
    fault(rig, 4)
    rig.keeper("/fault", {"name": "mute"})
    assert pull(rig)
    waiting_until(rig, lambda state: state["state"] == "GRANTED")
    mended(rig)
    bodies = count.check(presses=2)
    assert [type(body) for body in bodies[-2:]] == [events.Done, events.ExtraStroke]


def test_5_the_device_knows_that_it_is_used_up_although_its_word_was_lost(rig: Rig, count: Count) -> None:
    """What the office last heard is "one left"; what it reads afterwards is the truth, and nothing more is pressed."""
    rig.lay()
    token_id = rig.grant(max_strokes=1)
    seen = rig.capture()
    permit = rig.permit(token_id, seen)
    assert isinstance(rig.ask(messages.PermitRequest(permit=permit)), messages.Unlocked)
    assert rig.notice(State.UNLOCKED).strokes_left == 1
    fault(rig, 5)
    assert pull(rig)
    waiting_until(rig, lambda state: state["state"] == "LOCKED")
    mended(rig)
    refused = rig.ask(messages.PermitRequest(permit=permit))
    assert isinstance(refused, messages.Refused)
    assert refused.reason is Reason.NO_GRANT
    assert not pull(rig)
    bodies = count.check(presses=1)
    closed = next(body for body in bodies if isinstance(body, events.Closed))
    assert (closed.strokes_used, closed.cause) == (1, Cause.USED_UP)


def test_6_orders_of_another_job_consume_nothing_of_this_one(rig: Rig, count: Count) -> None:
    rig.lay()
    first = rig.grant(title="Lease, 2 copies", short="R-0001", max_strokes=2)
    rig.unlock(first)
    pull(rig)
    rig.notice(State.GRANTED, strokes_left=1)
    rig.ask(messages.RelockRequest(close_grant=True))
    fault(rig, 6)
    second = rig.grant(title="Offer to the Northern Harbour Works", short="R-0002", max_strokes=2)
    assert rig.keeper("/display")["short"] == "R-0002"
    rig.unlock(second)
    assert pull(rig)
    status = rig.notice(State.GRANTED, strokes_left=1)
    assert status.token_id == second
    mended(rig)
    shown = rig.keeper("/display")
    assert (shown["title"], shown["strokes_left"]) == ("Offer to the Northern Harbour Works", 1)
    assert shown["lines"] == ["Lay the page", "Offer to the Northern H…", "R-0002", "1 imprint left"]
    bodies = count.check(presses=2)
    assert [body.token_id for body in bodies if isinstance(body, events.Grant)] == [first, second]
    assert [body.token_id for body in bodies if isinstance(body, events.Done)] == [first, second]


def test_7_photos_wait_until_a_receipt_names_them(rig: Rig, count: Count) -> None:
    rig.lay()
    seen = rig.capture()
    fault(rig, 7)
    with pytest.raises((AssertionError, OSError, ProtocolError)):
        rig.fetch(seen.photo_digest)
    rig.ask(messages.ReceiptRequest(receipt=rig.receipt()))  # for the events; it names no photo
    assert rig.keeper("/state")["photos_waiting"] >= 2
    mended(rig)
    for digest in (seen.preview_digest, seen.photo_digest):
        assert isinstance(rig.fetch(digest), bytes)


def test_8_a_cable_that_falls_out_leaves_the_job_where_it_was(rig: Rig, count: Count) -> None:
    rig.lay()
    token_id = rig.grant(title="Lease", short="R-0003", max_strokes=3)
    rig.unlock(token_id)
    fault(rig, 8)
    assert pull(rig), "the latch was free; the cable has no say in it"
    waiting_until(rig, lambda state: state["state"] == "GRANTED")
    rig.unplug()
    rig.keeper("/fault", {"name": "reappear"})
    rig.plug()
    status = rig.ask(messages.StatusRequest())
    assert isinstance(status, messages.Status)
    assert (status.token_id, status.strokes_left) == (token_id, 2)
    assert rig.keeper("/display")["short"] == "R-0003"
    rig.unlock(token_id)
    assert pull(rig)
    rig.notice(State.GRANTED, strokes_left=1)
    count.check(presses=2)


def test_10_nobody_can_order_the_record_away(rig: Rig, count: Count) -> None:
    rig.lay()
    seen = rig.capture()
    before = count.told()
    fault(rig, 10)
    told = count.told()
    assert told[: len(before)] == before
    status = rig.ask(messages.StatusRequest())
    assert isinstance(status, messages.Status)
    assert status.last_reason in (Reason.UNKNOWN_KEY, Reason.BAD_SIGNATURE)
    assert isinstance(rig.fetch(seen.photo_digest), bytes)


def test_9_a_journal_torn_by_the_power_is_read_by_people_and_by_the_device(
    tmp_path: Path, head_png: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    """Reading changes no byte and needs no right to write; the next start cuts the torn end and says so."""
    rig = Rig(tmp_path / "device")
    try:
        rig.start()
        rig.pair()
        rig.mount_head(head_png)
        rig.lay()
        rig.unlock(rig.grant())
        counter, seq = (rig.keeper("/state")[name] for name in ("counter", "last_seq"))
        fault(rig, 9)
        with contextlib.suppress(OSError):
            pull(rig)  # DONE, after the photo, is the write that tears
        assert rig.wait_until_dead() == POWER_CUT_EXIT

        journal = tmp_path / "device" / "journal" / "journal"
        before = journal.read_bytes()
        journal.chmod(0o400)
        journal.parent.chmod(0o500)
        assert cli.main(["journal", "--home", str(tmp_path / "device")]) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert lines[-1]["torn_bytes"] > 0
        assert {line["seq"] for line in lines if line.get("record") == "EVENT"} >= set(range(1, seq + 1))
        assert journal.read_bytes() == before
        assert [path.name for path in journal.parent.iterdir()] == ["journal"]
        journal.parent.chmod(0o700)
        journal.chmod(0o600)

        rig.start()
        told = rig.told(after=seq)
        assert any(isinstance(event.body, events.Sensor) and event.body.sensor == "journal-torn" for event in told)
        assert rig.keeper("/state")["counter"] - counter == presses_in(told) == 1
    finally:
        rig.stop()


def waiting_until(rig: Rig, wanted: Callable[[dict[str, object]], bool]) -> None:
    """The device says nothing to the gateway meanwhile; whoever stands beside it sees it."""
    for _ in range(2_000):
        if wanted(rig.keeper("/state")):
            return
    raise AssertionError("it never happened")
