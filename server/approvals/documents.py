"""Documents on their way in: gate and normal form in a sandboxed worker, then stored; pages as pictures, made once."""

import hashlib
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from server.approvals import store
from server.approvals.errors import DocumentRefused, NoSuchDocument, NoSuchPage
from server.approvals.models import Document, PagePicture
from server.approvals.schemas import DocumentRead
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.eseals.unreadable import UnreadableDocument

PICTURE_DPI: Final = 110
"""Sharp enough to read 8 pt on a phone when zoomed, about 150 KB a page."""
INSPECT_S: Final = 20.0
NORMALISE_S: Final = 60.0
RENDER_S: Final = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A document that passed the gate, not stored yet."""

    original: bytes
    original_type: str
    pdf: bytes
    pages: int
    title: str
    has_text: bool
    sizes_mm: tuple[tuple[float, float], ...]
    warnings: tuple[str, ...]

    @property
    def digest(self) -> bytes:
        """SHA-256 of the normal form: the document digest everywhere."""
        return hashlib.sha256(self.pdf).digest()


def prepare(run: Runtime, data: bytes) -> Prepared:
    """Gate and normalise a PDF, JPG or PNG. Slow: call it outside any session.

    Raises: DocumentRefused, WorkerTimeout, WorkerCrashed.
    """
    info = _in_worker(run, "server.eseals.intake:inspect_document", data, timeout_s=INSPECT_S)
    pdf: bytes = _in_worker(run, "server.eseals.normalising:normalise", data, timeout_s=NORMALISE_S)
    return Prepared(
        original=data,
        original_type={"pdf": "application/pdf", "jpeg": "image/jpeg", "png": "image/png"}[info.kind],
        pdf=pdf,
        pages=info.pages,
        title=info.title,
        has_text=info.has_text,
        sizes_mm=info.page_sizes_mm,
        warnings=info.warnings,
    )


def store_document(db: Session, run: Runtime, scope: Scope, prepared: Prepared) -> DocumentRead:
    """Keep the original and the normal form. The same document again changes nothing."""
    known = store.document(db, scope.tenant_id, prepared.digest)
    if known is not None:
        return DocumentRead.model_validate(known)
    row = Document(
        id=run.new_id(),
        created_at=run.now(),
        tenant_id=scope.tenant_id,
        digest=run.blobs.put(db, prepared.pdf, "application/pdf", scope=scope),
        original_digest=run.blobs.put(db, prepared.original, prepared.original_type, scope=scope),
        pages=prepared.pages,
        title=prepared.title,
        has_text=prepared.has_text,
        sizes_mm=[list(size) for size in prepared.sizes_mm],
        warnings=list(prepared.warnings),
    )
    db.add(row)
    db.flush()
    return DocumentRead.model_validate(row)


def document(db: Session, tenant_id: UUID, digest: bytes) -> DocumentRead:
    """For a caller whose own row named this digest. Raises: NoSuchDocument."""
    row = store.document(db, tenant_id, digest)
    if row is None:
        raise NoSuchDocument
    return DocumentRead.model_validate(row)


def pdf(db: Session, run: Runtime, tenant_id: UUID, digest: bytes) -> bytes:
    """The approved PDF, byte for byte. Raises: NoSuchDocument."""
    document(db, tenant_id, digest)
    return run.blobs.get(db, digest, scope=Scope.system(tenant_id))


def page_png(run: Runtime, tenant_id: UUID, digest: bytes, page: int) -> bytes:
    """A page as a PNG for screens, rendered at its first call. Opens its own sessions.

    Raises: NoSuchDocument, NoSuchPage, WorkerTimeout, WorkerCrashed.
    """
    scope = Scope.system(tenant_id)
    with run.db.read() as db:
        found = document(db, tenant_id, digest)
        if not 1 <= page <= found.pages:
            raise NoSuchPage
        picture = store.page_picture(db, tenant_id, digest, page)
        if picture is not None:
            return run.blobs.get(db, picture.picture_digest, scope=scope)
        data = run.blobs.get(db, digest, scope=scope)
    png: bytes = _in_worker(run, "server.eseals.pages:render_page_png", data, page - 1, PICTURE_DPI, timeout_s=RENDER_S)
    try:
        with run.db.write() as db:
            if store.page_picture(db, tenant_id, digest, page) is None:
                _keep_picture(db, run, (digest, page), png, scope=scope)
    except IntegrityError:
        pass  # another process rendered the same page meanwhile (PostgreSQL); its picture is as good
    return png


def _keep_picture(db: Session, run: Runtime, which: tuple[bytes, int], png: bytes, *, scope: Scope) -> None:
    db.add(
        PagePicture(
            id=run.new_id(),
            created_at=run.now(),
            tenant_id=scope.tenant_id,
            document_digest=which[0],
            page=which[1],
            picture_digest=run.blobs.put(db, png, "image/png", scope=scope),
        )
    )


def _in_worker(run: Runtime, function: str, *args: Any, timeout_s: float) -> Any:  # noqa: ANN401 - what it returns
    try:
        return run.workers.call(function, *args, timeout_s=timeout_s)
    except UnreadableDocument as error:
        raise DocumentRefused.because(error) from error
