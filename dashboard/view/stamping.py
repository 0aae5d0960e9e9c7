"""Where a request stands and how each press went, read from the ledger itself: what is not an entry did not happen."""

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlmodel import Session

from firmware_protocol import events, trace
from firmware_protocol.errors import ProtocolError
from server.approvals import service as approvals
from server.approvals.policy import State
from server.approvals.schemas import RequestRead
from server.core.i18n import N_, _
from server.core.scope import Scope
from server.events import service as pressed
from server.inspection import service as inspection
from server.inspection.schemas import FindingRead
from server.ledger import entry_codec
from server.ledger import service as ledger
from server.ledger.entry_types import EntryType
from server.ledger.schemas import EntryRead, LeafKind
from server.tokens import service as tokens

MOST_ENTRIES: Final = 500
MATCH: Final = "match"
"""The page check's yes (server.inspection)."""
AGREES: Final = "agrees"
"""The imprint check's yes."""
PX_MM: Final = 200 / 25.4
"""Findings speak of the approved page at 200 dpi."""
Box = tuple[float, float, float, float]


class Outcome(StrEnum):
    WAITING = "waiting"
    ALLOWED = "allowed"  # permitted, or unlocked, not pressed yet
    DONE = "done"
    CANCELLED = "cancelled"
    SPOILED = "spoiled"  # pressed, then the sheet was cancelled
    UNCLEAR = "unclear"  # a press that nobody can confirm; a person decides with the photo


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One line of the timeline: an entry of the ledger."""

    at: datetime
    entry: EntryRead
    note: str = ""


@dataclass(slots=True, kw_only=True)
class Stroke:
    """One press of the plan, in a job (token) of the device. Digests name photos in the blob store."""

    number: int
    device_id: str = ""
    page: int = 0
    outcome: Outcome = Outcome.WAITING
    before: bytes | None = None
    after: bytes | None = None
    code: bytes | None = None
    pressed_at: datetime | None = None
    counter: int = 0
    looks: list[FindingRead] = field(default_factory=list)
    imprint: FindingRead | None = None
    job: bytes = b""  # the token, for links
    unchecked: bool = False  # nothing was compared before it
    label_code: str = ""  # short form, on the label of its sheet; "" where the device prints each code itself

    @property
    def unjudged(self) -> list[Box]:
        """Places of the approved page that the photo could not judge, in millimetres: x, y, width, height."""
        look = next((look for look in reversed(self.looks) if look.answer == MATCH), None)
        boxes = look.report.get("unjudged", []) if look is not None else []
        return [(x0 / PX_MM, y0 / PX_MM, (x1 - x0) / PX_MM, (y1 - y0) / PX_MM) for x0, y0, x1, y1 in boxes]

    @property
    def short_code(self) -> str:
        return trace.short_code(self.code) if self.code else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One link of the chain Approved > Unlocked > Stamped > Matched. `tone`: done, now, todo, bad."""

    text: str
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    chain: tuple[Stage, ...]
    sentence: str
    timeline: tuple[Moment, ...]
    strokes: tuple[Stroke, ...]
    refused: tuple[FindingRead, ...]
    swept: tuple[int, int] | None = None  # pages seen, of so many, in the last job; None: not leafed through
    swept_signed: bool = False  # the device signed that it saw them all

    @property
    def photos(self) -> frozenset[bytes]:
        """Every picture that this request's own entries and findings name."""
        named = {digest for stroke in self.strokes for digest in (stroke.before, stroke.after) if digest}
        for stroke in self.strokes:
            for finding in (*stroke.looks, *([stroke.imprint] if stroke.imprint else [])):
                crops = [crop for item in finding.differences for crop in (item.approved, item.photo) if crop]
                named |= {finding.photo_digest, *map(bytes.fromhex, crops)}
        return frozenset(named)


def standing(db: Session, scope: Scope, asked: RequestRead) -> Standing:
    entries = _entries(db, scope, asked)
    plan = {stroke.index + 1: stroke.page for stroke in approvals.plan(asked)}
    strokes = _strokes(entries, inspection.findings(db, scope, asked.id), plan)
    _mark_unchecked(db, scope, strokes)
    for stroke in strokes:
        label = pressed.label_of(db, stroke.job, stroke.number) if stroke.code else None
        stroke.label_code = label.short_code or "" if label is not None else ""
    swept, signed = _swept(db, scope, asked, entries)
    done = sum(stroke.outcome is Outcome.DONE for stroke in strokes)
    checked = [stroke.imprint for stroke in strokes if stroke.outcome is Outcome.DONE]
    refused = [look for stroke in strokes for look in stroke.looks if look.answer != MATCH]
    return Standing(
        chain=_chain(asked, strokes, done, checked),
        sentence=_sentence(asked, strokes, done),
        timeline=tuple(Moment(at=entry.admitted_at, entry=entry, note=_note(entry)) for entry in entries),
        strokes=tuple(strokes),
        refused=tuple(refused),
        swept=swept,
        swept_signed=signed,
    )


def _mark_unchecked(db: Session, scope: Scope, strokes: Iterable[Stroke]) -> None:
    jobs = {stroke.job: tokens.token(db, Scope.system(scope.tenant_id), stroke.job) for stroke in strokes}
    for stroke in strokes:
        job = jobs[stroke.job]
        stroke.unchecked = job is not None and job.page_check != "before"


def _swept(
    db: Session, scope: Scope, asked: RequestRead, entries: Iterable[EntryRead]
) -> tuple[tuple[int, int] | None, bool]:
    """Pages seen of the last job that had to be leafed through, and whether the device signed the end of it."""
    last = next((job for job in reversed(tokens.tokens_of(db, scope, asked.id)) if job.sweep), None)
    if last is None:
        return None, False
    looks = inspection.findings_of_token(db, last.token_id, kind="sweep")
    seen = {look.page for look in looks if look.answer == MATCH}
    wanted = (last.last_page or 0) - (last.first_page or 0) + 1
    signed = any(_is_whole_sweep(entry, last.token_id) for entry in entries)
    return (len(seen), wanted), signed


def _is_whole_sweep(entry: EntryRead, token_id: bytes) -> bool:
    if entry.kind is not LeafKind.EVENT or entry.entry_type is not events.EventType.PAGES_SWEPT:
        return False
    body = events.peek(entry.leaf).body
    return isinstance(body, events.PagesSwept) and body.token_id == token_id and body.seen >= body.expected


def _entries(db: Session, scope: Scope, asked: RequestRead) -> list[EntryRead]:
    """Entries that name the request, and the device's events of its jobs, oldest first."""
    own = ledger.find(db, scope, ref=f"request:{asked.id}", limit=MOST_ENTRIES)
    jobs = {ref for entry in own for ref in _refs(entry) if ref.startswith("token:")}
    found = {entry.index: entry for entry in own}
    for job in jobs:
        found |= {entry.index: entry for entry in ledger.find(db, scope, ref=job, limit=MOST_ENTRIES)}
    return [found[index] for index in sorted(found)]


def _refs(entry: EntryRead) -> tuple[str, ...]:
    if entry.kind is not LeafKind.ENTRY:
        return ()
    try:
        return entry_codec.ref_strings(entry_codec.peek(entry.leaf).refs)
    except ProtocolError:
        return ()


def _strokes(entries: Iterable[EntryRead], findings: Iterable[FindingRead], plan: dict[int, int]) -> list[Stroke]:
    strokes: dict[tuple[bytes, int], Stroke] = {}

    def of(job: bytes, number: int) -> Stroke:
        return strokes.setdefault((job, number), Stroke(number=number, page=plan.get(number, 0), job=job))

    for entry in entries:
        if entry.kind is LeafKind.EVENT:
            with contextlib.suppress(ProtocolError):  # of a newer version: shown in the timeline alone
                _take_event(entry, of)
    for finding in findings:
        if finding.kind in {"page", "cover", "fan"}:
            of(finding.token_id, finding.stroke).looks.append(finding)
        elif finding.kind == "imprint":
            of(finding.token_id, finding.stroke).imprint = finding
    return list(strokes.values())


def _take_event(entry: EntryRead, of: Callable[[bytes, int], Stroke]) -> None:
    event = events.peek(entry.leaf)
    body, device_id = event.body, event.header.device_id
    token_id, number = getattr(body, "token_id", None), getattr(body, "stroke", None)
    if token_id is None or not number:  # a leafed page has number 0
        return
    stroke = of(token_id, number)
    stroke.device_id = device_id
    match body:
        case events.PageSeen(photo_digest=photo, page=page):
            stroke.before, stroke.page = photo, page or stroke.page
        case events.Intent(page=page):
            stroke.outcome, stroke.page = Outcome.ALLOWED, page or stroke.page
        case events.Done(photo_digest=photo, trace_code=code):
            stroke.outcome, stroke.after, stroke.code = Outcome.DONE, photo, code
            stroke.pressed_at, stroke.counter = entry.admitted_at, event.header.counter
        case events.Cancelled():
            stroke.outcome = Outcome.CANCELLED
        case events.Settled(outcome=events.Outcome.RECOVERED, trace_code=code):
            stroke.outcome, stroke.code = Outcome.DONE, code
        case events.Settled(outcome=events.Outcome.ABORTED):
            stroke.outcome = Outcome.CANCELLED
        case events.Settled():
            stroke.outcome = Outcome.UNCLEAR
        case events.Spoiled():
            stroke.outcome = Outcome.SPOILED
        case _:
            return


def _chain(
    asked: RequestRead, strokes: Sequence[Stroke], done: int, checked: Sequence[FindingRead | None]
) -> tuple[Stage, ...]:
    approved = asked.approved_at is not None
    begun = bool(strokes) or asked.state in {State.IN_USE, State.DONE}
    matched = sum(look is not None and look.answer == AGREES for look in checked)
    wrong = any(look is not None and look.answer != AGREES for look in checked)
    complete = done >= asked.strokes
    return (
        Stage(text=_("Approved"), tone="done" if approved else "now"),
        Stage(text=_("Unlocked"), tone="done" if begun else ("now" if approved else "todo")),
        Stage(
            text=_("Stamped %(done)s of %(all)s") % {"done": done, "all": asked.strokes},
            tone="done" if complete else ("now" if begun else "todo"),
        ),
        Stage(
            text=_("Photo agrees %(done)s of %(all)s") % {"done": matched, "all": asked.strokes},
            tone="bad" if wrong else ("done" if complete and matched >= done else ("now" if complete else "todo")),
        ),
    )


_SENTENCES: Final = {
    State.DRAFT: N_("This is a draft. Nobody has been asked yet."),
    State.SUBMITTED: N_("Nothing can be stamped before it is approved."),
    State.APPROVED: N_("Approved, and not used yet. A keeper can stamp it now."),
    State.REJECTED: N_("Rejected. Nothing can be stamped with it."),
    State.WITHDRAWN: N_("The requester took it back. Nothing can be stamped with it."),
    State.VOID: N_("Void. Nothing more can be stamped with it."),
    State.EXPIRED: N_("Its time is over. Nothing more can be stamped with it."),
}


def _sentence(asked: RequestRead, strokes: Sequence[Stroke], done: int) -> str:
    if any(stroke.outcome is Outcome.UNCLEAR for stroke in strokes):
        return _("A press is not confirmed. Look at the photo and decide.")
    last = strokes[-1] if strokes else None
    if asked.state is State.IN_USE and done < asked.strokes:
        if last is not None and last.looks and last.looks[-1].answer != MATCH and last.outcome is Outcome.WAITING:
            return _("The page on the tray was refused. The device stayed locked.")
        return _("The device is at work: %(done)s of %(all)s stamped.") % {"done": done, "all": asked.strokes}
    if asked.state in {State.IN_USE, State.DONE}:
        return _("Everything that was approved is stamped.")
    return _(_SENTENCES[asked.state])


def _note(entry: EntryRead) -> str:
    """What tells two entries of one kind apart."""
    try:
        if entry.kind is LeafKind.EVENT:
            stroke = getattr(events.peek(entry.leaf).body, "stroke", None)
            return _("press %(n)s") % {"n": stroke} if stroke else ""
        if entry.kind is not LeafKind.ENTRY:
            return ""
        public = entry_codec.peek(entry.leaf).public
    except ProtocolError:
        return ""
    if entry.entry_type is EntryType.DECISION:
        return _("approved") if public.get("approved") else _("rejected")
    if entry.entry_type in {EntryType.PAGE_FINDING, EntryType.IMPRINT_FINDING}:
        return _(_ANSWERS.get(str(public.get("answer", "")), ""))
    return ""


_ANSWERS: Final = {
    MATCH: N_("agrees"),
    AGREES: N_("agrees"),
    "doubtful": N_("in doubt"),
    "wrong": N_("does not agree"),
    "look_here": N_("look here"),
}
