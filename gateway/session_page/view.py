"""What the keeper's screen shows for a state of the session. Pure: facts of /api/state in, words and buttons out.

One step per screen, one primary action at the bottom, never two green ones. Nothing within a job needs a tap.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gateway.rules.session import Step
from gateway.session_page.translation import N_, Translate

STALE_AFTER_MS: Final = 10_000
STEPPER: Final = (N_("Pick"), N_("Lay"), N_("Check"), N_("Press"), N_("Done"))
_POSITION: Final = {
    Step.PICK: 0,
    Step.PLACE: 1,
    Step.CHECKING: 2,
    Step.PROBLEM: 2,
    Step.READY: 3,
    Step.STAMPED: 3,
    Step.DONE: 4,
    Step.OFFLINE: 0,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """One form: POST to `path` below the device's page."""

    path: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One part of the device strip. `tone`: good, wait, bad, plain."""

    text: str
    tone: str = "plain"


@dataclass(frozen=True, slots=True, kw_only=True)
class Screen:
    """`tone` colours the screen; `cue` names the sound; `big` is the number a keeper counts by."""

    step: str
    tone: str
    title: str
    text: str
    big: str = ""
    lines: tuple[str, ...] = ()
    position: int = 0
    sign_in: bool = False
    jobs: tuple[Mapping[str, Any], ...] = ()
    primary: Action | None = None
    extra: tuple[Action, ...] = ()
    abort: bool = False
    cue: str = ""


_PROBLEMS: Final[dict[str, tuple[str, str, str]]] = {
    "blank_page": (
        N_("The sheet is blank."),
        N_("The device is locked and nothing was stamped."),
        N_("Lay the approved page with its print up."),
    ),
    "not_this_page": (
        N_("This is not the approved page."),
        N_("The device is locked and nothing was stamped."),
        N_("Lay the right page, or print it again from the approved file."),
    ),
    "text_differs": (
        N_("Text on this page differs from what was approved."),
        N_("The device is locked and nothing was stamped."),
        N_("Do not stamp it. Print the page again from the approved file."),
    ),
    "extra_ink": (
        N_("Something was added to this page."),
        N_("The device is locked and nothing was stamped."),
        N_("Lay a clean print of the approved file."),
    ),
    "missing_ink": (
        N_("Something is missing on this page."),
        N_("The device is locked and nothing was stamped."),
        N_("Lay a complete print of the approved file."),
    ),
    "no_page": (
        N_("There is no page on the tray."),
        N_("The device is locked and nothing was stamped."),
        N_("Lay the page that is asked for."),
    ),
    "cancelled_timed_out": (
        N_("The time for this press is over."),
        N_("The device is locked. The use was not lost."),
        N_("Lift the page and lay it again."),
    ),
    "cancelled_page_moved": (
        N_("The page moved before the press."),
        N_("The device is locked. The use was not lost."),
        N_("Lay the page again and take your hand away."),
    ),
    "cancelled_tampered": (
        N_("The device was opened or moved."),
        N_("The device is locked. What was stamped is on record."),
        N_("Do not leave. Call your administrator."),
    ),
    "closed_timed_out": (
        N_("The time for this job is over."),
        N_("What was stamped is on record."),
        N_("Pick the job again to go on."),
    ),
    "closed_reboot": (
        N_("The device was started again, so the job was closed."),
        N_("What was stamped is on record."),
        N_("Pick the job again to go on."),
    ),
    "headquarters_unreachable": (
        N_("Headquarters does not answer."),
        N_("The device is locked. What was stamped is kept here."),
        N_("Wait a moment, then lay the page again."),
    ),
}
_UNSHARP: Final = (
    N_("The photo of the page cannot be compared."),
    N_("The device is locked and nothing was stamped."),
    N_("Lay the page flat and whole, and take your hand away."),
)
_POOR_PHOTO: Final = frozenset({"too_blurred", "cut_off", "glare", "low_resolution", "undecodable"})
_OTHER: Final = (
    N_("The job stopped."),
    N_("The device is locked. What was stamped is on record."),
    N_("Lift the page and lay it again, or stop the job."),
)
_LOCK: Final = {
    "locked": Fact(text=N_("Locked"), tone="good"),
    "granted": Fact(text=N_("Locked, a job is open"), tone="good"),
    "page_seen": Fact(text=N_("Locked, the page is compared"), tone="wait"),
    "unlocked": Fact(text=N_("Unlocked for one press"), tone="go"),
    "pressed": Fact(text=N_("Pressed"), tone="wait"),
    "tampered": Fact(text=N_("Opened or moved: it stays locked"), tone="bad"),
    "suspended": Fact(text=N_("Suspended"), tone="bad"),
    "fault": Fact(text=N_("Fault: it stays locked"), tone="bad"),
}


def strip(device: Mapping[str, Any], state: Mapping[str, Any], _: Translate, *, now_ms: int) -> tuple[Fact, ...]:
    """The line that is always visible: lock, paper, cover, link, and what waits to be sent."""
    if not device.get("online"):
        facts = [Fact(text=_("Device not connected"), tone="bad")]
    else:
        lock = _LOCK.get(str(device.get("state")), _LOCK["locked"])
        facts = [Fact(text=_(lock.text), tone=lock.tone)]
        present, still = device.get("page_present"), device.get("page_still")
        facts.append(Fact(text=_("Page lies still") if still else _("Page moves") if present else _("No page")))
        if device.get("cover_closed") is False:
            facts.append(Fact(text=_("Cover open"), tone="bad"))
        if now_ms - int(device.get("seen_ms", 0)) > STALE_AFTER_MS:
            facts.append(Fact(text=_("silent for a while"), tone="wait"))
    facts.append(
        Fact(text=_("Headquarters reached"), tone="good")
        if state.get("uplink")
        else Fact(text=_("No link to headquarters"), tone="wait")
    )
    return tuple(facts)


def banner(state: Mapping[str, Any], _: Translate) -> str:
    """What to say while the link is down; empty while all is sent and the link is up."""
    waiting = state.get("waiting", {})
    events, photos = int(waiting.get("events", 0)), int(waiting.get("photos", 0))
    if state.get("uplink"):
        return ""
    return _(
        "Working through the office gateway. %(events)s reports and %(photos)s photos will be sent later; "
        "nothing is lost."
    ) % {"events": events, "photos": photos}


def screen(device: Mapping[str, Any], jobs: Sequence[Mapping[str, Any]], _: Translate, *, trouble: str = "") -> Screen:
    """`jobs`: what headquarters offers, for the list; `trouble`: what the last tap ran into, in words."""
    session = device["session"]
    step = Step(session["step"])
    match step:
        case Step.OFFLINE:
            return Screen(
                step=step,
                tone="bad",
                position=0,
                title=_("The device does not answer"),
                text=_("It locks by itself; what was stamped is kept. Check its cable and power."),
                lines=(str(session["text"]),) if session["text"] else (),
                cue="alarm",
                abort=False,
            )
        case Step.PICK:
            return _pick(device, jobs, _, trouble)
        case Step.PROBLEM:
            return _problem(session, _)
        case Step.DONE:
            return Screen(
                step=step,
                tone="good",
                position=4,
                title=_("Done"),
                text=_("%(title)s is stamped. Take the paper away.") % {"title": session["title"]},
                big="✓",
                primary=Action(path="abort", text=_("Next job")),
                cue="done",
            )
        case _:
            return _working(step, session, _)


def _working(step: Step, session: Mapping[str, Any], _: Translate) -> Screen:
    total, left = int(session["strokes_total"]), int(session["strokes_left"])
    page = int(session["page"])
    here = total - left + 1
    count = _("Imprint %(n)s of %(all)s") % {"n": min(here, total), "all": total}
    if step is Step.READY:
        title, text, tone, cue = _("Press now"), _("One press is free. The device locks again by itself."), "go", "go"
    elif step is Step.CHECKING:
        title, text, tone, cue = _("Comparing the page…"), _("Do not touch the page."), "wait", ""
    elif step is Step.STAMPED:
        title, text, tone, cue = _("Stamped"), _("Take this sheet away and lay the next one."), "good", "stamped"
        count = _("%(left)s left of %(all)s") % {"left": left, "all": total}
    else:
        known = _("Lay page %(n)s on the tray") % {"n": page} if page else _("Lay the page on the tray")
        title, text, tone, cue = known, _("Take your hand away; the rest happens by itself."), "plain", ""
    return Screen(
        step=step,
        tone=tone,
        position=_POSITION[step],
        title=title,
        text=text,
        big=count,
        lines=(str(session["title"]),),
        abort=True,
        cue=cue,
    )


def _pick(device: Mapping[str, Any], jobs: Sequence[Mapping[str, Any]], _: Translate, trouble: str) -> Screen:
    lines = (trouble,) if trouble else ()
    if device["enrolment"] == "unknown":
        return Screen(
            step=Step.PICK,
            tone="wait",
            title=_("This device is not paired"),
            text=_("Hold its pairing button until it shows six digits, then press Pair and compare them."),
            lines=lines,
            primary=Action(path="pair", text=_("Pair")),
        )
    if device["operator"] is None:
        return Screen(
            step=Step.PICK,
            tone="plain",
            title=_("Who are you?"),
            text=_("Your name and PIN, so that the record says who pressed."),
            lines=lines,
            sign_in=True,
        )
    mine = sorted(jobs, key=lambda job: not job.get("mine"))
    return Screen(
        step=Step.PICK,
        tone="plain",
        title=_("Ready to stamp: %(n)s") % {"n": len(mine)},
        text=_("Pick a job.") if mine else _("Nothing waits for this device. Approved requests appear here."),
        lines=lines,
        jobs=tuple(mine),
        extra=(
            Action(path="scan", text=_("Photograph paper for a new request")),
            Action(path="sign-out", text=_("Sign out %(name)s") % {"name": device["operator"].get("name", "")}),
        ),
    )


def _problem(session: Mapping[str, Any], _: Translate) -> Screen:
    code = str(session["code"])
    happened, safe, after = _PROBLEMS.get(code, _UNSHARP if code in _POOR_PHOTO else _OTHER)
    said = str(session["text"])
    lines = [said] if said and code not in _PROBLEMS and code not in _POOR_PHOTO else []
    lines += [_difference(difference, _) for difference in session["differences"]][:4]
    return Screen(
        step=Step.PROBLEM,
        tone="bad",
        position=_POSITION[Step.PROBLEM],
        title=_(happened),
        text=f"{_(safe)} {_(after)}",
        lines=tuple(lines),
        primary=None if session["request_id"] else Action(path="abort", text=_("To the list of jobs")),
        abort=bool(session["request_id"]),
        cue="alarm",
    )


def _difference(difference: Mapping[str, Any], _: Translate) -> str:
    text = str(difference.get("text", ""))
    match difference.get("kind"):
        case "text":
            return _("Differs: “%(text)s” was approved") % {"text": text}
        case "missing":
            return _("Missing: “%(text)s”") % {"text": text} if text else _("Something is missing")
        case _:
            return _("Something was added")
