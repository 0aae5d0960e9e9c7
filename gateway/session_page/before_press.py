"""Screens before the press: lay the page, leaf through, compare, ask a second person, press. Pure."""

from collections.abc import Mapping
from typing import Any

from gateway.rules.session import Step
from gateway.session_page import problems
from gateway.session_page.screen import POSITION, Action, Difference, Picture, Screen
from gateway.session_page.translation import Translate

Facts = Mapping[str, Any]


def count(session: Facts, _: Translate) -> str:
    total, left = int(session["strokes_total"]), int(session["strokes_left"])
    return _("Imprint %(n)s of %(all)s") % {"n": min(total - left + 1, total), "all": total}


def mode_lines(session: Facts, _: Translate) -> tuple[str, ...]:
    """The job's title, and what is special about this way of stamping."""
    plan = session["plan"] or {}
    lines = [str(session["title"])]
    if plan.get("page_check", "before") != "before":
        lines.append(_("The page is not checked before the press. A person looks at every photo afterwards."))
    if plan.get("bound"):
        lines.append(_("Bound volume: hold it open and flat. A slight curl does not matter."))
    return tuple(lines)


def place(session: Facts, _: Translate) -> Screen:
    plan = session["plan"] or {}
    page = int(session["page"])
    text = _("Take your hand away; the rest happens by itself.")
    if session["stage"] == "cover":
        title = _("Lay the cover on the tray: page %(n)s") % {"n": page or 1}
        text = _("First the cover is compared, then the fanned edges are stamped.")
    elif session["stage"] == "fan":
        title = _("Fan out the pages under the seal")
        text = _("The cover agrees. Fan the pages so that the seal goes over every edge, and take your hand away.")
    elif plan.get("mode") == "continuous":
        title = _("Lay the first sheet on the tray")
    elif _same_sheet(session):
        title = _("The same sheet again: page %(n)s") % {"n": page}
        text = _("Move it so that the next place lies under the seal, and take your hand away.")
    else:
        title = _("Lay page %(n)s on the tray") % {"n": page} if page else _("Lay the page on the tray")
    return _working(session, Step.PLACE, "plain", title, text, _)


def _same_sheet(session: Facts) -> bool:
    pages = list((session["plan"] or {}).get("pages", ()))
    at = int(session["strokes_total"]) - int(session["strokes_left"])
    return 0 < at < len(pages) and tuple(pages[at]) == tuple(pages[at - 1])


def sweep(session: Facts, _: Translate) -> Screen:
    seen, of, missing = int(session["seen"]), int(session["of"]), [int(page) for page in session["missing"]]
    title = _("Leaf through: page %(n)s of %(all)s") % {"n": min(seen + 1, of), "all": of}
    lines = list(mode_lines(session, _))
    if session["text"]:
        lines.append(str(session["text"]))
    if seen and 0 < len(missing) <= 8:
        named = ", ".join(str(page) for page in missing)
        lines.append(_("Still missing: %(pages)s") % {"pages": named})
    return Screen(
        step=Step.SWEEP,
        tone="wait" if session["code"] else "plain",
        position=POSITION[Step.SWEEP],
        title=title,
        text=_("Turn page by page under the camera. Each is photographed as soon as it lies still."),
        big=_("%(n)s of %(all)s seen") % {"n": seen, "all": of},
        lines=tuple(lines),
        abort=True,
        cue=f"leaf-{seen}",
    )


def checking(session: Facts, _: Translate) -> Screen:
    return _working(session, Step.CHECKING, "wait", _("Comparing the page…"), _("Do not touch the page."), _)


def ready(session: Facts, _: Translate) -> Screen:
    if (session["plan"] or {}).get("mode") == "continuous":
        left = int(session["strokes_left"])
        return Screen(
            step=Step.READY,
            tone="go",
            position=POSITION[Step.READY],
            title=_("Press"),
            text=_("Sheet after sheet, until none is left. Stop locks the device."),
            big=_("%(n)s imprints left") % {"n": left},
            lines=mode_lines(session, _),
            abort=True,
            cue=f"go-{left}",
        )
    text = _("One press is free. The device locks again by itself.")
    return _working(session, Step.READY, "go", _("Press now"), text, _, cue="go")


def asked(session: Facts, _: Translate, *, now_ms: int, trouble: str = "") -> Screen:
    happened, _safe, _after = problems.sentences(str(session["code"]))
    who = str(session["asked"])
    said = str(session["text"])
    known = problems.known(str(session["code"]))
    return Screen(
        step=Step.ASKED,
        tone="wait",
        position=POSITION[Step.ASKED],
        title=_("Asked %(name)s") % {"name": who} if who else _("A second person was asked"),
        text=_("Leave the page as it lies. If you lift it, the question ends and you may lay another page."),
        big=count(session, _),
        lines=(_(happened) if known or not said else said, *_reminded(session, _), *((trouble,) if trouble else ())),
        extra=(Action(path="remind", text=_("Remind them")),) if session["reminded"] is None else (),
        differences=differences(session, _),
        pictures=(Picture(name="page", caption=_("The page as the device sees it")),),
        waited_s=max(0, (now_ms - int(session["asked_ms"])) // 1000),
        abort=True,
        cue="asked",
    )


def _reminded(session: Facts, _: Translate) -> tuple[str, ...]:
    """Headquarters passes a reminder on once."""
    names = session["reminded"]
    if names is None:
        return ()
    if not names:
        return (_("There is nobody else who may answer. Stop the job, or lay another page."),)
    return (_("Reminded: %(names)s. They see it when they look at their inbox.") % {"names": ", ".join(names)},)


def problem(session: Facts, _: Translate) -> Screen:
    code = str(session["code"])
    happened, safe, after = problems.sentences(code)
    said = str(session["text"])
    lines = [said] if said and (not problems.known(code) or code in ("second_person_no", "case_over")) else []
    if code == "closed_reboot":
        lines += stopped_at(session, _)
    return Screen(
        step=Step.PROBLEM,
        tone="bad",
        position=POSITION[Step.PROBLEM],
        title=_(happened),
        text=f"{_(safe)} {_(after)}",
        lines=tuple(lines),
        differences=differences(session, _),
        pictures=(Picture(name="page", caption=_("The page as the device sees it")),) if session["differences"] else (),
        primary=None if session["busy"] else Action(path="abort", text=_("To the list of jobs")),
        abort=bool(session["busy"]),
        cue="alarm",
    )


def stopped_at(session: Facts, _: Translate) -> list[str]:
    """After a power cut: how far it went, and whether the last imprint has its photo."""
    total, left = int(session["strokes_total"]), int(session["strokes_left"])
    done = total - left
    if not total:
        return []
    if not done:
        return [_("Session stopped before the first imprint of %(all)s.") % {"all": total}]
    photo = {
        "yes": _("Last imprint photographed: yes"),
        "no": _("Last imprint photographed: no. The count is right; a person looks at it."),
        "unconfirmed": _("Press not confirmed. A person decides with the photo."),
    }.get(str(session["photographed"]), "")
    return [_("Session stopped at imprint %(n)s of %(all)s.") % {"n": done, "all": total}, *([photo] if photo else [])]


def differences(session: Facts, _: Translate) -> tuple[Difference, ...]:
    return tuple(
        Difference(
            words=_difference(seen, _), approved=str(seen.get("approved") or ""), photo=str(seen.get("photo") or "")
        )
        for seen in session["differences"][:4]
    )


def _difference(difference: Facts, _: Translate) -> str:
    text = str(difference.get("text", ""))
    match difference.get("kind"):
        case "text":
            return _("Differs: “%(text)s” was approved") % {"text": text}
        case "missing":
            return _("Missing: “%(text)s”") % {"text": text} if text else _("Something is missing")
        case _:
            return _("Something was added")


def _working(session: Facts, step: Step, tone: str, title: str, text: str, _: Translate, *, cue: str = "") -> Screen:
    return Screen(
        step=step,
        tone=tone,
        position=POSITION[step],
        title=title,
        text=text,
        big=count(session, _),
        lines=mode_lines(session, _),
        abort=True,
        cue=cue,
    )
