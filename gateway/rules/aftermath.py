"""After the press: the count, the imprint's photo, a spoiled sheet and its spare, labels, and the end of the job.

1. A faint, cut-off or missing imprint is the keeper's own to repair while a spare is left: cancel that sheet, take a
   spare. Nobody is asked while a page is being checked or the latch is free.
2. A sheet is cancelled only if it is the one that was just stamped and did not move, or was laid for it afterwards.
   Without a coder a label says CANCELLED: it is printed first, and the sheet is laid with it.
3. Spares are stamped after the rest of the grant, under a new token that is fetched without a tap.
4. Without a coder each sheet with an imprint gets one label after its last one; a label that is not confirmed by its
   photo stays "stamped, label missing".
5. A cancelled sheet takes every imprint on it along, and its label: so many spares must be left.
"""

from dataclasses import replace
from typing import TypeAlias

from gateway.rules.facts import (
    Do,
    GrantClosed,
    ImprintJudged,
    LabelEnded,
    LabelPrinted,
    LabelsOwed,
    RedoChosen,
    SheetSpoiled,
    StrokeCancelled,
    StrokeDone,
    StrokeSettled,
)
from gateway.rules.state import BAD_GRADES, CALM, Imprint, Session, Step, Sticker, blank, next_page, problem

Answer: TypeAlias = tuple[Session, tuple[Do, ...]]


def stroke_done(session: Session, fact: StrokeDone) -> Answer:
    page = _page_of(session, fact.stroke)
    copy = session.plan.sheet(fact.stroke)[1] if session.plan else 1
    imprint = Imprint(
        token_id=session.token_id, stroke=fact.stroke, page=page, copy=copy, url=fact.url, short=fact.short
    )
    done = replace(
        session,
        step=Step.STAMPED,
        strokes_left=max(0, session.strokes_left - 1),
        imprints=(*session.imprints, imprint),
        photographed="yes",
        page_used=True,
        sheet=fact.stroke,
        stage="cover" if session.stage else "",
    )
    return finished(done) if done.strokes_left == 0 else ask_if_calm(done)


def _page_of(session: Session, stroke: int) -> int:
    return (session.plan.sheet(stroke)[0] if session.plan else 0) or session.page


def stroke_settled(session: Session, fact: StrokeSettled) -> Session:
    """The device found out after a power cut."""
    if fact.outcome == "aborted":
        return session
    said = "no" if fact.outcome == "recovered" else "unconfirmed"
    return replace(session, strokes_left=max(0, session.strokes_left - 1), photographed=said)


def stroke_cancelled(session: Session, fact: StrokeCancelled) -> Session:
    left = session.strokes_left if fact.returned else max(0, session.strokes_left - 1)
    return problem(replace(session, strokes_left=left), f"cancelled_{fact.cause}", "")


def finished(session: Session) -> Answer:
    """No stroke of the grant is left: decide about bad imprints, then spares, then labels, then done."""
    asked, todo = ask_if_calm(replace(session, step=Step.DONE))
    if asked.step is Step.REDO:
        return asked, todo
    if session.owed:
        return replace(session, step=Step.CONTINUE, owed=0), (Do.CONTINUE,)
    return label_or_done(session)


def label_or_done(session: Session) -> Answer:
    """`session` has stamped all it may: the next label is printed, or the job is done."""
    pending = next((sticker for sticker in session.stickers if sticker.state in ("print", "stick")), None)
    if pending is None:
        return replace(session, step=Step.DONE), ()
    return replace(session, step=Step.LABEL, page_used=True), (Do.PRINT,) if pending.state == "print" else ()


def imprint_judged(session: Session, fact: ImprintJudged) -> Answer:
    """The photo of a stroke of this job was looked at."""
    known = next((i for i in session.imprints if (i.token_id, i.stroke) == (fact.token_id, fact.stroke)), None)
    if known is None or known.grade:
        return session, ()
    seen = replace(known, grade=fact.grade, text=fact.text)
    imprints = tuple(seen if imprint is known else imprint for imprint in session.imprints)
    redo = (*session.redo, seen) if fact.grade in BAD_GRADES else session.redo
    return ask_if_calm(replace(session, imprints=imprints, redo=redo))


def ask_if_calm(session: Session) -> Answer:
    if session.redo and session.step in CALM and session.busy:
        return replace(session, step=Step.REDO, code="", text=""), ()
    return session, ()


def redo_chosen(session: Session, fact: RedoChosen) -> Answer:
    if session.step not in (Step.REDO, Step.SPOIL) or not session.redo:
        return session, ()
    if not fact.spoil:
        return _go_on(replace(session, redo=session.redo[1:], marker=""))
    if not session.spares_suffice:
        return session, ()
    if fact.by_label:
        printing = replace(session, step=Step.SPOIL, page_used=True, text="", marker="print")
        return printing, (Do.PRINT_CANCELLED,)
    if session.sheet == session.redo[0].stroke and session.redo[0].token_id == session.imprints[-1].token_id:
        return replace(session, step=Step.SPOIL, page_used=True), (Do.SPOIL,)
    return replace(session, step=Step.SPOIL, page_used=True, text=""), ()


def cancel_label_printed(session: Session) -> Session:
    """It is stuck on by hand: the sheet counts once it was lifted and lies still again."""
    if session.step is not Step.SPOIL or not session.marker:
        return session
    return replace(session, marker="stick", page_used=True, sheet=0, code="", text="")


def sheet_spoiled(session: Session, fact: SheetSpoiled) -> Answer:
    if session.step is not Step.SPOIL or not session.redo or session.plan is None:
        return session, ()
    if not fact.accepted:
        return replace(session, text=fact.text, page_used=True, sheet=0), ()
    bad = session.redo[0]
    gone = {(i.token_id, i.stroke) for i in (bad, *session.on_sheet_of(bad))}
    imprints = tuple(replace(i, cancelled=True) if (i.token_id, i.stroke) in gone else i for i in session.imprints)
    plan = replace(session.plan, spares_left=max(0, session.plan.spares_left - len(gone)))
    stickers = tuple(s for s in session.stickers if (s.token_id, s.stroke) not in gone)
    return _go_on(
        replace(
            session,
            plan=plan,
            imprints=imprints,
            redo=tuple(i for i in session.redo if (i.token_id, i.stroke) not in gone),
            marker="",
            owed=session.owed + 1,
            stickers=stickers,
            page_used=True,
            sheet=0,
        )
    )


def _go_on(session: Session) -> Answer:
    if session.strokes_left == 0 or not session.token_id:
        return finished(session)
    return ask_if_calm(replace(session, step=Step.PLACE, text="", code="", page=next_page(session)))


def labels_owed(session: Session, fact: LabelsOwed) -> Answer:
    """A label that is not printed yet gives way to one for a later imprint on the same sheet, as after a spare."""
    known = {(sticker.token_id, sticker.stroke) for sticker in session.stickers}
    fresh = tuple(sticker for sticker in fact.stickers if (sticker.token_id, sticker.stroke) not in known)
    sheets = {(sticker.page, sticker.copy) for sticker in fresh}
    kept = tuple(s for s in session.stickers if s.state != "print" or (s.page, s.copy) not in sheets)
    owing = replace(session, stickers=(*kept, *fresh))
    return label_or_done(owing) if session.step is Step.DONE else (owing, ())


def label_printed(session: Session, fact: LabelPrinted) -> Session:
    return replace(session, stickers=_with(session, fact, "stick", ""), page_used=True, code="", text="")


def label_ended(session: Session, fact: LabelEnded) -> Answer:
    state = "stuck" if fact.confirmed else "unconfirmed"
    ended = replace(session, stickers=_with(session, fact, state, fact.text), code="", text="")
    return label_or_done(ended) if session.step is Step.LABEL else (ended, ())


def _with(session: Session, about: LabelPrinted | LabelEnded, state: str, text: str) -> tuple[Sticker, ...]:
    which = (about.token_id, about.stroke)
    return tuple(
        replace(sticker, state=state, text=text)
        if (sticker.token_id, sticker.stroke) == which and sticker.state in ("print", "stick")
        else sticker
        for sticker in session.stickers
    )


def closed(session: Session, fact: GrantClosed) -> Session:
    ended = replace(session, token_id="", until_ms=0, case_id="")
    if session.strokes_left == 0 or session.step in (Step.DONE, Step.REDO, Step.SPOIL, Step.LABEL, Step.CONTINUE):
        return ended
    return problem(ended, f"closed_{fact.cause}", "")


def aborted(session: Session) -> Session:
    """Locked first; why is asked afterwards."""
    over = session.step is Step.DONE or not session.busy
    return replace(blank(session), stopped="" if over else session.title)
