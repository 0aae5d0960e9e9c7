"""What belongs to one request in the ledger and among the photos, as the members of a bundle."""

import hashlib
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlmodel import Session

from server.archive.errors import StillBeingFiled
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.events import service as events
from server.ledger import service as ledger
from server.ledger.schemas import EntryRead
from server.ledger.service import EntryType
from server.tokens import service as tokens
from server.verification.leaves import write_openings

_PAGE: Final = 500
_ABOUT_RECORDS: Final = frozenset({EntryType.RECORD_FILED, EntryType.RECORD_ERASED, EntryType.BUNDLE_ISSUED})


def leaves(db: Session, scope: Scope, request_id: UUID) -> list[EntryRead]:
    """Everything in the tree about the request, its tokens and their strokes, in log order."""
    refs = [f"request:{request_id}"]
    refs += [f"token:{token.token_id.hex()}" for token in tokens.tokens_of(db, scope, request_id)]
    found = {entry.index: entry for ref in refs for entry in _all(db, scope, ref)}
    return [found[index] for index in sorted(found)]


def belongs_to_record(leaf: EntryRead) -> bool:
    """Entries about the record itself cannot be part of its digest."""
    return leaf.entry_type not in _ABOUT_RECORDS


def photos(db: Session, run: Runtime, scope: Scope, request_id: UUID) -> tuple[bytes, ...]:
    """Digests of every photo of the request that is stored here: before and after, preview and full, with its label."""
    announced = {
        digest
        for stroke in events.strokes(db, scope, request_id)
        for digest in (
            stroke.before_preview,
            stroke.before_photo,
            stroke.after_preview,
            stroke.after_photo,
            stroke.label_photo,
        )
        if digest is not None
    }
    return tuple(digest for digest in sorted(announced) if run.blobs.exists(db, digest, scope=scope))


def proven(db: Session, run: Runtime, found: Sequence[EntryRead]) -> dict[str, bytes]:
    """Entries, their proofs, the one checkpoint that all proofs lead to, and time stamps over it.

    The checkpoint is the one that says most: cosigned by outside witnesses and stamped, when one holds all entries.
    Raises: StillBeingFiled.
    """
    settings = run.settings
    outside = [one.vkey.partition("+")[0] for one in settings.witnesses if not one.own]
    last = max((leaf.index for leaf in found), default=0)
    under = ledger.best_checkpoint(db, names=outside, quorum=settings.witness_quorum, holding=last)
    members = {"checkpoint": under.note.encode("utf-8")}
    for leaf in found:
        proof = ledger.proof(db, leaf.leaf_hash, under=under)
        if proof is None:
            raise StillBeingFiled
        name = leaf.leaf_hash.hex()
        members[f"entries/{name}.cose"] = leaf.leaf
        members[f"proofs/{name}.tlog-proof"] = proof.text().encode("utf-8")
    return members | _stamps(db, under.size)


def _stamps(db: Session, size: int) -> dict[str, bytes]:
    """Time stamps over the checkpoint of `size` entries, beside the exact bytes that they stamp."""
    anchors = ledger.anchors(db, size)
    stamped = ledger.checkpoint_as_stamped(db, size)
    if not anchors or stamped is None:
        return {}
    members = {f"anchors/{anchor.authority}.tsr": anchor.answer for anchor in anchors}
    return {"anchors/checkpoint": stamped.encode("utf-8"), **members}


def openings(db: Session, scope: Scope, found: Sequence[EntryRead]) -> dict[str, bytes]:
    """Salts and values that the reader may see and nobody erased."""
    members = {}
    for leaf in found:
        visible = {label: one for label, one in ledger.openings(db, scope, leaf.leaf_hash).items() if one is not None}
        if visible:
            members[f"openings/{leaf.leaf_hash.hex()}.json"] = write_openings(visible)
    return members


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _all(db: Session, scope: Scope, ref: str) -> list[EntryRead]:
    out: list[EntryRead] = []
    before = None
    while page := ledger.find(db, scope, ref=ref, before=before, limit=_PAGE):
        out += page
        before = page[-1].index
    return out
