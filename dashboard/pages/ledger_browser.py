"""Looking through the ledger: filters in the address, pages that begin at an index, and how it grew."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any, Final
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response
from sqlmodel import Session

from dashboard.view import ledger_words
from dashboard.view.evidence import Fact
from dashboard.view.growth import plot
from dashboard.web.rendering import pages_of
from dashboard.web.viewer import Me
from dashboard.web.words import entry_word
from firmware_protocol.events import EventType
from firmware_protocol.purposes import Purpose
from server.core.db import DbRead
from server.core.errors import BadInput
from server.core.i18n import N_
from server.core.scope import Role, Scope
from server.identity import service as identity
from server.identity.guard import Run
from server.identity.schemas import SignedIn
from server.ledger import browsing
from server.ledger import service as ledger
from server.ledger.browsing import Wanted
from server.ledger.entry_types import EntryType
from server.ledger.errors import LogNotStarted
from server.ledger.schemas import LeafKind
from server.seals import service as seals

router = APIRouter(include_in_schema=False, prefix="/ledger")

PAGE: Final = 40
PLOTTED_DAYS: Final = 30
READS_NAMES: Final = (Role.AUDITOR, Role.ADMINISTRATOR)
"""Who sees the opened commitments of an entry: names, titles, amounts."""
_TYPES: Final[dict[str, tuple[LeafKind, EntryType | EventType | None]]] = {
    **{f"entry.{kind.name.lower()}": (LeafKind.ENTRY, kind) for kind in EntryType},
    LeafKind.TOKEN.value: (LeafKind.TOKEN, None),
    LeafKind.PERMIT.value: (LeafKind.PERMIT, None),
    **{f"event.{kind.name.lower()}": (LeafKind.EVENT, kind) for kind in EventType},
}


class NoSuchFilter(BadInput):
    happened = N_(
        "This filter cannot be read: a day is written 2026-11-22, a person and a kind are chosen from the list."
    )
    safe = N_("Nothing was changed.")
    next_step = N_("Go back to the ledger and choose again.")


@dataclass(frozen=True, slots=True)
class Looking:
    """The filters as they stand in the address; empty means all. `about`: `kind:value`, or a device id."""

    about: Annotated[str, Query(max_length=200)] = ""
    seal: Annotated[str, Query(max_length=40)] = ""
    device: Annotated[str, Query(max_length=12)] = ""
    person: Annotated[str, Query(max_length=40)] = ""
    type: Annotated[str, Query(max_length=40)] = ""
    since: Annotated[str, Query(max_length=10)] = ""
    until: Annotated[str, Query(max_length=10)] = ""
    before: int | None = None

    @property
    def chosen(self) -> dict[str, str]:
        """What is not empty, for the address of this view."""
        names = ("about", "seal", "device", "person", "type", "since", "until")
        return {name: value.strip() for name in names if (value := getattr(self, name)).strip()}

    def address(self, before: int | None = None) -> str:
        query = self.chosen | ({} if before is None else {"before": str(before)})
        return f"/ledger?{urlencode(query)}" if query else "/ledger"

    def wanted(self, *, may_open: bool) -> Wanted:
        """Raises: NoSuchFilter."""
        about, device = self.about.strip(), self.device.strip()
        kind, colon, value = about.partition(":")
        refs = [about] if colon and kind != "device" else []
        if about and not refs:
            device = value if colon else about
        if self.seal:
            refs.append(f"seal:{self.seal}")
        leaf_kind, entry_type = _TYPES.get(self.type, (None, None))
        if (self.type and leaf_kind is None) or "\x00" in "".join(self.chosen.values()):
            raise NoSuchFilter
        try:
            return Wanted(
                refs=tuple(refs),
                device_id=device or None,
                person_id=UUID(self.person) if self.person else None,
                may_open=may_open,
                kind=leaf_kind,
                entry_type=entry_type,
                since=date.fromisoformat(self.since) if self.since else None,
                until=date.fromisoformat(self.until) if self.until else None,
            )
        except ValueError as error:
            raise NoSuchFilter from error


View = Annotated[Looking, Depends()]


def browsed(db: Session, me: SignedIn, view: Looking) -> dict[str, Any]:
    """What ledger.html shows: a page of entries, the log's size, and the choices of its filters."""
    may_open = me.scope.has(*READS_NAMES)
    page = browsing.page(db, me.scope, view.wanted(may_open=may_open), before=view.before, limit=PAGE)
    try:
        size, root = ledger.head(db)
    except LogNotStarted:
        size, root = 0, b""
    return {
        "entries": page.entries,
        "page": page,
        "view": view,
        "size": size,
        "root": root,
        "waiting": ledger.queued(db),
        "seals": seals.seals(db, me.scope),
        "device_ids": sorted({head.device_id for head in ledger.device_heads(db, me.scope)}),
        "people": identity.people(db, me.scope) if may_open else [],
        "types": _types(),
    }


def _types() -> list[tuple[str, str]]:
    """(address value, words), by their words."""
    named = [(value, entry_word(kind)) for value, (_leaf, kind) in _TYPES.items() if kind is not None]
    return sorted(named, key=lambda one: one[1].casefold())


@router.get("/growth")
def show_growth(request: Request, db: DbRead, run: Run, me: Me) -> Response:
    """Entries a day and the size of the tree, for the log as a whole."""
    days = browsing.growth(db, days=PLOTTED_DAYS, now=run.now())
    return pages_of(request).page(request, "ledger_growth.html", me=me, days=days, plot=plot(days))


@router.get("/public")
def show_public(request: Request, db: DbRead, run: Run, me: Me) -> Response:
    """What strangers get: the checkpoint, the key that signs it, and how to watch the log."""
    try:
        head = ledger.published_checkpoint(db)
    except LogNotStarted:
        head = None
    key = run.keys.signer(Purpose.CHECKPOINT).public_key
    vkey = ledger.verifier_key(db, public_key=key).text() if head else ""
    return pages_of(request).page(
        request, "ledger_public.html", me=me, head=head, vkey=vkey, address=run.settings.public_url
    )


def known_names(db: Session, scope: Scope, facts: Sequence[Fact], *, may_open: bool) -> dict[str, str]:
    """Id to name, of the seals that the reader may see, and of people if the reader may open names."""
    known = {str(seal.id): seal.name for seal in seals.seals(db, scope)}
    if may_open:
        ids = [UUID(found) for found in ledger_words.ids_in(facts)]
        known |= {str(one): name for one, name in identity.names(db, scope.tenant_id, ids).items()}
    return known


def download(data: bytes, media_type: str, name: str) -> Response:
    return Response(data, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})
