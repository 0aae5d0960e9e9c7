"""Labels of a device without a coder in the rules of the session: one a sheet, after its last imprint."""

from dataclasses import replace

from gateway.rules.facts import (
    LabelEnded,
    LabelPrinted,
    LabelsOwed,
    LatchFree,
    PhotoTaken,
    RedoChosen,
    SheetSpoiled,
    StrokeDone,
    WentWrong,
)
from gateway.rules.session import Do, Step, Sticker
from tests.gateway.test_session_rules import EMPTY, FAINT, MATCH, PLAN, PRESSED, STARTED, STILL, TOKEN, after


def test_each_label_is_printed_stuck_and_photographed_after_the_strokes() -> None:
    stickers = (Sticker(token_id=TOKEN, stroke=1, copy=1),)
    session, _ = after(
        replace(STARTED, strokes=1), STILL, PhotoTaken(), MATCH, LatchFree(), LabelsOwed(stickers=stickers)
    )
    session, done = after(StrokeDone(stroke=1), session=session)
    assert (session.step, done) == (Step.LABEL, [Do.PRINT])
    assert after(EMPTY, STILL, session=session)[1] == [], "there is no label to photograph yet"
    session, done = after(LabelPrinted(token_id=TOKEN, stroke=1), EMPTY, STILL, session=session)
    assert done == [Do.LABEL]
    assert after(LabelEnded(token_id=TOKEN, stroke=1, confirmed=True), session=session)[0].step is Step.DONE


def test_a_bad_imprint_is_asked_about_before_its_label_is_stuck_on() -> None:
    stickers = (Sticker(token_id=TOKEN, stroke=1, copy=1),)
    pressed = (replace(STARTED, strokes=1), STILL, PhotoTaken(), MATCH, LatchFree(), LabelsOwed(stickers=stickers))
    session, _ = after(*pressed, StrokeDone(stroke=1), LabelPrinted(token_id=TOKEN, stroke=1), FAINT)
    assert session.step is Step.REDO
    assert after(RedoChosen(spoil=False), session=session)[0].step is Step.LABEL
    spoiled, done = after(RedoChosen(spoil=True), SheetSpoiled(accepted=True), session=session)
    assert (spoiled.step, spoiled.stickers, done) == (Step.CONTINUE, (), [Do.SPOIL, Do.CONTINUE])


def test_a_cancelled_sheet_takes_every_imprint_on_it_and_as_many_spares() -> None:
    sheet = replace(PLAN, pages=((1, 1), (1, 1)), spares_left=1)
    two = (STARTED, *PRESSED, StrokeDone(stroke=2))
    second = replace(FAINT, stroke=2)
    session, _ = after(replace(STARTED, plan=sheet, strokes=2), *two[1:], second)
    assert (session.step, session.spares_suffice) == (Step.REDO, False)
    assert after(RedoChosen(spoil=True), session=session)[0].step is Step.REDO, "one spare for two imprints"
    enough = replace(STARTED, plan=replace(sheet, spares_left=2), strokes=2)
    owed = LabelsOwed(stickers=(Sticker(token_id=TOKEN, stroke=2, copy=1, page=1, imprints=2),))
    session, _ = after(enough, *PRESSED, owed, StrokeDone(stroke=2), second, RedoChosen(spoil=True))
    session, done = after(SheetSpoiled(accepted=True), session=session)
    assert [imprint.cancelled for imprint in session.imprints] == [True, True]
    assert (session.stickers, session.step, done[-1]) == ((), Step.CONTINUE, Do.CONTINUE)
    assert session.plan is not None
    assert session.plan.spares_left == 0


def test_a_label_not_printed_yet_gives_way_to_one_for_a_later_imprint_on_the_sheet() -> None:
    early = Sticker(token_id=TOKEN, stroke=1, copy=1, page=1)
    other = Sticker(token_id=TOKEN, stroke=2, copy=1, page=2)
    late = Sticker(token_id="bb" * 16, stroke=1, copy=1, page=1, imprints=2)
    session, _ = after(STARTED, LabelsOwed(stickers=(early, other)), LabelsOwed(stickers=(late,)))
    assert session.stickers == (other, late)
    session, _ = after(STARTED, LabelsOwed(stickers=(replace(early, state="stick"),)), LabelsOwed(stickers=(late,)))
    assert len(session.stickers) == 2, "what is printed is not forgotten"


def test_a_label_that_cannot_be_printed_leaves_the_job_stamped_label_missing() -> None:
    stickers = (Sticker(token_id=TOKEN, stroke=1, copy=1),)
    started = (replace(STARTED, strokes=1), STILL, PhotoTaken(), MATCH, LatchFree(), LabelsOwed(stickers=stickers))
    session, _ = after(*started, StrokeDone(stroke=1), WentWrong(code="out_of_labels", text="No labels."))
    assert (session.step, session.text) == (Step.LABEL, "No labels.")
    session, _ = after(LabelEnded(token_id=TOKEN, stroke=1, confirmed=False), session=session)
    assert (session.step, session.stickers[0].state) == (Step.DONE, "unconfirmed")
