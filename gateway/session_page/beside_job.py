"""Screens outside the way from page to imprint: who are you, which job, why stopped, alarm, service, offline. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gateway.rules.session import Step
from gateway.session_page.screen import Action, Question, Screen
from gateway.session_page.translation import N_, Translate

Facts = Mapping[str, Any]
REASONS: Final = (
    ("wrong_paper", N_("Wrong paper")),
    ("device_trouble", N_("Trouble with the device")),
    ("interrupted", N_("I was called away")),
    ("handover", N_("A colleague goes on")),
    ("doubt", N_("Something about this job is odd")),
)


def offline(session: Facts, _: Translate) -> Screen:
    return Screen(
        step=Step.OFFLINE,
        tone="bad",
        position=0,
        title=_("The device does not answer"),
        text=_("It locks by itself; what was stamped is kept. Check its power, and its cable or radio link."),
        lines=(str(session["text"]),) if session["text"] else (),
        cue="alarm",
    )


def alarm(_: Translate, trouble: str) -> Screen:
    return Screen(
        step="alarm",
        tone="alarm",
        position=3,
        title=_("An imprint that was not approved"),
        text=_("The device is locked. Do not leave. Keep the paper. Write what happened."),
        lines=(trouble,) if trouble else (),
        question=Question(path="alarm", label=_("What happened?"), submit=_("Keep this report"), required=True),
        cue="siren",
    )


def why(session: Facts, _: Translate) -> Screen:
    return Screen(
        step="reason",
        tone="plain",
        position=0,
        title=_("Locked. Why did you stop?"),
        text=_("%(title)s can be picked again. The reason goes into the record.") % {"title": session["stopped"]},
        question=Question(
            path="reason",
            label=_("In your words, if you like"),
            choices=tuple((value, _(words)) for value, words in REASONS),
            submit=_("Keep the reason"),
        ),
        extra=(Action(path="reason", text=_("Without a reason")),),
        cue="stopped",
    )


def service(device: Facts, _: Translate) -> Screen:
    """Two persons ordered it; the device itself knows which step comes next."""
    session = device["session"]
    titles = {
        "change_head": _("Change the head in slot %(n)s") % {"n": session["slot"]},
        "refill_ink": _("Refill the ink in slot %(n)s") % {"n": session["slot"]},
    }
    if device.get("state") == "unlocked":
        text, tone = _("Press once: the sample imprint."), "go"
    elif device.get("cover_closed") is False:
        text, tone = _("The cover is open. Do the work, then close the cover."), "wait"
    elif device.get("page_present"):
        text, tone = _("Leave the sample sheet where it lies."), "wait"
    else:
        text, tone = _("Open the cover and do the work. With the cover closed again, lay a sample sheet."), "wait"
    return Screen(
        step="service",
        tone=tone,
        position=1,
        title=titles.get(str(session["service"]), _("Service")),
        text=text,
        lines=(_("Two persons ordered this. Every step is on record."),),
        cue="go" if tone == "go" else "service",
    )


def pick(device: Facts, jobs: Sequence[Facts], _: Translate, trouble: str) -> Screen:
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
            text=_(
                "Hold your badge to the reader, use a passkey, or give your name and PIN: the record says who pressed."
            ),
            lines=lines,
            sign_in=True,
        )
    mine = sorted(jobs, key=lambda job: not job.get("mine"))
    return Screen(
        step=Step.PICK,
        tone="plain",
        title=_("Ready to stamp: %(n)s") % {"n": len(mine)},
        text=_("Pick a job, or scan the code on its cover sheet.")
        if mine
        else _("Nothing waits for this device. Approved requests appear here."),
        lines=(*lines, *_leftovers(device, _)),
        jobs=tuple(mine),
        add_passkey=not device["operator"].get("offline"),
        extra=(
            *_settling(device, _),
            Action(path="scan", text=_("Photograph paper for a new request")),
            Action(path="sign-out", text=_("Sign out %(name)s") % {"name": device["operator"].get("name", "")}),
        ),
    )


def _leftovers(device: Facts, _: Translate) -> list[str]:
    words = {
        "label_missing": _("Stamped, label missing: %(title)s, imprint %(n)s"),
        "look_at_imprint": _("The photo shows a poor imprint: %(title)s, imprint %(n)s"),
    }
    return [
        words[left["kind"]] % {"title": left["title"], "n": left["stroke"]}
        for left in device.get("leftovers", ())
        if left["kind"] in words
    ]


def _settling(device: Facts, _: Translate) -> list[Action]:
    return [
        Action(
            path="settle",
            text=_("Dealt with: %(title)s, imprint %(n)s") % {"title": left["title"], "n": left["stroke"]},
            name="name",
            value=f"{left['token_id']}-{left['stroke']}-{left['kind']}",
        )
        for left in device.get("leftovers", ())
    ]
