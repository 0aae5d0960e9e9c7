"""Screens after the press: the imprint's photo, a spoiled sheet and its spare, the label, done. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from gateway.labels.label import Label
from gateway.rules.session import Step
from gateway.session_page.label_preview import preview
from gateway.session_page.screen import POSITION, Action, Picture, Screen
from gateway.session_page.translation import N_, Translate

Facts = Mapping[str, Any]
GRADES: Final = {
    "": N_("looking at the photo…"),
    "clear": N_("clear"),
    "faint": N_("faint"),
    "cut_off": N_("cut off"),
    "missing": N_("no imprint found"),
    "unclear": N_("a person looks at it"),
}
NO_RETAKE: Final = N_("The photo cannot be taken again: the device signed it with the press. It is kept as it is.")
"""seal/1 has one photo after a press, in its DONE (docs/protocol.md, "The count"); no message takes another."""


def stamped(session: Facts, _: Translate) -> Screen:
    left, total = int(session["strokes_left"]), int(session["strokes_total"])
    return Screen(
        step=Step.STAMPED,
        tone="good",
        position=POSITION[Step.STAMPED],
        title=_("Stamped"),
        text=_("Take this sheet away and lay the next one."),
        big=_("%(left)s left of %(all)s") % {"left": left, "all": total},
        lines=(str(session["title"]), *graded(session, _)[-1:]),
        pictures=_last_picture(session, _),
        abort=True,
        cue="stamped",
    )


def graded(session: Facts, _: Translate) -> list[str]:
    """One line per imprint: its page, and what its photo shows."""
    lines = []
    for imprint in session["imprints"]:
        word = _("cancelled") if imprint["cancelled"] else _(GRADES.get(str(imprint["grade"]), GRADES["unclear"]))
        page = int(imprint["page"])
        if page:
            lines.append(_("Imprint on page %(page)s: %(grade)s") % {"page": page, "grade": word})
        else:
            lines.append(_("Imprint %(n)s: %(grade)s") % {"n": imprint["stroke"], "grade": word})
    return lines


def _last_picture(session: Facts, _: Translate) -> tuple[Picture, ...]:
    return _picture_of(session["imprints"][-1], _) if session["imprints"] else ()


def _picture_of(imprint: Facts, _: Translate) -> tuple[Picture, ...]:
    caption = _("Photo of the imprint: %(grade)s") % {"grade": _(GRADES.get(str(imprint["grade"]), GRADES["unclear"]))}
    return (Picture(name=f"{imprint['token_id']}-{imprint['stroke']}", caption=caption),)


def redo(session: Facts, _: Translate) -> Screen:
    bad = session["redo"][0]
    titles = {
        "faint": _("The imprint on page %(n)s is faint"),
        "cut_off": _("The imprint on page %(n)s is cut off"),
        "missing": _("There is no imprint on page %(n)s"),
    }
    spares = int((session["plan"] or {}).get("spares_left", 0)) if session["spares_suffice"] else 0
    too_few = not spares and int((session["plan"] or {}).get("spares_left", 0))
    keep = Action(path="redo", text=_("Keep it: a person looks at it later"), name="spoil", value="")
    cancel = Action(path="redo", text=_("Cancel this sheet and take a spare"), name="spoil", value="1")
    text = (
        _("You may stamp a fresh print. The spoiled sheet is marked CANCELLED first; the approver hears of it later.")
        if spares
        else _("More imprints stand on this sheet than spares are left, so it stays. Whoever reviews it decides.")
        if too_few
        else _("No spare was approved for this job, so nothing can be stamped again. Whoever reviews it decides.")
    )
    return Screen(
        step=Step.REDO,
        tone="wait",
        position=POSITION[Step.REDO],
        title=titles.get(str(bad["grade"]), titles["faint"]) % {"n": bad["page"] or bad["stroke"]},
        text=text,
        lines=(*((str(bad["text"]),) if bad["text"] else ()), _(NO_RETAKE)),
        pictures=_picture_of(bad, _),
        primary=cancel if spares else keep,
        extra=(keep,) if spares else (),
        abort=bool(session["token_id"]),
        cue="alarm",
    )


def spoil(session: Facts, _: Translate, *, printer: str = "") -> Screen:
    bad = session["redo"][0] if session["redo"] else {"page": 0, "stroke": 0}
    here = int(session["sheet"]) == int(bad["stroke"]) and bool(bad["stroke"])
    if session["marker"]:
        return _spoil_with_label(session, bad, _, printer=printer)
    return Screen(
        step=Step.SPOIL,
        tone="wait",
        position=POSITION[Step.SPOIL],
        title=_("Leave the sheet on the tray") if here else _("Put the spoiled sheet back on the tray"),
        text=_("Page %(n)s: the device prints CANCELLED on it and photographs it.") % {"n": bad["page"]},
        lines=(str(session["text"]),) if session["text"] else (),
        extra=(Action(path="redo", text=_("Keep it: a person looks at it later"), name="spoil", value=""),),
        abort=bool(session["token_id"]),
        cue="spoil",
    )


def _spoil_with_label(session: Facts, bad: Facts, _: Translate, *, printer: str) -> Screen:
    """The device has no coder: CANCELLED comes out of the label printer."""
    printed = session["marker"] == "stick"
    trouble = str(session["text"])
    again = Action(path="redo", text=_("Print it again"), name="spoil", value="1")
    keep = Action(path="redo", text=_("Keep it: a person looks at it later"), name="spoil", value="")
    return Screen(
        step=Step.SPOIL,
        tone="wait",
        position=POSITION[Step.SPOIL],
        title=_("Stick the CANCELLED label beside the imprint") if printed else _("The label is being printed…"),
        text=_("Page %(n)s: then lay the spoiled sheet on the tray, and the device photographs it.")
        % {"n": bad["page"] or bad["stroke"]},
        lines=tuple(line for line in (str(bad["short"]), _printer(printer, _), trouble) if line),
        label=preview(_label(session, bad, number=int(bad["stroke"]), cancelled=True), _),
        primary=again if trouble and not printed else None,
        extra=(again, keep) if printed else (keep,),
        abort=bool(session["token_id"]),
        cue="spoil",
    )


def going_on(session: Facts, _: Translate) -> Screen:
    return Screen(
        step=Step.CONTINUE,
        tone="wait",
        position=POSITION[Step.CONTINUE],
        title=_("A spare is being prepared…"),
        text=_("Print the page again and lay the fresh print on the tray."),
        lines=(str(session["title"]), *graded(session, _)[-1:]),
        abort=True,
    )


def _printer(name: str, _: Translate) -> str:
    return _("Label printer: %(name)s") % {"name": name} if name else ""


def _label(session: Facts, of: Facts, *, number: int, imprints: int = 1, cancelled: bool = False) -> Label:
    """As gateway.sticking prints it. `of`: a sticker, or the imprint of a spoiled sheet."""
    return Label(
        device_id="",
        token_id=b"",
        stroke=number,
        url=str(of.get("url", "")),
        short_code=str(of["short"]),
        number=number,
        of=max(int(session["strokes_total"]), number),
        cancelled=cancelled,
        imprints=imprints,
    )


def label(session: Facts, _: Translate, *, printer: str = "") -> Screen:
    waiting = [sticker for sticker in session["stickers"] if sticker["state"] in ("print", "stick")]
    total = len(session["stickers"])
    number = total - len(waiting) + 1
    sticker: Facts = waiting[0] if waiting else {"state": "stick", "copy": total, "page": 0, "imprints": 1, "short": ""}
    printed = sticker["state"] == "stick"
    trouble = str(session["text"])
    imprints = int(sticker["imprints"])
    sheet = {"n": sticker["copy"], "page": sticker["page"]}
    lay = _("Then lay the sheet on the tray: the device photographs it with its label.")
    where = _("Copy %(n)s, page %(page)s.") % sheet if sticker["page"] else _("Copy %(n)s.") % sheet
    stands_for = _("This one label stands for all %(n)s imprints on this sheet.") % {"n": imprints}
    again = Action(path="label", text=_("Print it again"), name="step", value="print")
    return Screen(
        step=Step.LABEL,
        tone="wait" if trouble else "plain",
        position=POSITION[Step.LABEL],
        title=_("Stick the label beside the imprint") if printed else _("The label is being printed…"),
        text=f"{where} {lay}",
        big=_("Label %(n)s of %(all)s") % {"n": min(number, total), "all": total},
        lines=tuple(
            line
            for line in (str(sticker["short"]), stands_for if imprints > 1 else "", _printer(printer, _), trouble)
            if line
        ),
        label=preview(_label(session, sticker, number=int(sticker.get("stroke", 1)), imprints=imprints), _),
        primary=again if trouble and not printed else None,
        extra=(
            *((again,) if printed else ()),
            Action(path="label", text=_("Go on without the label: it stays in the list"), name="step", value="leave"),
        ),
        cue="label",
    )


def done(session: Facts, _: Translate) -> Screen:
    unlabelled = sum(sticker["state"] == "unconfirmed" for sticker in session["stickers"])
    short = str((session["plan"] or {}).get("short", ""))
    lines = graded(session, _)[-4:]
    if short:
        lines.append(_("Filed as %(number)s") % {"number": short})
    if any(imprint["grade"] == "unclear" for imprint in session["imprints"]):
        lines.append(_(NO_RETAKE))
    if unlabelled:
        lines.append(_("Stamped, label missing: %(n)s") % {"n": unlabelled})
    return Screen(
        step=Step.DONE,
        tone="wait" if unlabelled else "good",
        position=POSITION[Step.DONE],
        title=_("Done"),
        text=_("%(title)s is stamped. Take the paper away.") % {"title": session["title"]},
        big="✓" if not unlabelled else "!",
        lines=tuple(lines),
        primary=Action(path="abort", text=_("Next job")),
        cue="done",
    )
