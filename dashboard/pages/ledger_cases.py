"""What went wrong on the way into the ledger, as cases: reports missing or set aside, devices in contradiction."""

import base64
import binascii
from datetime import UTC, datetime, timedelta
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session

from dashboard.pages.ledger_browser import download
from dashboard.view import evidence, ledger_words
from dashboard.view.ledger_words import Line
from dashboard.web.rendering import pages_of
from dashboard.web.viewer import Me
from firmware_protocol import events
from firmware_protocol.errors import ProtocolError
from server.core.db import DbRead
from server.core.errors import NotFound
from server.core.i18n import N_
from server.core.scope import Scope
from server.ledger import browsing, merkle
from server.ledger import service as ledger
from server.ledger.admission import MAX_SEQ, Reason
from server.ledger.browsing import SetAsideKept, Wanted
from server.ledger.entry_types import EntryType
from server.ledger.schemas import EntryRead, LeafKind, SetAsideRead

router = APIRouter(include_in_schema=False, prefix="/ledger/cases")

PAGE: Final = 40
CLOSED_SHOWN: Final = 10
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class NoSuchCase(NotFound):
    happened = N_("There is no such case, or it belongs to another branch.")


@router.get("")
def show_cases(
    request: Request, db: DbRead, me: Me, gaps_before: int | None = None, aside_before: str = ""
) -> Response:
    """Open gaps, devices in quarantine, what was set aside; newest first, a page of each."""
    gaps = browsing.gaps(db, me.scope, before=gaps_before, limit=PAGE)
    aside = browsing.set_aside(db, me.scope, before=_place(aside_before), limit=PAGE)
    return pages_of(request).page(
        request,
        "ledger_cases.html",
        me=me,
        gaps=gaps,
        closed=browsing.gaps(db, me.scope, closed=True, limit=CLOSED_SHOWN),
        quarantined=[head for head in ledger.device_heads(db, me.scope) if head.quarantined_at],
        aside=aside,
        older_gaps=gaps[-1].gap_id if len(gaps) == PAGE else None,
        older_aside=_after(aside[-1]) if len(aside) == PAGE else "",
        reasons=Reason,
    )


@router.get("/gaps/{device_id}/{generation}/{seq}")
def show_gap(request: Request, *, device_id: str, generation: int, seq: int, db: DbRead, me: Me) -> Response:
    """The gap that report `seq` belongs to, with the reports on both sides of it."""
    known = 0 <= generation <= MAX_SEQ and 0 <= seq <= MAX_SEQ
    gap = browsing.gap(db, me.scope, device_id=device_id, generation=generation, seq=seq) if known else None
    if gap is None:
        raise NoSuchCase

    def neighbour(seq: int) -> EntryRead | None:
        return browsing.at_place(db, me.scope, device_id=gap.device_id, generation=gap.generation, seq=seq)

    head = next(
        head
        for head in ledger.device_heads(db, me.scope)
        if (head.device_id, head.generation) == (gap.device_id, gap.generation)
    )
    return pages_of(request).page(
        request,
        "ledger_gap.html",
        me=me,
        gap=gap,
        head=head,
        before=neighbour(gap.first_seq - 1),
        after=neighbour(gap.last_seq + 1),
    )


@router.get("/aside/{digest}.bin")
def download_aside(digest: str, db: DbRead, me: Me) -> Response:
    """What is kept of it, exactly as it arrived."""
    return download(_kept(db, me.scope, digest).payload, "application/octet-stream", f"{digest}.bin")


@router.get("/aside/{digest}")
def show_aside(request: Request, digest: str, db: DbRead, me: Me) -> Response:
    """One thing that was set aside; for a contradiction, both reports beside each other."""
    kept = _kept(db, me.scope, digest)
    item = kept.item
    stored = None
    if item.reason is Reason.EQUIVOCATION and item.device_id and item.seq is not None:
        stored = browsing.at_place(
            db, me.scope, device_id=item.device_id, generation=item.generation or 0, seq=item.seq
        )
    return pages_of(request).page(
        request,
        "ledger_aside.html",
        me=me,
        item=item,
        whole=len(kept.payload) == item.size,
        reasons=Reason,
        says=_said(kept.payload),
        stored=stored,
        stored_says=_said(stored.leaf) if stored else [],
        record=_record_of(db, me.scope, kept) if stored else None,
    )


def _kept(db: Session, scope: Scope, digest: str) -> SetAsideKept:
    """Raises: NoSuchCase."""
    try:
        found = browsing.set_aside_item(db, scope, bytes.fromhex(digest))
    except ValueError:
        found = None
    if found is None:
        raise NoSuchCase
    return found


def _said(leaf: bytes) -> list[Line]:
    """What a report says, whether or not its signature holds; nothing when it cannot be read."""
    try:
        facts = evidence.facts_of_event(events.peek(leaf))
    except ProtocolError:
        return []
    return ledger_words.lines(facts, known={})


def _record_of(db: Session, scope: Scope, kept: SetAsideKept) -> EntryRead | None:
    """The ledger's own entry about this contradiction."""
    wanted = Wanted(refs=(f"device:{kept.item.device_id}",), kind=LeafKind.ENTRY, entry_type=EntryType.EQUIVOCATION)
    leaf_hash = merkle.leaf_hash(kept.payload).hex()
    for entry in browsing.page(db, scope, wanted).entries:
        if any(fact.name == "other" and fact.value == leaf_hash for fact in evidence.decoded(entry, {})):
            return entry
    return None


def _after(item: SetAsideRead) -> str:
    """The place of `item` in the list, for the address of the next page."""
    micros = (item.last_at - _EPOCH) // timedelta(microseconds=1)
    return f"{micros}-{base64.urlsafe_b64encode(item.digest).decode().rstrip('=')}"


def _place(text: str) -> tuple[datetime, bytes] | None:
    """Raises: NoSuchCase."""
    if not text:
        return None
    micros, _dash, digest = text.partition("-")
    try:
        at = _EPOCH + timedelta(microseconds=int(micros))
        return at, base64.urlsafe_b64decode(digest + "=")
    except (ValueError, OverflowError, binascii.Error) as error:
        raise NoSuchCase from error
