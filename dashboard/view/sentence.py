"""What an approver should notice about a request, in words. Pure."""

from collections.abc import Sequence

from server.approvals.policy import State
from server.approvals.schemas import PageCheckMode, RequestRead
from server.core.i18n import N_, _
from server.inspection.schemas import DifferenceRead

_USED = {State.APPROVED, State.IN_USE, State.DONE}


def flags(asked: RequestRead, others: Sequence[RequestRead]) -> list[str]:
    """`others`: the other requests the reader may see. Only what the data shows; no guess about intent."""
    found = []
    if asked.revision > 1:
        found.append(_("Changed since it was first asked for (version %(n)s).") % {"n": asked.revision})
    if asked.counterparty and not any(_same(asked, other) for other in others):
        found.append(_("First time with this counterparty."))
    if any(other.document_digest == asked.document_digest and other.state in _USED for other in others):
        found.append(_("This very document was approved before, on another request."))
    if asked.page_check is not PageCheckMode.BEFORE:
        found.append(_("The pages are not compared before the press."))
    return found


def _same(asked: RequestRead, other: RequestRead) -> bool:
    return other.counterparty.casefold() == asked.counterparty.casefold() and other.state in _USED


def difference_text(difference: DifferenceRead) -> str:
    """One place where photo and approved page disagree."""
    match difference.kind:
        case "text":
            return _("Text differs: “%(text)s” was approved") % {"text": difference.text}
        case "missing":
            return (
                _("Missing: “%(text)s”") % {"text": difference.text} if difference.text else _("Something is missing")
            )
        case _:
            return _("Something was added")


_POINTS = {
    "more_pressed_than_approved": N_("More was pressed than approved."),
    "to_review": N_("Nothing was compared before a press. A person must look at it and decide."),
    "no_code": N_("A press has no trace code."),
    "labels_unused": N_("Labels were printed and never stuck on."),
    "press_not_confirmed": N_("A press is not confirmed. Look at the photo and decide."),
    "imprints_missing": N_("Fewer imprints were made than approved."),
    "photos_missing": N_("Photos have not arrived from the office yet."),
    "photo_differs": N_("A photo does not agree with what was approved."),
    "not_looked_at": N_("Photos are still being compared."),
    "alarm": N_("The device raised an alarm."),
    "not_filed": N_("The record is not filed yet."),
}


def point_text(code: str) -> str:
    """One point of the reconciliation that is open."""
    return _(_POINTS[code]) if code in _POINTS else code.replace("_", " ")
