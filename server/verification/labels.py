"""Labels of a device without a coder: each has the code of an imprint, and stands for its sheet's earlier ones, too.

The device's LABEL event carries the code; which sheet a stroke was for stands in the signed TOKEN_ISSUED entry. A label
stands for the imprints that the same device made on that copy and page, up to its own by the mechanical counter,
without those whose sheet was cancelled.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from firmware_protocol import events
from firmware_protocol.events import Event
from server.ledger.entry_types import EntryType
from server.verification.checks import Checks
from server.verification.leaves import Leaf
from server.verification.story import Story
from server.verification.strokes import Stroke


@dataclass(frozen=True, slots=True, kw_only=True)
class SheetLabel:
    """For people and programs to read; `copy` and `page` are 0 where the entry does not say them."""

    code: str  # short form, on the label
    copy: int
    page: int
    imprints: tuple[str, ...]  # short codes of the imprints that it stands for, its own among them


def check_labels(story: Story, strokes: Sequence[Stroke], checks: Checks) -> tuple[SheetLabel, ...]:
    """Every LABEL event names the code that the device signed for that stroke; what each label stands for."""
    made = {(stroke.token_id, stroke.stroke): stroke for stroke in strokes}
    cancelled = {str(entry.refs.get("code", "")) for _leaf, entry in story.entries(EntryType.CODE_WITHDRAWN)}
    standing = [one for one in strokes if one.short_code not in cancelled]
    faults: list[tuple[str, str]] = []
    labels: dict[str, SheetLabel] = {}
    told = [(leaf, leaf.value) for leaf in story.leaves if isinstance(leaf.value, Event)]
    for leaf, event in told:
        if not isinstance(event.body, events.Label):
            continue
        stroke = made.get((event.body.token_id, event.body.copy))
        fault = _fault(stroke, leaf, event)
        faults += fault
        if not fault and stroke is not None and stroke in standing:
            labels[stroke.short_code] = _label(story, stroke, standing)
    if labels or faults:
        checks.group("labels", faults, summary="; ".join(map(_words, labels.values())))
    return tuple(labels.values())


def _fault(stroke: Stroke | None, leaf: Leaf, event: Event) -> list[tuple[str, str]]:
    if stroke is None or not isinstance(event.body, events.Label) or stroke.device_id != event.header.device_id:
        return [(leaf.member, "it is about a label of an imprint that is not in this bundle")]
    if event.body.trace_code != stroke.code:
        return [(leaf.member, "the label has another code than the device signed for that imprint")]
    return []


def _label(story: Story, stroke: Stroke, strokes: Sequence[Stroke]) -> SheetLabel:
    sheet = story.sheet_of(stroke.token_id, stroke.stroke)
    beneath = [
        one.short_code
        for one in sorted(strokes, key=lambda one: one.counter)
        if one.code == stroke.code
        or (
            sheet is not None
            and story.sheet_of(one.token_id, one.stroke) == sheet
            and one.device_id == stroke.device_id
            and one.counter <= stroke.counter
        )
    ]
    copy, page = sheet or (0, 0)
    return SheetLabel(code=stroke.short_code, copy=copy, page=page, imprints=tuple(beneath))


def _words(label: SheetLabel) -> str:
    where = f" on copy {label.copy}, page {label.page}" if label.copy else ""
    return f"label {label.code} stands for {len(label.imprints)} imprint{'s' * (len(label.imprints) > 1)}{where}"
