"""The keeper's session at one device, as rules: facts in, a new session and the things to do out. No I/O.

Within a job nothing is tapped: still page -> photo -> permit -> unlock -> press -> photo -> next. Whatever goes wrong,
the device is locked by itself; the session only says so and waits for a page. `paper` holds the rules before the
press, `aftermath` those after it.
"""

from dataclasses import replace

from gateway.rules import aftermath, facts, paper
from gateway.rules.facts import Do, Fact
from gateway.rules.paper import Answer
from gateway.rules.state import Imprint, Plan, Session, Step, Sticker, blank, next_page, problem

__all__ = ["Answer", "Do", "Fact", "Imprint", "Plan", "Session", "Step", "Sticker", "advance", "facts"]

_ALWAYS = (
    facts.Started
    | facts.TrayChanged
    | facts.Aborted
    | facts.DeviceLost
    | facts.DeviceBack
    | facts.ExtraStrokes
    | facts.AlarmExplained
    | facts.ReasonGiven
    | facts.ServiceBegun
    | facts.ServiceEnded
)
"""Facts that mean something without a job, too."""


def advance(session: Session, fact: Fact) -> Answer:  # noqa: PLR0911, C901 - one line per kind of fact
    """The session after `fact`, and what to do. What comes late for a job that is gone changes nothing."""
    if not session.busy and not isinstance(fact, _ALWAYS):
        return session, ()
    match fact:
        case facts.TrayChanged():
            return paper.tray(session, fact) if session.busy or session.service else (session, ())
        case facts.PhotoTaken():
            return replace(session, step=Step.CHECKING, page_used=True), ()
        case facts.PageJudged():
            return aftermath.ask_if_calm(paper.judged(session, fact))
        case facts.CaseHeard():
            return aftermath.ask_if_calm(paper.case_heard(session, fact))
        case facts.CaseReminded():
            return paper.case_reminded(session, fact), ()
        case facts.PageSwept():
            return paper.swept(session, fact)
        case facts.SweepEnded():
            return paper.sweep_ended(session, fact), ()
        case facts.LatchFree():
            return paper.latch_free(session), ()
        case facts.WentWrong(code=code, text=text):
            return _went_wrong(session, code, text)
        case facts.DeviceBack():
            return _back(session, fact)
        case _:
            return _after_the_press(session, fact)


def _after_the_press(session: Session, fact: Fact) -> Answer:  # noqa: PLR0911, C901 - one line per kind of fact
    match fact:
        case facts.StrokeDone():
            return aftermath.stroke_done(session, fact)
        case facts.StrokeSettled():
            return aftermath.stroke_settled(session, fact), ()
        case facts.StrokeCancelled():
            return aftermath.ask_if_calm(aftermath.stroke_cancelled(session, fact))
        case facts.ImprintJudged():
            return aftermath.imprint_judged(session, fact)
        case facts.RedoChosen():
            return aftermath.redo_chosen(session, fact)
        case facts.CancelLabelPrinted():
            return aftermath.cancel_label_printed(session), ()
        case facts.SheetSpoiled():
            return aftermath.sheet_spoiled(session, fact)
        case facts.LabelsOwed():
            return aftermath.labels_owed(session, fact)
        case facts.LabelPrinted():
            return aftermath.label_printed(session, fact), ()
        case facts.LabelEnded():
            return aftermath.label_ended(session, fact)
        case facts.GrantClosed():
            return aftermath.closed(session, fact), ()
        case _:
            return _beside_the_job(session, fact), (Do.RELOCK,) if isinstance(fact, facts.Aborted) else ()


def _beside_the_job(session: Session, fact: Fact) -> Session:  # noqa: PLR0911 - one line per kind of fact
    match fact:
        case facts.Started():
            return _started(session, fact)
        case facts.Aborted():
            return aftermath.aborted(session)
        case facts.ReasonGiven():
            return replace(session, stopped="")
        case facts.ExtraStrokes(strokes=strokes):
            return replace(session, alarm=session.alarm + strokes)
        case facts.AlarmExplained():
            return replace(session, alarm=0)
        case facts.ServiceBegun(kind=kind, slot=slot):
            return replace(session, service=kind, slot=slot, page_used=True)
        case facts.ServiceEnded(in_time=in_time):
            over = replace(session, service="", slot=0)
            return over if in_time else problem(over, "service_timed_out", "")
        case facts.DeviceLost(text=text):
            return replace(session, step=Step.OFFLINE, code="device_unreachable", text=text, case_id="")
        case _:
            return session


def _started(session: Session, fact: facts.Started) -> Session:
    """A new grant; for a spare the job's imprints and labels stay."""
    first = fact.plan.pages[0][0] if fact.plan.pages else 0
    same = session.plan is not None and session.step is Step.CONTINUE
    return replace(
        blank(session),
        step=Step.SWEEP if fact.sweep_pages else Step.PLACE,
        plan=fact.plan,
        token_id=fact.token_id,
        strokes_total=fact.strokes,
        strokes_left=fact.strokes,
        until_ms=fact.until_ms,
        page=first,
        stage="cover" if fact.plan.mode == "straddle" else "",
        of=fact.sweep_pages,
        imprints=session.imprints if same else (),
        stickers=session.stickers if same else (),
        page_used=session.page_used if same else False,
    )


def _went_wrong(session: Session, code: str, text: str) -> Answer:
    """The step is taken again when its paper moved; a spare that cannot be fetched ends the job for now."""
    match session.step:
        case Step.SWEEP | Step.SPOIL | Step.LABEL:
            return replace(session, code=code, text=text), ()
        case Step.CONTINUE:
            return replace(problem(session, code, text), token_id=""), ()
        case Step.DONE | Step.REDO | Step.READY:
            return session, ()
        case _:
            return aftermath.ask_if_calm(problem(session, code, text))


def _back(session: Session, fact: facts.DeviceBack) -> Answer:
    if session.plan is None:
        return blank(session), ()
    left = fact.strokes_left
    if left is None and session.strokes_left == 0 and session.photographed == "yes":
        return aftermath.finished(replace(session, token_id=""))
    if left is None:
        return replace(problem(session, "closed_reboot", ""), token_id=""), ()
    back = replace(session, strokes_left=left, page_used=False, sheet=0, code="", text="")
    step = Step.SWEEP if fact.sweeping else Step.PLACE
    return aftermath.ask_if_calm(replace(back, step=step, page=next_page(back)))
