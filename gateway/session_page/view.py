"""What the keeper's screen shows for a state of the session. Pure: facts of /api/state in, words and buttons out."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from gateway.rules.session import Step
from gateway.session_page import after_press, before_press, beside_job
from gateway.session_page.screen import Screen
from gateway.session_page.translation import Translate


def screen(  # noqa: PLR0911 - one line per kind of screen
    device: Mapping[str, Any], jobs: Sequence[Mapping[str, Any]], _: Translate, *, now_ms: int, trouble: str = ""
) -> Screen:
    """`jobs`: what headquarters offers, for the list; `trouble`: what the last tap ran into, in words.

    What must not be overlooked comes first: an alarm, then a lost device, then a service, then the reason of a stop.
    """
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
        return before_press.asked(session, _, now_ms=now_ms)
    shown = _OF[step](session, _)
    live = device.get("live") if step is Step.PLACE else None
    return shown if live is None else replace(shown, live=tuple(live))


_OF = {
    Step.PLACE: before_press.place,
    Step.SWEEP: before_press.sweep,
    Step.CHECKING: before_press.checking,
    Step.READY: before_press.ready,
    Step.PROBLEM: before_press.problem,
    Step.STAMPED: after_press.stamped,
    Step.REDO: after_press.redo,
    Step.SPOIL: after_press.spoil,
    Step.CONTINUE: after_press.going_on,
    Step.LABEL: after_press.label,
    Step.DONE: after_press.done,
}
