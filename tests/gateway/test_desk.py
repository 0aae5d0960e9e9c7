"""What a keeper's session does at its device and asks of headquarters."""

from pathlib import Path
from typing import Any

import pytest

from firmware_protocol import events, messages
from firmware_protocol.messages import State
from firmware_protocol.orders import Permit, sign
from gateway.errors import HeadOfficeRefused, HeadOfficeUnreachable, OutOfOrder
from gateway.labels.errors import PrinterNotReady
from gateway.labels.label import LabelOutcome
from gateway.rules import facts
from gateway.rules.session import Plan, Step, Sticker
from gateway.uplink.head_office import PageAnswer
from tests.gateway.stand import PLAN, TOKEN, Printer, Stand, at_desk, refusal

NONCE = b"n" * 16
CAPTURED = messages.Captured(seq=4, stroke=1, preview_digest=b"p" * 32, photo_digest=b"f" * 32, stroke_nonce=NONCE)
UNLOCKED = messages.Unlocked(stroke=1, window_ms=1000)
SPOILED = messages.Spoiled(seq=9, preview_digest=b"s" * 32, photo_digest=b"S" * 32)
MATCH = PageAnswer(
    answer="match", reason="ok", stroke=1, page=2, permit_sent=True, text="", differences=(), case_id="", stage=""
)
DOUBTFUL = PageAnswer(
    answer="doubtful",
    reason="text_differs",
    stroke=1,
    page=2,
    permit_sent=False,
    text="A number differs.",
    differences=({"kind": "text", "text": "1.200"},),
    case_id="c1",
    stage="",
)


class Key:
    """The device is scripted and verifies nothing."""

    public_key = bytes(32)

    def sign(self, _data: bytes) -> bytes:
        return bytes(64)


def permit() -> bytes:
    order = Permit(
        device_id="CB-TEST",
        token_id=TOKEN,
        stroke=1,
        page=2,
        page_digest=bytes(32),
        photo_digest=b"f" * 32,
        stroke_nonce=NONCE,
    )
    return sign(order, key=Key())


def done(stroke: int = 1) -> events.Done:
    return events.Done(
        token_id=TOKEN, stroke=stroke, preview_digest=b"a" * 32, photo_digest=b"A" * 32, trace_code=b"code"
    )


def press(stand: Stand, stroke: int = 1) -> None:
    body = done(stroke)
    stand.sticking.learn(body)
    stand.imprints.learn(body)
    stand.stamping.learn(body)


def sends_permit(stand: Stand, answer: PageAnswer) -> Any:
    def say() -> PageAnswer:
        stand.carrying.down("permit", permit())
        return answer

    return say


def ready_for_a_page(stand: Stand) -> None:
    stand.device.answers |= {messages.CaptureRequest: CAPTURED, messages.PermitRequest: UNLOCKED}
    stand.head_office.says["permit"] = [sends_permit(stand, MATCH)]


def test_a_still_page_that_agrees_frees_the_latch_without_a_tap(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.begin()
        ready_for_a_page(stand)
        stand.lay()
        await stand.until(Step.READY)
        assert [type(request) for request in stand.device.asked][-1] is messages.PermitRequest
        assert stand.desk.picture("page") == b"photo pppp"

    at_desk(tmp_path, work)


def test_a_second_persons_anyway_brings_the_permit_to_the_same_photo(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.begin()
        ready_for_a_page(stand)
        stand.head_office.says["permit"] = [DOUBTFUL]

        def anyway() -> dict[str, Any]:
            stand.carrying.down("permit", permit())
            return {"state": "anyway", "by": "Ana", "reason": "coffee stain", "asked_ms": 1}

        waiting = {"state": "waiting", "by": "Ana", "reason": "", "asked_ms": 1}
        stand.head_office.says["case"] = [waiting, HeadOfficeUnreachable("case"), waiting, anyway]
        stand.lay()
        await stand.until(Step.ASKED)
        await stand.until(Step.READY)
        assert stand.desk.session.asked == "Ana"

    at_desk(tmp_path, work)


def test_lifting_the_page_ends_the_question(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.begin()
        ready_for_a_page(stand)
        stand.head_office.says["permit"] = [DOUBTFUL]
        stand.head_office.says["case"] = [{"state": "waiting", "by": "", "reason": "", "asked_ms": 1}]
        stand.lay()
        await stand.until(Step.ASKED)
        stand.tray(present=False)
        await stand.until(Step.PLACE)
        asked = len(stand.head_office.heard)
        stand.carrying.down("permit", permit())
        for _ in range(20):
            await stand.until_true(lambda: True)
        assert stand.device.of(messages.PermitRequest) == [], "a permit that comes late opens nothing"
        assert len(stand.head_office.heard) <= asked + 1

    at_desk(tmp_path, work)


def test_a_reminder_goes_to_headquarters_once_a_case(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.begin()
        ready_for_a_page(stand)
        with pytest.raises(OutOfOrder):
            await stand.cases.remind()
        stand.head_office.says["permit"] = [DOUBTFUL]
        stand.head_office.says["case"] = [{"state": "waiting", "by": "", "reason": "", "asked_ms": 1}]
        stand.lay()
        await stand.until(Step.ASKED)
        with pytest.raises(HeadOfficeUnreachable):
            await stand.cases.remind()
        assert stand.desk.session.reminded is None, "what did not arrive may be said again"
        stand.head_office.says["remind"] = [["Ana", "Boss"]]
        for _ in range(2):
            await stand.cases.remind()
        assert stand.desk.session.reminded == ("Ana", "Boss")
        assert [name for name, _said in stand.head_office.heard].count("remind") == 2
        stand.tray(present=False)
        stand.lay()
        await stand.until(Step.ASKED)
        assert stand.desk.session.reminded is None, "another photo is another question"

    at_desk(tmp_path, work)


@pytest.mark.parametrize(("state", "code"), [("no", "second_person_no"), ("over", "case_over")])
def test_no_and_silence_leave_the_device_locked(tmp_path: Path, state: str, code: str) -> None:
    async def work(stand: Stand) -> None:
        stand.begin()
        ready_for_a_page(stand)
        stand.head_office.says["permit"] = [DOUBTFUL]
        stand.head_office.says["case"] = [{"state": state, "by": "Ana", "reason": "wrong amount", "asked_ms": 1}]
        stand.lay()
        await stand.until(Step.PROBLEM)
        assert (stand.desk.session.code, stand.device.of(messages.PermitRequest)) == (code, [])

    at_desk(tmp_path, work)


def test_without_a_page_check_no_permit_is_asked_for(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.begin(Plan(request_id="r1", title="Notices", pages=((1, 1),), mode="voucher", page_check="none"))
        stand.device.answers[messages.CaptureRequest] = CAPTURED
        stand.lay()
        stand.device.answers[messages.StatusRequest] = _unlocked(stand)
        await stand.until(Step.READY)
        assert stand.head_office.heard == []

    at_desk(tmp_path, work)


def _unlocked(stand: Stand) -> messages.Status:
    told = {name: getattr(stand.connection.status, name) for name in messages.Status.__slots__}
    return messages.Status(**told | {"state": State.UNLOCKED})


# A bad imprint


def test_a_faint_imprint_is_cancelled_and_its_spare_is_fetched(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.begin(Plan(request_id="r1", title="Office lease", pages=((2, 1),), spares_left=1))
        stand.device.answers[messages.SpoilRequest] = SPOILED
        accepted = {"accepted": True, "reason": "", "text": "", "strokes_left": 1}
        stand.head_office.says |= {
            "imprint": [
                {"state": "pending", "grade": "unclear", "reason": "", "text": ""},
                {"state": "look_here", "grade": "faint", "reason": "faint", "text": "Too little ink."},
            ],
            "spoiled": [HeadOfficeUnreachable("spoiled"), accepted],
            "jobs": [[]],
        }
        press(stand)
        stand.tray(present=True)
        await stand.until(Step.REDO)
        assert stand.desk.picture(f"{TOKEN.hex()}-1") == b"photo aaaa"
        stand.imprints.choose(spoil=True)
        await stand.until(Step.PROBLEM)
        assert stand.device.of(messages.SpoilRequest) == [messages.SpoilRequest(token_id=TOKEN, stroke=1)]
        told = [more for name, more in stand.head_office.heard if name == "spoiled"]
        assert told == [{"event": b"event 9", "preview": b"photo ssss"}] * 2, "it is told until it is heard"
        assert "jobs" in [name for name, _more in stand.head_office.heard], "the spare is asked for without a tap"

    at_desk(tmp_path, work)


def test_a_bad_imprint_of_a_job_that_is_over_stays_in_the_list(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.begin()
        bad = {"state": "look_here", "grade": "cut_off", "reason": "", "text": ""}
        stand.head_office.says["imprint"] = [bad]
        stand.imprints.learn(done())
        await stand.stamping.abort()
        await stand.until_true(lambda: bool(stand.notebook.leftovers("CB-TEST")))
        (left,) = stand.notebook.leftovers("CB-TEST")
        assert (left.kind, left.stroke, left.title) == ("look_at_imprint", 1, "Office lease")

    at_desk(tmp_path, work)


# Stop and alarm


def test_stop_locks_first_and_the_reason_is_kept(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.begin()
        await stand.stamping.abort()
        assert stand.device.asked[-1] == messages.RelockRequest(close_grant=True)
        assert stand.notebook.notes("CB-TEST") == []
        stand.stamping.give_reason("doubt", "odd amount")
        (note,) = stand.notebook.notes("CB-TEST")
        assert (note.kind, note.about, note.who, note.words) == ("stopped", "Office lease", "Kim", "doubt: odd amount")

    at_desk(tmp_path, work)


def test_an_extra_stroke_stops_every_job_until_somebody_wrote_what_happened(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.desk.operator = {"operator_id": "p1", "name": "Kim"}
        stand.stamping.learn(events.ExtraStroke(strokes=1))
        assert stand.notebook.alarm("CB-TEST") == 1
        with pytest.raises(OutOfOrder, match="not approved"):
            await stand.stamping.start("r1")
        with pytest.raises(OutOfOrder, match="Write what happened"):
            stand.stamping.explain_alarm("  ")
        stand.stamping.explain_alarm("The sleeve caught the handle.")
        assert (stand.desk.session.alarm, stand.notebook.alarm("CB-TEST")) == (0, 0)
        assert stand.notebook.notes("CB-TEST")[0].kind == "extra_stroke"

    at_desk(tmp_path, work)


# Leafing through


def test_leafed_pages_are_told_and_the_sweep_ends_by_itself(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.begin(sweep_pages=2)
        stand.device.answers |= {
            messages.CaptureRequest: CAPTURED,
            messages.SweepEndRequest: messages.Swept(seen=2, expected=2, digest=bytes(32)),
        }
        seen = {"page": 1, "answer": "match", "reason": "ok", "text": "", "seen": 1, "of": 2, "missing": [2]}
        stand.head_office.says["swept"] = [seen, seen | {"page": 2, "seen": 2, "missing": []}]
        stand.lay()
        await stand.until_true(lambda: stand.desk.session.seen == 1)
        assert stand.desk.session.missing == (2,)
        assert stand.device.of(messages.SweepEndRequest) == []
        stand.lay()
        await stand.until(Step.PLACE)

    at_desk(tmp_path, work)


def test_a_page_that_moved_while_leafing_is_said_and_taken_again(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.begin(sweep_pages=2)
        stand.device.answers[messages.CaptureRequest] = refusal("PAGE_MOVED")
        stand.lay()
        await stand.until_true(lambda: stand.desk.session.code == "page_moved")
        assert stand.desk.session.step is Step.SWEEP

    at_desk(tmp_path, work)


def test_a_service_photographs_its_sample_sheet_and_ends(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.device.answers[messages.CaptureRequest] = CAPTURED
        begun = events.Service(
            order_digest=bytes(32), kind=events.ServiceKind.CHANGE_HEAD, stage=events.ServiceStage.BEGUN, slot=1
        )
        stand.leafing.learn(begun)
        assert (stand.desk.session.service, stand.desk.session.slot) == ("change_head", 1)
        stand.lay()
        await stand.until_true(lambda: bool(stand.device.of(messages.CaptureRequest)))
        stand.leafing.learn(
            events.Service(
                order_digest=bytes(32), kind=events.ServiceKind.CHANGE_HEAD, stage=events.ServiceStage.ENDED, slot=1
            )
        )
        assert stand.desk.session.service == ""

    at_desk(tmp_path, work)


# Labels

ONE_PAGE = Plan(request_id="r1", title="Office lease", pages=((2, 1),))
STICKER = Sticker(token_id=TOKEN.hex(), stroke=1, copy=1, url="HTTPS://SEAL.EXAMPLE/V/AB", short="7K2M-9QXT-4F")
LABELLED = messages.Labelled(seq=8, preview_digest=b"l" * 32, photo_digest=b"L" * 32)


def test_a_label_is_printed_once_stuck_on_and_photographed(tmp_path: Path) -> None:
    printer = Printer()

    async def work(stand: Stand) -> None:
        stand.begin(ONE_PAGE)
        stand.device.answers[messages.LabelRequest] = LABELLED
        stand.desk.step(facts.LabelsOwed(stickers=(STICKER,)))
        stand.desk.step(facts.StrokeDone(stroke=1))
        await stand.until_true(lambda: stand.desk.session.stickers[0].state == "stick")
        stand.lay()
        await stand.until(Step.DONE)
        assert [label.short_code for label in printer.printed] == ["7K2M-9QXT-4F"]
        (record,) = stand.labels.of_stroke(TOKEN, 1)
        assert record.outcome is LabelOutcome.STUCK

    at_desk(tmp_path, work, printer=printer)


def test_a_printer_without_labels_leaves_the_imprint_in_the_list(tmp_path: Path) -> None:
    printer = Printer(broken=PrinterNotReady("printer", problem="no labels are left"))

    async def work(stand: Stand) -> None:
        stand.begin(ONE_PAGE)
        stand.desk.step(facts.LabelsOwed(stickers=(STICKER,)))
        stand.desk.step(facts.StrokeDone(stroke=1))
        await stand.until_true(lambda: "no labels are left" in stand.desk.session.text)
        stand.sticking.leave()
        assert stand.desk.session.step is Step.DONE
        assert [left.kind for left in stand.notebook.leftovers("CB-TEST")] == ["label_missing"]
        with pytest.raises(OutOfOrder):
            stand.desk.settle("another")
        stand.desk.settle(f"{TOKEN.hex()}-1-label_missing")
        assert stand.notebook.leftovers("CB-TEST") == []
        assert stand.notebook.notes("CB-TEST")[0].kind == "settled"
        assert stand.labels.open_labels() == []

    at_desk(tmp_path, work, printer=printer)


# A restart of the gateway


def test_a_restarted_gateway_goes_on_with_the_job_in_the_device(tmp_path: Path) -> None:
    async def before(stand: Stand) -> None:
        stand.begin()
        press(stand)

    async def after(stand: Stand) -> None:
        stand.tray(present=False, token_id=TOKEN, strokes_left=1)
        stand.stamping.resume()
        assert (stand.desk.session.step, stand.desk.session.page) == (Step.PLACE, PLAN.pages[1][0])

    at_desk(tmp_path, before)
    at_desk(tmp_path, after)


def test_power_lost_with_the_gateway_says_how_far_it_went(tmp_path: Path) -> None:
    async def before(stand: Stand) -> None:
        stand.begin()
        press(stand)

    async def after(stand: Stand) -> None:
        stand.stamping.resume()
        session = stand.desk.session
        assert (session.code, session.strokes_left, session.photographed) == ("closed_reboot", 1, "yes")

    at_desk(tmp_path, before)
    at_desk(tmp_path, after)


def test_what_headquarters_refuses_about_a_spoiled_sheet_is_shown(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        stand.begin()
        stand.device.answers[messages.SpoilRequest] = SPOILED
        stand.head_office.says |= {
            "imprint": [{"state": "look_here", "grade": "faint", "reason": "", "text": ""}],
            "spoiled": [HeadOfficeRefused(status=409, code="x", detail="That code is of another imprint.")],
        }
        press(stand)
        stand.tray(present=True)
        await stand.until(Step.REDO)
        stand.imprints.choose(spoil=True)
        await stand.until_true(lambda: stand.desk.session.text == "That code is of another imprint.")
        assert stand.desk.session.step is Step.SPOIL

    at_desk(tmp_path, work)
