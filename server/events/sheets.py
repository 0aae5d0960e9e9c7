"""The label of a sheet: at a device without a coder one code stands for every imprint that it left on the sheet.

A label stands for the imprints of its sheet (request, copy and page) that its device made up to the label's own, told
by the mechanical counter. What was cancelled belongs to no sheet any more.
"""

from collections.abc import Iterable

from sqlmodel import Session

from server.events import store
from server.events.models import Stroke


def beneath(db: Session, label: Stroke) -> list[Stroke]:
    """The imprints that the label of this stroke stands for, its own among them, oldest first."""
    return [row for row in store.on_sheet(db, label) if _stands_for(label, row)]


def label_of(db: Session, row: Stroke) -> Stroke | None:
    """The stroke whose label stands for this imprint, the newest when there are several; None without a label."""
    return newest(row, store.on_sheet(db, row))


def newest(row: Stroke, on_sheet: Iterable[Stroke]) -> Stroke | None:
    labels = [one for one in on_sheet if one.label_photo is not None and _stands_for(one, row)]
    return max(labels, key=lambda one: one.counter or 0, default=None)


def _stands_for(label: Stroke, row: Stroke) -> bool:
    if (label.token_id, label.stroke) == (row.token_id, row.stroke):
        return True
    known = row.counter is not None and label.counter is not None
    return known and label.device_id == row.device_id and (row.counter or 0) <= (label.counter or 0)
