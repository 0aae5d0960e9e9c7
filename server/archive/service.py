"""Filing a finished request, and handing out its evidence bundle."""

from typing import Final
from uuid import UUID

from sqlmodel import Session

from server.approvals import service as approvals
from server.approvals.policy import State
from server.approvals.schemas import RequestRead
from server.archive import gathering, store
from server.archive.errors import NotFinished, StillBeingFiled
from server.archive.models import FiledRecord
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.core.trustfile import TrustFile
from server.eseals import service as eseals
from server.identity import entries
from server.identity.entries import EntryType
from server.verification import bundle, manifest

USUAL_CLASS: Final = "document"
TEXT_S: Final = 20.0
TEXT_DPI: Final = 72

__all__ = ["build_bundle", "file_request", "record"]


def file_request(run: Runtime, *, tenant_id: UUID, request_id: UUID) -> FiledRecord:
    """Put on record that this request is complete, with everything that belongs to it; again only if that changed.

    Opens its own sessions: reading the document's text is slow. Raises: NoSuchRequest, NotFinished.
    """
    everywhere = Scope.system(tenant_id)
    with run.db.read() as db:
        request = _finished(db, run, everywhere, request_id)
        known = store.of_request(db, everywhere, request_id)
        text = "" if known is None else known.text
        document = b"" if known else run.blobs.get(db, request.document_digest, scope=everywhere)
    if known is None:
        text = _text(run, document, request.pages)
    with run.db.write() as db:
        return _file(db, run, request, text=text)


def record(db: Session, scope: Scope, request_id: UUID) -> FiledRecord | None:
    return store.of_request(db, scope, request_id)


def build_bundle(run: Runtime, scope: Scope, *, request_id: UUID) -> bytes:
    """The evidence bundle of a finished request, with the openings that `scope` may see. Files the record if needed.

    Opens its own sessions. Raises: NoSuchRequest, NotFinished, StillBeingFiled (the sequencer works on it).
    """
    with run.db.read() as db:
        approvals.request(db, run, scope, request_id)  # who may not see it learns nothing
    filed = file_request(run, tenant_id=scope.tenant_id, request_id=request_id)
    with run.db.read() as db:
        members = _members(db, run, scope, filed)
    kept = manifest.Record(document=filed.document_digest, leaves=_bytes(filed.leaves), photos=_bytes(filed.photos))
    data = bundle.build(members, request=str(request_id), record=kept)
    with run.db.write() as db:
        entries.record(
            db,
            run,
            EntryType.BUNDLE_ISSUED,
            tenant_id=filed.tenant_id,
            branch_path=filed.branch_path,
            refs={"record": filed.id},
            public={"bundle_digest": gathering.sha256(data)},
            private={"by": scope.person_id},
        )
    return data


def _file(db: Session, run: Runtime, request: RequestRead, *, text: str) -> FiledRecord:
    everywhere = Scope.system(request.tenant_id)
    row = store.of_request(db, everywhere, request.id, lock=True)
    found = gathering.leaves(db, everywhere, request.id)
    kept = manifest.Record(
        document=request.document_digest,
        leaves=tuple(leaf.leaf_hash for leaf in found if gathering.belongs_to_record(leaf)),
        photos=gathering.photos(db, run, everywhere, request.id),
    )
    if row is not None and row.record_digest == kept.digest():
        return row
    row = row or FiledRecord(
        id=run.new_id(),
        created_at=run.now(),
        tenant_id=request.tenant_id,
        branch_path=request.branch_path,
        request_id=request.id,
        title=request.title,
        document_class=USUAL_CLASS,
        document_digest=request.document_digest,
        text=text,
        leaves=[],
        photos=[],
        record_digest=b"",
        leaf_hash=b"",
    )
    row.leaves, row.photos = [leaf.hex() for leaf in kept.leaves], [photo.hex() for photo in kept.photos]
    row.record_digest = kept.digest()
    row.leaf_hash = entries.record(
        db,
        run,
        EntryType.RECORD_FILED,
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        refs={"request": row.request_id, "seal": request.seal_id, "document": row.document_digest, "record": row.id},
        public={"record_digest": row.record_digest, "class": row.document_class, "strokes": request.strokes},
        private={"title": row.title},
    )
    db.add(row)
    db.flush()
    return row


def _members(db: Session, run: Runtime, scope: Scope, filed: FiledRecord) -> dict[str, bytes]:
    """Every member but the manifest. Raises: StillBeingFiled."""
    everywhere = Scope.system(filed.tenant_id)
    found = gathering.leaves(db, everywhere, filed.request_id)
    if filed.leaf_hash not in {leaf.leaf_hash for leaf in found}:
        raise StillBeingFiled
    members = gathering.proven(db, run, found)
    members |= gathering.openings(db, scope, found)
    members |= {
        f"photos/{digest}.jpg": run.blobs.get(db, bytes.fromhex(digest), scope=everywhere) for digest in filed.photos
    }
    members |= {
        f"decisions/{leaf_hash.hex()}.bin": payload
        for _id, payload, leaf_hash in approvals.decided_payloads(db, everywhere, filed.request_id)
    }
    sealed = eseals.of_request(db, everywhere, filed.request_id)
    if sealed is not None:
        members["sealed.pdf"] = run.blobs.get(db, sealed.sealed_digest, scope=everywhere)
    members["document.pdf"] = run.blobs.get(db, filed.document_digest, scope=everywhere)
    members["trust.cose"] = TrustFile(run.settings.home).bundle()
    return members


def _finished(db: Session, run: Runtime, scope: Scope, request_id: UUID) -> RequestRead:
    request = approvals.request(db, run, scope, request_id)
    sealed = eseals.of_request(db, scope, request_id) is not None
    if request.state is not State.DONE and not sealed:
        raise NotFinished(state=request.state.value)
    return request


def _text(run: Runtime, document: bytes, pages: int) -> str:
    """The words of the text layer, a line per page; what cannot be read is left out: the picture stays."""
    lines = []
    for index in range(pages):
        words = run.workers.call("server.eseals.pages:page_word_rows", document, index, TEXT_DPI, timeout_s=TEXT_S)
        lines.append(" ".join(word[0] for word in words))
    return "\n".join(lines)


def _bytes(hexes: list[str]) -> tuple[bytes, ...]:
    return tuple(bytes.fromhex(one) for one in hexes)
