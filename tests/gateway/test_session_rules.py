"""The keeper's session, rule by rule, and what holds for every order of facts."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.facts import (
    Aborted,
    AlarmExplained,
    CaseHeard,
    DeviceBack,
    DeviceLost,
    ExtraStrokes,
    GrantClosed,
    ImprintJudged,
    LabelEnded,
    LabelPrinted,
    LabelsOwed,
    LatchFree,
    PageJudged,
    PageSwept,
    PhotoTaken,
    ReasonGiven,
    RedoChosen,
    ServiceBegun,
    ServiceEnded,
    SheetSpoiled,
    Started,
    StrokeCancelled,
    StrokeDone,
    StrokeSettled,
    SweepEnded,
    TrayChanged,
    WentWrong,
)
from gateway.rules.session import Do, Fact, Plan, Session, Step, Sticker, advance

TOKEN = "aa" * 16
SPARE_TOKEN = "bb" * 16
PLAN = Plan(request_id="r1", title="Office lease", pages=((2, 1), (5, 1)), spares_left=1)
STARTED = Started(plan=PLAN, token_id=TOKEN, strokes=2)
STILL = TrayChanged(present=True, still=True)
MOVING = TrayChanged(present=True, still=False)
EMPTY = TrayChanged(present=False, still=False)
MATCH = PageJudged(answer="match", reason="ok", page=2)
WRONG = PageJudged(answer="wrong", reason="not_this_page", page=2, text="This is another page.")
DOUBTFUL = PageJudged(answer="doubtful", reason="text_differs", page=2, case_id="c1", at_ms=7)
PRESSED = (STILL, PhotoTaken(), MATCH, LatchFree(), StrokeDone(stroke=1))
FAINT = ImprintJudged(token_id=TOKEN, stroke=1, grade="faint")


def after(*facts: Fact, session: Session | None = None) -> tuple[Session, list[Do]]:
    session, done = session or Session(), []
    for fact in facts:
        session, todo = advance(session, fact)
        done += todo
    return session, done


# The straight way


def test_a_stroke_needs_no_tap() -> None:
    session, done = after(STARTED, STILL, PhotoTaken(), MATCH, LatchFree())
    assert (session.step, done) == (Step.READY, [Do.CAPTURE])


def test_a_still_page_is_photographed_once() -> None:
    _session, done = after(STARTED, STILL, STILL, STILL)
    assert done == [Do.CAPTURE]


def test_the_stamped_page_is_not_photographed_again_until_it_moved() -> None:
    stamped, _ = after(STARTED, *PRESSED)
    assert stamped.step is Step.STAMPED
    assert after(STILL, session=stamped)[1] == []
    session, done = after(EMPTY, STILL, session=stamped)
    assert done == [Do.CAPTURE]
    assert session.strokes_left == 1


def test_after_a_press_the_next_page_of_the_job_is_asked_for() -> None:
    session, _ = after(STARTED, *PRESSED, EMPTY)
    assert (session.step, session.page) == (Step.PLACE, 5)


def test_the_last_stroke_ends_the_job_and_photographs_nothing_more() -> None:
    session, _ = after(replace(STARTED, strokes=1), *PRESSED)
    assert session.step is Step.DONE
    closed, done = after(GrantClosed(cause="used_up"), EMPTY, STILL, session=session)
    assert (closed.step, done) == (Step.DONE, [])


def test_a_wrong_page_stops_and_another_page_is_tried() -> None:
    session, _ = after(STARTED, STILL, PhotoTaken(), WRONG)
    assert (session.step, session.code, session.text) == (Step.PROBLEM, "not_this_page", "This is another page.")
    assert after(STILL, session=session)[1] == []
    assert after(MOVING, STILL, session=session)[1] == [Do.CAPTURE]


@pytest.mark.parametrize(("returned", "left"), [(True, 2), (False, 1)])
def test_a_cancelled_stroke_costs_only_what_the_counter_says(*, returned: bool, left: int) -> None:
    cancelled = StrokeCancelled(cause="timed_out", returned=returned)
    session, _ = after(STARTED, STILL, MATCH, LatchFree(), cancelled)
    assert (session.step, session.code, session.strokes_left) == (Step.PROBLEM, "cancelled_timed_out", left)


def test_no_answer_from_headquarters_is_a_problem_not_an_unlock() -> None:
    session, _ = after(STARTED, STILL, PhotoTaken(), WentWrong(code="headquarters_unreachable", text="..."))
    assert (session.step, session.strokes_left) == (Step.PROBLEM, 2)


# Stop, unplug, power


def test_abort_locks_first_and_asks_why_second() -> None:
    session, done = after(STARTED, STILL, Aborted())
    assert (session, done) == (Session(stopped="Office lease"), [Do.CAPTURE, Do.RELOCK])
    assert after(ReasonGiven(), session=session)[0] == Session()


def test_a_job_that_is_done_is_left_without_a_reason() -> None:
    session, _ = after(replace(STARTED, strokes=1), *PRESSED, Aborted())
    assert session == Session()


def test_what_comes_after_an_abort_changes_nothing() -> None:
    session, done = after(STARTED, STILL, Aborted(), PhotoTaken(), MATCH, LatchFree(), STILL)
    assert (session, done) == (Session(stopped="Office lease"), [Do.CAPTURE, Do.RELOCK])


def test_unplugged_in_mid_stroke_goes_on_with_what_the_device_says_is_left() -> None:
    session, _ = after(STARTED, STILL, MATCH, LatchFree(), DeviceLost(text="unplugged"))
    assert session.step is Step.OFFLINE
    again, _ = after(DeviceBack(strokes_left=1), session=session)
    assert (again.step, again.strokes_left, again.request_id) == (Step.PLACE, 1, "r1")


def test_unplugged_while_leafing_goes_on_leafing() -> None:
    session, _ = after(replace(STARTED, sweep_pages=3), DeviceLost(text="unplugged"))
    assert after(DeviceBack(strokes_left=2, sweeping=True), session=session)[0].step is Step.SWEEP


@pytest.mark.parametrize(
    ("settled", "left", "photographed"),
    [("recovered", 1, "no"), ("unknown", 1, "unconfirmed"), ("aborted", 2, "")],
)
def test_a_power_cut_says_how_far_it_went_and_whether_the_last_imprint_has_its_photo(
    settled: str, left: int, photographed: str
) -> None:
    lost = (STARTED, STILL, MATCH, LatchFree(), DeviceLost(text="power"))
    session, _ = after(*lost, StrokeSettled(stroke=1, outcome=settled), DeviceBack(strokes_left=None))
    assert (session.step, session.code, session.busy) == (Step.PROBLEM, "closed_reboot", False)
    assert (session.strokes_left, session.photographed) == (left, photographed)


# Modes


def test_continuous_strokes_follow_each_other_without_paper_being_looked_at() -> None:
    plan = replace(PLAN, mode="continuous", page_check="none")
    session, done = after(replace(STARTED, plan=plan, strokes=3), STILL, LatchFree())
    assert (session.step, done) == (Step.READY, [])
    session, done = after(StrokeDone(stroke=1), LatchFree(), EMPTY, STILL, session=session)
    assert (session.step, session.strokes_left, done) == (Step.READY, 2, [])


def test_straddle_asks_for_the_cover_and_then_for_the_fan() -> None:
    started = replace(STARTED, plan=replace(PLAN, mode="straddle"))
    session, _ = after(started)
    assert (session.step, session.stage) == (Step.PLACE, "cover")
    session, _ = after(STILL, PhotoTaken(), replace(MATCH, stage="cover"), session=session)
    assert (session.step, session.stage) == (Step.PLACE, "fan")
    assert after(STILL, session=session)[1] == [], "the cover is not photographed again as the fan"
    session, done = after(MOVING, STILL, PhotoTaken(), replace(MATCH, stage="fan"), LatchFree(), session=session)
    assert (session.step, done) == (Step.READY, [Do.CAPTURE])


def test_pages_are_leafed_before_the_first_stroke() -> None:
    session, _ = after(replace(STARTED, sweep_pages=3))
    assert session.step is Step.SWEEP
    session, done = after(STILL, MOVING, STILL, MOVING, STILL, session=session)
    assert done == [Do.SWEEP] * 3
    seen = PageSwept(page=3, answer="match", seen=2, of=3, missing=(2,))
    session, done = after(seen, session=session)
    assert (session.step, session.missing, done) == (Step.SWEEP, (2,), [])
    session, done = after(replace(seen, page=2, seen=3, missing=()), session=session)
    assert done == [Do.END_SWEEP]
    assert after(SweepEnded(seen=2, expected=3), session=session)[0].step is Step.SWEEP
    assert after(SweepEnded(seen=3, expected=3), session=session)[0].step is Step.PLACE


# A doubtful page


def test_a_doubtful_page_waits_for_a_second_person_as_it_lies() -> None:
    session, _ = after(STARTED, STILL, PhotoTaken(), DOUBTFUL)
    assert (session.step, session.case_id, session.asked_ms) == (Step.ASKED, "c1", 7)
    session, done = after(STILL, CaseHeard(case_id="c1", state="waiting", by="Ana"), session=session)
    assert (session.step, session.asked, done) == (Step.ASKED, "Ana", [])


def test_anyway_brings_the_permit_and_no_stops_it() -> None:
    session, _ = after(STARTED, STILL, PhotoTaken(), DOUBTFUL)
    yes, _ = after(CaseHeard(case_id="c1", state="anyway"), LatchFree(), session=session)
    assert yes.step is Step.READY
    no, _ = after(CaseHeard(case_id="c1", state="no", reason="wrong amount"), session=session)
    assert (no.step, no.code, no.text) == (Step.PROBLEM, "second_person_no", "wrong amount")


def test_lifting_the_page_ends_its_case_and_a_late_answer_opens_nothing() -> None:
    session, _ = after(STARTED, STILL, PhotoTaken(), DOUBTFUL)
    session, done = after(MOVING, session=session)
    assert (session.step, session.case_id, done) == (Step.PLACE, "", [Do.DROP_CASE])
    assert after(CaseHeard(case_id="c1", state="anyway"), session=session)[0] == session


# A spoiled sheet


def test_a_faint_imprint_is_redone_on_a_spare_without_a_new_approval() -> None:
    session, _ = after(STARTED, *PRESSED, FAINT)
    assert (session.step, session.redo[0].page) == (Step.REDO, 2)
    session, done = after(RedoChosen(spoil=True), session=session)
    assert (session.step, done) == (Step.SPOIL, [Do.SPOIL]), "the sheet has not moved since its press"
    session, _ = after(SheetSpoiled(accepted=True), session=session)
    assert (session.step, session.owed, session.strokes_left) == (Step.PLACE, 1, 1)
    rest = (EMPTY, STILL, PhotoTaken(), MATCH, LatchFree(), StrokeDone(stroke=2))
    session, done = after(*rest, session=session)
    assert (session.step, done) == (Step.CONTINUE, [Do.CAPTURE, Do.CONTINUE]), "the spare follows without a tap"
    spare = Started(plan=replace(PLAN, pages=((2, 1),), spares_left=0), token_id=SPARE_TOKEN, strokes=1)
    session, done = after(GrantClosed(cause="used_up"), spare, EMPTY, STILL, session=session)
    assert (session.step, done, len(session.imprints)) == (Step.CHECKING, [Do.CAPTURE], 2)


def test_the_next_page_on_the_tray_is_never_cancelled_for_the_spoiled_one() -> None:
    session, _ = after(STARTED, *PRESSED, EMPTY, FAINT)
    session, done = after(STILL, RedoChosen(spoil=True), STILL, session=session)
    assert (session.step, done) == (Step.SPOIL, []), "what lies there now was laid before the question"
    assert after(EMPTY, STILL, session=session)[1] == [Do.SPOIL]


def test_nobody_is_asked_about_an_imprint_while_the_next_page_is_under_way() -> None:
    session, _ = after(STARTED, *PRESSED, EMPTY, STILL, PhotoTaken(), FAINT)
    assert session.step is Step.CHECKING
    session, _ = after(MATCH, LatchFree(), session=session)
    assert session.step is Step.READY
    session, _ = after(StrokeDone(stroke=2), session=session)
    assert session.step is Step.REDO


def test_another_sheet_than_the_spoiled_one_is_not_accepted() -> None:
    session, _ = after(STARTED, *PRESSED, FAINT, RedoChosen(spoil=True))
    session, done = after(SheetSpoiled(accepted=False, text="This is another sheet."), STILL, session=session)
    assert (session.step, session.text, done) == (Step.SPOIL, "This is another sheet.", [])


def test_a_faint_imprint_may_be_kept_and_without_a_spare_it_must() -> None:
    session, _ = after(STARTED, *PRESSED, FAINT, RedoChosen(spoil=False))
    assert (session.step, session.redo) == (Step.PLACE, ())
    poor = replace(STARTED, plan=replace(PLAN, spares_left=0))
    session, done = after(poor, *PRESSED, FAINT, RedoChosen(spoil=True))
    assert (session.step, done[1:]) == (Step.REDO, [])


def test_a_faint_last_imprint_is_found_after_the_job_seemed_done() -> None:
    session, _ = after(replace(STARTED, strokes=1), *PRESSED, GrantClosed(cause="used_up"), FAINT)
    assert session.step is Step.REDO
    session, done = after(RedoChosen(spoil=True), SheetSpoiled(accepted=True), session=session)
    assert (session.step, done) == (Step.CONTINUE, [Do.SPOIL, Do.CONTINUE])


# Alarm and service


def test_a_stroke_that_nobody_approved_stops_everything_until_it_is_explained() -> None:
    session, done = after(STARTED, ExtraStrokes(strokes=1), STILL, LatchFree())
    assert (session.alarm, session.step, done) == (1, Step.PLACE, [])
    session, _ = after(Aborted(), session=session)
    assert session.alarm == 1
    assert after(AlarmExplained(), session=session)[0].alarm == 0


def test_a_service_photographs_its_sample_sheet_once() -> None:
    session, done = after(ServiceBegun(kind="change_head", slot=1), EMPTY, STILL, STILL)
    assert (session.service, session.slot, done) == ("change_head", 1, [Do.SAMPLE])
    assert after(ServiceEnded(in_time=True), session=session)[0].service == ""
    assert after(ServiceEnded(in_time=False), session=session)[0].code == "service_timed_out"


# Whatever the order

facts = st.sampled_from(
    [
        STARTED,
        replace(STARTED, sweep_pages=2),
        replace(STARTED, plan=replace(PLAN, mode="continuous", page_check="none")),
        replace(STARTED, plan=replace(PLAN, mode="straddle")),
        STILL,
        MOVING,
        EMPTY,
        PhotoTaken(),
        MATCH,
        WRONG,
        DOUBTFUL,
        replace(MATCH, stage="cover"),
        CaseHeard(case_id="c1", state="anyway"),
        CaseHeard(case_id="c1", state="no"),
        PageSwept(page=1, answer="match", seen=2, of=2, missing=()),
        SweepEnded(seen=2, expected=2),
        LatchFree(),
        StrokeDone(stroke=1),
        StrokeDone(stroke=2),
        StrokeSettled(stroke=1, outcome="unknown"),
        StrokeCancelled(cause="page_moved", returned=False),
        FAINT,
        RedoChosen(spoil=True),
        RedoChosen(spoil=False),
        SheetSpoiled(accepted=True),
        SheetSpoiled(accepted=False),
        LabelsOwed(stickers=(Sticker(token_id=TOKEN, stroke=1, copy=1),)),
        LabelPrinted(token_id=TOKEN, stroke=1),
        LabelEnded(token_id=TOKEN, stroke=1, confirmed=True),
        GrantClosed(cause="by_keeper"),
        ExtraStrokes(strokes=1),
        AlarmExplained(),
        ReasonGiven(),
        ServiceBegun(kind="refill_ink", slot=1),
        ServiceEnded(in_time=False),
        WentWrong(code="x", text="y"),
        Aborted(),
        DeviceLost(text="z"),
        DeviceBack(strokes_left=1),
        DeviceBack(strokes_left=None),
    ]
)


@given(st.lists(facts, max_size=40))
def test_in_any_order_paper_is_only_photographed_for_what_is_under_way(order: list[Fact]) -> None:
    session = Session()
    for fact in order:
        before = session
        session, todo = advance(session, fact)
        if Do.CAPTURE in todo:
            assert before.busy
            assert before.strokes_left > 0
            assert fact == STILL
            assert not before.page_used
            assert not before.alarm
        if Do.SPOIL in todo:
            assert before.redo
            assert fact == STILL or before.sheet == before.redo[0].stroke
        if Do.SWEEP in todo or Do.LABEL in todo:
            assert before.step in (Step.SWEEP, Step.LABEL)
        if session.step is Step.READY:
            assert session.busy
        assert session.strokes_left >= 0
