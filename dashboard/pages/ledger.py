"""The ledger on screens: its newest entries, one entry in words with its proof, and the raw files for other tools."""

import re
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response

from dashboard.pages.ledger_browser import READS_NAMES, View, browsed, download, known_names
from dashboard.view import evidence, ledger_words
from dashboard.view.ledger_signer import signer
from dashboard.web.rendering import pages_of
from dashboard.web.viewer import Me
from firmware_protocol.purposes import Purpose
from server.core.db import DbRead
from server.core.errors import NotFound
from server.core.i18n import N_
from server.core.scope import Scope
from server.identity.guard import Run
from server.ledger import service as ledger
from server.ledger.schemas import EntryRead

router = APIRouter(include_in_schema=False, prefix="/ledger")

_HEX64: Final = re.compile(r"[0-9a-f]{64}")


class NoSuchEntry(NotFound):
    happened = N_("There is no such entry in the ledger, or it belongs to another branch.")


@router.get("")
def show_ledger(request: Request, db: DbRead, me: Me, view: View) -> Response:
    """The newest entries, or those that fit the filters in the address. `about` may also be a leaf hash."""
    about = view.about.strip()
    if _HEX64.fullmatch(about) and ledger.entry(db, me.scope, bytes.fromhex(about)) is not None:
        return RedirectResponse(f"/ledger/{about}", status_code=303)
    return pages_of(request).page(request, "ledger.html", me=me, **browsed(db, me, view))


@router.get("/checkpoint")
def checkpoint(db: DbRead, _me: Me) -> Response:
    """The newest signed tree head, a C2SP signed note."""
    return PlainTextResponse(ledger.checkpoint(db).note)


@router.get("/{leaf_hash}.cose")
def raw_leaf(leaf_hash: str, db: DbRead, me: Me) -> Response:
    """The exact signed bytes."""
    entry = _entry(db, me.scope, leaf_hash)
    return download(entry.leaf, "application/cose", f"{leaf_hash}.cose")


@router.get("/{leaf_hash}.tlog-proof")
def raw_proof(leaf_hash: str, db: DbRead, me: Me) -> Response:
    """Index, inclusion path and checkpoint in one text (c2sp.org/tlog-proof)."""
    entry = _entry(db, me.scope, leaf_hash)
    proof = ledger.proof(db, entry.leaf_hash)
    if proof is None:
        raise NoSuchEntry
    return download(proof.text().encode(), "text/plain; charset=utf-8", f"{leaf_hash}.tlog-proof")


@router.get("/{leaf_hash}")
def show_entry(request: Request, leaf_hash: str, db: DbRead, run: Run, me: Me) -> Response:
    entry = _entry(db, me.scope, leaf_hash)
    proof = ledger.proof(db, entry.leaf_hash)
    may_open = me.scope.has(*READS_NAMES)
    openings = ledger.openings(db, me.scope, entry.leaf_hash) if may_open else {}
    facts = evidence.decoded(entry, openings)
    key = run.keys.signer(Purpose.CHECKPOINT).public_key
    return pages_of(request).page(
        request,
        "entry.html",
        me=me,
        entry=entry,
        lines=ledger_words.lines(facts, known=known_names(db, me.scope, facts, may_open=may_open)),
        signer=signer(db, run, me.scope, entry, may_open=may_open),
        proof=proof,
        vkey=ledger.verifier_key(db, public_key=key).text() if proof else "",
    )


def _entry(db: DbRead, scope: Scope, leaf_hash: str) -> EntryRead:
    """Raises: NoSuchEntry."""
    found = ledger.entry(db, scope, bytes.fromhex(leaf_hash)) if _HEX64.fullmatch(leaf_hash) else None
    if found is None:
        raise NoSuchEntry
    return found
