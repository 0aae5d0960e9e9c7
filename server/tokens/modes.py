"""How the next token stamps: which strokes it takes, in which mode, over which pages. Pure.

Page by page is `single` while all strokes of the token are on one page, else `batch`. A token for a document that must
be leafed through takes the strokes of one copy only: each copy is other paper and is leafed through by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from firmware_protocol.tokens import Mode, PageCheck
from server.approvals.request import PlannedStroke
from server.approvals.schemas import RequestRead, Stamping

SINGLE: Final = "single"
BATCH: Final = "batch"
CONTINUOUS: Final = "continuous"
STRADDLE: Final = "straddle"
VOUCHER: Final = "voucher"
_BITS: Final = {
    SINGLE: Mode(0),
    BATCH: Mode.BATCH,
    CONTINUOUS: Mode.CONTINUOUS,
    STRADDLE: Mode.STRADDLE,
    VOUCHER: Mode.VOUCHER,
}
_CHECKS: Final = {"before": PageCheck.BEFORE, "after": PageCheck.AFTER, "none": PageCheck.NONE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """`plan`: stroke indices of the request; `pages`: first and last page that the token names, if it does."""

    mode: str
    page_check: str
    plan: tuple[int, ...]
    strokes: int
    pages: tuple[int, int] | None
    sweep: bool
    bound: bool

    @property
    def policy(self) -> int:
        """The policy claim of the token: page check and mode bits."""
        bits = _BITS[self.mode]
        if self.sweep:
            bits |= Mode.SWEEP
        if self.bound:
            bits |= Mode.BOUND
        return int(bits) | int(_CHECKS[self.page_check])

    @property
    def sweep_pages(self) -> int:
        """Pages to be leafed through before the first imprint."""
        return self.pages[1] - self.pages[0] + 1 if self.sweep and self.pages else 0


def way(
    request: RequestRead,
    strokes: Sequence[PlannedStroke],
    *,
    todo: Sequence[int],
    most: int,
    offline: bool = False,
    leafed: bool = False,
) -> Way:
    """The next token for `request`: of the plan `strokes`, those with an index in `todo`, at most `most` of them.

    A voucher request is stamped page by page, with the comparison, while headquarters can be reached. `leafed`: the
    device's standing order asks for leafing, whatever the request says.
    """
    leaf_through = request.leaf_through or leafed
    by_index = {stroke.index: stroke for stroke in strokes}
    plan = tuple(todo)
    if leaf_through and not offline and plan:
        plan = tuple(index for index in plan if by_index[index].copy == by_index[plan[0]].copy)
    pages = sorted({by_index[index].page for index in plan})
    mode = _mode(request, pages, offline=offline)
    sweep = leaf_through and mode in {SINGLE, BATCH, STRADDLE}
    online_voucher = request.stamping is Stamping.VOUCHER and not offline
    return Way(
        mode=mode,
        page_check="before" if online_voucher else request.page_check.value,
        plan=plan,
        strokes=min(len(plan), most),
        pages=_range(request, mode, pages, sweep=sweep),
        sweep=sweep,
        bound=request.bound,
    )


def _mode(request: RequestRead, pages: Sequence[int], *, offline: bool) -> str:
    if request.stamping is Stamping.CONTINUOUS:
        return CONTINUOUS
    if request.stamping is Stamping.STRADDLE:
        return STRADDLE
    if offline:
        return VOUCHER
    return BATCH if len(pages) > 1 else SINGLE


def _range(request: RequestRead, mode: str, pages: Sequence[int], *, sweep: bool) -> tuple[int, int] | None:
    if mode == STRADDLE:
        return (request.first_page or 1, request.last_page or request.pages)
    if sweep:
        return (1, request.pages)
    return (pages[0], pages[-1]) if mode == BATCH else None
