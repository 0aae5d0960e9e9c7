"""Before the press: what lies on the tray, what headquarters says about it, and when the latch is free.

1. A page that came to lie still since the last stroke is photographed once.
2. Only headquarters' match, or a second person's signed "anyway", brings a permit. Anything else stops with both
   choices open: lay another page, or stop.
3. A case is about one photo of one page as it lies: lifting the page ends it.
4. Straddle: the cover must agree before the fan is photographed. Sweep: every page is leafed before the first stroke.
"""

from dataclasses import replace
from typing import Final, TypeAlias

from gateway.rules.facts import CaseHeard, CaseReminded, Do, PageJudged, PageSwept, SweepEnded, TrayChanged
from gateway.rules.state import Session, Step, next_page, problem

Answer: TypeAlias = tuple[Session, tuple[Do, ...]]

WAITING: Final = {
    Step.PLACE: Do.CAPTURE,
    Step.STAMPED: Do.CAPTURE,
    Step.PROBLEM: Do.CAPTURE,
    Step.SWEEP: Do.SWEEP,
    Step.SPOIL: Do.SPOIL,
    Step.LABEL: Do.LABEL,
}
"""Steps that wait for paper, and what a page that lies still there is for."""


def tray(session: Session, fact: TrayChanged) -> Answer:
    if session.service:
        return _service_tray(session, fact)
    if not (fact.present and fact.still):
        return _moved(session, present=fact.present)
    todo = WAITING.get(session.step)
    if todo is None or session.page_used or session.alarm or session.continuous or not _wanted(session, todo):
        return session, ()
    step = Step.CHECKING if todo is Do.CAPTURE else session.step
    return replace(session, step=step, page_used=True), (todo,)


def _wanted(session: Session, todo: Do) -> bool:
    if todo is Do.LABEL:
        return any(sticker.state == "stick" for sticker in session.stickers)
    if todo is Do.SPOIL:
        return session.marker != "print"
    return todo is not Do.CAPTURE or session.strokes_left > 0


def _service_tray(session: Session, fact: TrayChanged) -> Answer:
    if not (fact.present and fact.still):
        return replace(session, page_used=False), ()
    return (session, ()) if session.page_used else (replace(session, page_used=True), (Do.SAMPLE,))


def _moved(session: Session, *, present: bool) -> Answer:
    moved = replace(session, page_used=False, sheet=0)
    if session.step is Step.ASKED:
        return replace(moved, step=Step.PLACE, case_id="", asked="", asked_ms=0, differences=()), (Do.DROP_CASE,)
    if session.step is Step.STAMPED and not present and not session.continuous:
        return replace(moved, step=Step.PLACE, page=next_page(session)), ()
    return moved, ()


def judged(session: Session, fact: PageJudged) -> Session:
    if fact.case_id:
        return replace(
            session,
            step=Step.ASKED,
            code=fact.reason,
            text=fact.text,
            page=fact.page,
            differences=fact.differences,
            case_id=fact.case_id,
            asked_ms=fact.at_ms,
            reminded=None,
        )
    if fact.answer != "match":
        return replace(problem(session, fact.reason, fact.text), differences=fact.differences, page=fact.page)
    agreed = replace(session, page=fact.page, code="", text="", differences=())
    if fact.stage == "cover":
        return replace(agreed, step=Step.PLACE, stage="fan", page_used=True)
    return agreed


def case_heard(session: Session, fact: CaseHeard) -> Session:
    """What the second person says. "anyway" only brings the permit; the latch is free when the device says so."""
    if session.step is not Step.ASKED or fact.case_id != session.case_id:
        return session
    match fact.state:
        case "waiting":
            return replace(session, asked=fact.by or session.asked)
        case "anyway":
            return replace(session, step=Step.CHECKING, case_id="", asked=fact.by, differences=())
        case "no":
            return replace(problem(session, "second_person_no", fact.reason), asked=fact.by)
        case _:
            return problem(session, "case_over", fact.reason)


def case_reminded(session: Session, fact: CaseReminded) -> Session:
    if session.step is not Step.ASKED or fact.case_id != session.case_id:
        return session
    return replace(session, reminded=fact.names)


def swept(session: Session, fact: PageSwept) -> Answer:
    if session.step is not Step.SWEEP:
        return session, ()
    counted = replace(
        session,
        page=fact.page,
        seen=fact.seen,
        of=fact.of,
        missing=fact.missing,
        code="" if fact.answer == "match" else "leaf_again",
        text="" if fact.answer == "match" else fact.text,
    )
    return counted, () if fact.missing or fact.seen < fact.of else (Do.END_SWEEP,)


def sweep_ended(session: Session, fact: SweepEnded) -> Session:
    if session.step is not Step.SWEEP or fact.seen < fact.expected:
        return session
    return replace(session, step=Step.PLACE, code="", text="", missing=(), page=next_page(session), page_used=True)


def latch_free(session: Session) -> Session:
    """The device says so itself, also where no permit is asked for (page check after, or none)."""
    free = (Step.PLACE, Step.CHECKING, Step.ASKED, Step.STAMPED) if session.continuous else (Step.PLACE, Step.CHECKING)
    if session.step not in free or session.alarm:
        return session
    return replace(session, step=Step.READY, code="", text="")
