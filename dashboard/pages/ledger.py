"""The ledger on screens: its newest entries, one entry in words with its proof, and the raw files for other tools."""

import base64
import re
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import PlainTextResponse, RedirectResponse, Response

from dashboard.view import evidence
from dashboard.web.rendering import pages_of
from dashboard.web.viewer import Me
from server.core.db import DbRead
from server.core.errors import NotFound
from server.core.i18n import N_
from server.core.scope import Role, Scope
from server.identity.guard import Run
from server.ledger import service as ledger
from server.ledger.errors import LogNotStarted
from server.ledger.schemas import EntryRead

router = APIRouter(include_in_schema=False, prefix="/ledger")

PAGE: Final = 40
_HEX64: Final = re.compile(r"[0-9a-f]{64}")
READS_NAMES: Final = (Role.AUDITOR, Role.ADMINISTRATOR)
"""Who sees the opened commitments of an entry: names, titles, amounts."""


class NoSuchEntry(NotFound):
    happened = N_("There is no such entry in the ledger, or it belongs to another branch.")


@router.get("")
def show_ledger(request: Request, db: DbRead, me: Me, about: str = "", before: int | None = None) -> Response:
    """`about`: `kind:value` such as `request:ID`, a device id, or a leaf hash."""
    about = about.strip()
    if _HEX64.fullmatch(about) and ledger.entry(db, me.scope, bytes.fromhex(about)) is not None:
        return RedirectResponse(f"/ledger/{about}", status_code=303)
    kind, colon, value = about.partition(":")
    ref = about if colon and kind != "device" else None
    device_id = (value if kind == "device" else about) if ref is None and about else None
    entries = ledger.find(db, me.scope, ref=ref, device_id=device_id, before=before, limit=PAGE)
    if device_id is not None and not entries:
        entries = ledger.find(db, me.scope, ref=f"device:{device_id}", before=before, limit=PAGE)
    try:
        size, root = ledger.head(db)
    except LogNotStarted:
        size, root = 0, b""
    return pages_of(request).page(
        request,
        "ledger.html",
        me=me,
        entries=entries,
        about=about,
        size=size,
        root=root,
        waiting=ledger.queued(db),
        older=entries[-1].index if len(entries) == PAGE else None,
    )


@router.get("/checkpoint")
def checkpoint(db: DbRead, _me: Me) -> Response:
    """The newest signed tree head, a C2SP signed note."""
    return PlainTextResponse(ledger.checkpoint(db).note)


@router.get("/{leaf_hash}.cose")
def raw_leaf(leaf_hash: str, db: DbRead, me: Me) -> Response:
    """The exact signed bytes."""
    entry = _entry(db, me.scope, leaf_hash)
    return _download(entry.leaf, "application/cose", f"{leaf_hash}.cose")


@router.get("/{leaf_hash}.tlog-proof")
def raw_proof(leaf_hash: str, db: DbRead, me: Me) -> Response:
    """Index, inclusion path and checkpoint in one text (c2sp.org/tlog-proof)."""
    entry = _entry(db, me.scope, leaf_hash)
    proof = ledger.proof(db, entry.leaf_hash)
    if proof is None:
        raise NoSuchEntry
    return _download(proof.text().encode(), "text/plain; charset=utf-8", f"{leaf_hash}.tlog-proof")


@router.get("/{leaf_hash}")
def show_entry(request: Request, leaf_hash: str, db: DbRead, run: Run, me: Me) -> Response:
    entry = _entry(db, me.scope, leaf_hash)
    proof = ledger.proof(db, entry.leaf_hash)
    openings = ledger.openings(db, me.scope, entry.leaf_hash) if me.scope.has(*READS_NAMES) else {}
    return pages_of(request).page(
        request,
        "entry.html",
        me=me,
        entry=entry,
        facts=evidence.decoded(entry, openings),
        signer=evidence.signer_of(entry, run),
        proof=proof,
        path_base64=[base64.b64encode(node).decode() for node in proof.path] if proof else [],
        root_base64=base64.b64encode(proof.checkpoint.root).decode() if proof else "",
        leaf_base64=base64.b64encode(entry.leaf).decode(),
    )


def _entry(db: DbRead, scope: Scope, leaf_hash: str) -> EntryRead:
    """Raises: NoSuchEntry."""
    found = ledger.entry(db, scope, bytes.fromhex(leaf_hash)) if _HEX64.fullmatch(leaf_hash) else None
    if found is None:
        raise NoSuchEntry
    return found


def _download(data: bytes, media_type: str, name: str) -> Response:
    return Response(data, media_type=media_type, headers={"Content-Disposition": f'attachment; filename="{name}"'})
