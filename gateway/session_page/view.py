"""What the keeper's screen shows for a state of the session. Pure: facts of /api/state in, words and buttons out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway.rules.session import Step
from gateway.session_page import after_press, before_press, beside_job
from gateway.session_page.screen import Screen
from gateway.session_page.translation import Translate


def screen(
    device: Mapping[str, Any], jobs: Sequence[Mapping[str, Any]], _: Translate, *, now_ms: int, trouble: str = ""
) -> Screen:
    """`jobs`: what headquarters offers, for the list; `trouble`: what the last tap ran into, in words."""
    shown = _screen(device, jobs, _, now_ms=now_ms, trouble=trouble)
    return replace(shown, say=_said(shown))


def _screen(  # noqa: PLR0911 - one line per kind of screen
    device: Mapping[str, Any], jobs: Sequence[Mapping[str, Any]], _: Translate, *, now_ms: int, trouble: str
) -> Screen:
    """What must not be overlooked comes first: an alarm, then a lost device, a service, the reason of a stop."""
    session = device["session"]
    step = Step(session["step"])
    if session["alarm"]:
        return beside_job.alarm(_, trouble)
    if step is Step.OFFLINE:
        return beside_job.offline(session, _)
    if session["service"]:
        return beside_job.service(device, _)
    if session["stopped"]:
        return beside_job.why(session, _)
    if step is Step.PICK:
        return beside_job.pick(device, jobs, _, trouble)
    if step is Step.ASKED:
        return before_press.asked(session, _, now_ms=now_ms, trouble=trouble)
    if step in _PRINTS:
        return _PRINTS[step](session, _, printer=str(device.get("printer") or ""))
    shown = _OF[step](session, _)
    live = device.get("live") if step is Step.PLACE else None
    return shown if live is None else replace(shown, live=tuple(live))


def _said(shown: Screen) -> str:
    """Short, and only where somebody has to do something now; the count is what the eyes are for."""
    if shown.step == "alarm":
        return f"{shown.title}. {shown.text}"
    if shown.step == Step.SWEEP:
        return shown.text  # the same for every page: said once
    if shown.step in {Step.STAMPED, "service"}:
        return shown.text
    return shown.title if shown.step in _SPOKEN else ""


_SPOKEN = frozenset(
    {Step.PLACE, Step.READY, Step.ASKED, Step.PROBLEM, Step.REDO, Step.SPOIL, Step.LABEL, Step.DONE, Step.OFFLINE}
)
_PRINTS = {Step.SPOIL: after_press.spoil, Step.LABEL: after_press.label}
_OF = {
    Step.PLACE: before_press.place,
    Step.SWEEP: before_press.sweep,
    Step.CHECKING: before_press.checking,
    Step.READY: before_press.ready,
    Step.PROBLEM: before_press.problem,
    Step.STAMPED: after_press.stamped,
    Step.REDO: after_press.redo,
    Step.CONTINUE: after_press.going_on,
    Step.DONE: after_press.done,
}
