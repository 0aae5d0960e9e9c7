"""How paper is stamped, in words for people."""

from typing import Final

from server.approvals.schemas import RequestRead, Stamping
from server.core.i18n import N_, _

_MODES: Final = {
    "single": N_("page by page"),
    "batch": N_("page by page"),
    "continuous": N_("press after press, without comparing the pages"),
    "straddle": N_("across the edges of fanned-out pages"),
    "voucher": N_("without headquarters; the page was not checked"),
}
_WAYS: Final = {
    Stamping.PAGE_BY_PAGE: N_("Page by page: each page is compared before its imprint."),
    Stamping.CONTINUOUS: N_(
        "Press after press: nothing is compared before. A person looks at every imprint afterwards."
    ),
    Stamping.STRADDLE: N_(
        "Across the edges of pages %(first)s to %(last)s, fanned out: the first one is compared before."
    ),
    Stamping.VOUCHER: N_(
        "Also while headquarters cannot be reached: nothing is compared then, and a person looks at every imprint."
    ),
}


def mode_text(mode: str) -> str:
    """Of one job at a device."""
    return _(_MODES[mode]) if mode in _MODES else mode


def way_text(asked: RequestRead) -> str:
    """What the approvers agree to."""
    text = _(_WAYS[asked.stamping])
    return text % {"first": asked.first_page, "last": asked.last_page} if asked.stamping is Stamping.STRADDLE else text
