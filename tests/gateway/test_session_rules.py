"""The keeper's session, rule by rule, and what holds for every order of facts."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.rules.session import (
    Aborted,
    DeviceBack,
    DeviceLost,
    Do,
    Fact,
    GrantClosed,
    LatchFree,
    PageJudged,
    PhotoTaken,
    Session,
    Started,
    Step,
    StrokeCancelled,
    StrokeDone,
    TrayChanged,
    WentWrong,
    advance,
)

STARTED = Started(request_id="r1", title="Office lease", strokes=2, page=2)
STILL = TrayChanged(present=True, still=True)
MOVING = TrayChanged(present=True, still=False)
EMPTY = TrayChanged(present=False, still=False)
MATCH = PageJudged(answer="match", reason="ok", page=2)
WRONG = PageJudged(answer="wrong", reason="not_this_page", page=2, text="This is another page.")


def after(*facts: Fact, session: Session | None = None) -> tuple[Session, list[Do]]:
    session, done = session or Session(), []
    for fact in facts:
        session, todo = advance(session, fact)
        done += todo
    return session, done


def test_a_stroke_needs_no_tap() -> None:
    session, done = after(STARTED, STILL, PhotoTaken(), MATCH, LatchFree())
    assert (session.step, done) == (Step.READY, [Do.CAPTURE])


def test_a_still_page_is_photographed_once() -> None:
    _session, done = after(STARTED, STILL, STILL, STILL)
    assert done == [Do.CAPTURE]


def test_the_stamped_page_is_not_photographed_again_until_it_moved() -> None:
    stamped, _ = after(STARTED, STILL, PhotoTaken(), MATCH, LatchFree(), StrokeDone(strokes_left=1))
    assert stamped.step is Step.STAMPED
    assert after(STILL, session=stamped)[1] == []
    session, done = after(EMPTY, STILL, session=stamped)
    assert done == [Do.CAPTURE]
    assert session.strokes_left == 1


def test_the_last_stroke_ends_the_job_and_photographs_nothing_more() -> None:
    session, _ = after(STARTED, STILL, MATCH, LatchFree(), StrokeDone(strokes_left=0))
    assert session.step is Step.DONE
    closed, done = after(GrantClosed(cause="used_up"), EMPTY, STILL, session=session)
    assert (closed.step, done) == (Step.DONE, [])


def test_a_wrong_page_stops_and_another_page_is_tried() -> None:
    session, _ = after(STARTED, STILL, PhotoTaken(), WRONG)
    assert (session.step, session.code, session.text) == (Step.PROBLEM, "not_this_page", "This is another page.")
    assert after(STILL, session=session)[1] == []
    assert after(MOVING, STILL, session=session)[1] == [Do.CAPTURE]


def test_a_cancelled_stroke_that_came_back_costs_nothing() -> None:
    session, _ = after(STARTED, STILL, MATCH, LatchFree(), StrokeCancelled(strokes_left=2, cause="timed_out"))
    assert (session.step, session.code, session.strokes_left) == (Step.PROBLEM, "cancelled_timed_out", 2)


def test_abort_locks_first() -> None:
    session, done = after(STARTED, STILL, Aborted())
    assert (session, done) == (Session(), [Do.CAPTURE, Do.RELOCK])


def test_what_comes_after_an_abort_changes_nothing() -> None:
    session, done = after(STARTED, STILL, Aborted(), PhotoTaken(), MATCH, LatchFree(), STILL)
    assert (session, done) == (Session(), [Do.CAPTURE, Do.RELOCK])


def test_unplugged_in_mid_stroke_goes_on_with_what_the_device_says_is_left() -> None:
    session, _ = after(STARTED, STILL, MATCH, LatchFree(), DeviceLost(text="unplugged"))
    assert session.step is Step.OFFLINE
    again, _ = after(DeviceBack(strokes_left=1), session=session)
    assert (again.step, again.strokes_left, again.request_id) == (Step.PLACE, 1, "r1")


def test_a_device_that_lost_its_grant_ends_the_job_with_a_reason() -> None:
    session, _ = after(STARTED, DeviceLost(text="unplugged"), DeviceBack(strokes_left=None))
    assert (session.step, session.code, session.busy) == (Step.PROBLEM, "closed_reboot", False)


def test_no_answer_from_headquarters_is_a_problem_not_an_unlock() -> None:
    session, _ = after(STARTED, STILL, PhotoTaken(), WentWrong(code="headquarters_unreachable", text="..."))
    assert (session.step, session.strokes_left) == (Step.PROBLEM, 2)


facts = st.sampled_from(
    [
        STARTED,
        STILL,
        MOVING,
        EMPTY,
        PhotoTaken(),
        MATCH,
        WRONG,
        LatchFree(),
        StrokeDone(strokes_left=1),
        StrokeDone(strokes_left=0),
        StrokeCancelled(strokes_left=1, cause="page_moved"),
        GrantClosed(cause="by_keeper"),
        WentWrong(code="x", text="y"),
        Aborted(),
        DeviceLost(text="z"),
        DeviceBack(strokes_left=1),
        DeviceBack(strokes_left=None),
    ]
)


@given(st.lists(facts, max_size=30))
def test_in_any_order_nothing_is_photographed_without_a_job(order: list[Fact]) -> None:
    session = Session()
    for fact in order:
        before = session
        session, todo = advance(session, fact)
        if Do.CAPTURE in todo:
            assert before.busy
            assert before.strokes_left > 0
            assert fact == STILL
        if session.step is Step.READY:
            assert session.busy
