"""The electronic seal as a business step, and what other slices ask about it.

`make` seals outside any session, since it reads files and computes for a tenth of a second; `keep` puts the result on
record in the caller's transaction. Until then the sealed bytes are nobody's but this process's. Both look first
whether the request's document has its seal already, so that doing it twice gives the same file.
"""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlmodel import Session

from firmware_protocol import trace
from firmware_protocol.purposes import Purpose
from firmware_protocol.trace import TraceCode
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.eseals import authority, ca, store
from server.eseals.errors import CertificateRevoked, NoSuchEseal, NotSealed, WithdrawnAlready
from server.eseals.models import Eseal
from server.eseals.offline import CODE_KIND, sealing_reason, verdict_of
from server.eseals.refusals import SealingFailed
from server.eseals.schemas import EsealRead, Made, Order
from server.eseals.unreadable import UnreadableDocument
from server.identity import entries
from server.identity.entries import EntryType
from server.jobs import service as jobs
from server.ledger import service as ledger
from server.seals import service as seals
from server.seals.errors import SealNotActive
from server.seals.schemas import SealRead, SealState
from server.verification.code import code_hash
from server.verification.trust import Withdrawal

__all__ = [
    "Made",
    "Order",
    "eseal",
    "eseals",
    "issue",
    "keep",
    "lists_file",
    "make",
    "of_code",
    "of_request",
    "publish_withdrawals",
    "revoke_certificate",
    "sealed_pdf",
    "verdict_of",
    "withdraw",
]

LEVEL: Final = "B-LTA"
"""PAdES level of what is made here: revocation list and archive time stamp are inside the file."""
INSPECT_S: Final = 20.0
PUBLISH_JOB: Final = "eseals.publish"


def issue(run: Runtime, order: Order) -> EsealRead:
    """`make` and `keep` as one step, with sessions of its own; the second call answers with the first one's seal.

    Raises: what `make` and `keep` raise.
    """
    with run.db.read() as db:
        known = store.of_document(db, order.tenant_id, order.request_id, order.document_digest)
    if known is not None:
        return EsealRead.model_validate(known)
    made = make(run, order)
    with run.db.write() as db:
        return keep(db, run, made)


def make(run: Runtime, order: Order) -> Made:
    """Seal the document of `order`, byte for byte as it was approved; nothing is stored. Call it outside any session.

    Raises: NoSuchSeal, SealNotActive, CertificateRevoked, BlobMissing, NotSealed, WorkerTimeout, WorkerCrashed.
    """
    everywhere = Scope.system(order.tenant_id)
    with run.db.read() as db:
        seal = _active(db, order)
        artwork = seals.specimen(db, run, everywhere, order.seal_id)
        document = run.blobs.get(db, order.document_digest, scope=everywhere)
    at_work = authority.open_authority(run)
    if at_work.revoked:
        raise CertificateRevoked
    if at_work.list_wears_out(run.now()):
        authority.publish(run)
        at_work = authority.open_authority(run)
    try:
        run.workers.call("server.eseals.intake:inspect_document", document, timeout_s=INSPECT_S)
        return _sealed(run, order, at_work, document=document, artwork=artwork, seal=seal)
    except (SealingFailed, UnreadableDocument) as error:
        raise NotSealed.because(error) from error


def keep(db: Session, run: Runtime, made: Made) -> EsealRead:
    """Store the sealed file and put it on record. If another was faster, that one's seal is the answer.

    Raises: NoSuchSeal, SealNotActive (suspended meanwhile).
    """
    order = made.order
    known = store.of_document(db, order.tenant_id, order.request_id, order.document_digest)
    if known is not None:
        return EsealRead.model_validate(known)
    _active(db, order)
    sealed_digest = run.blobs.put(db, made.data, "application/pdf", scope=Scope.system(order.tenant_id))
    row = Eseal(
        id=made.eseal_id,
        created_at=run.now(),
        tenant_id=order.tenant_id,
        branch_path=order.branch_path,
        request_id=order.request_id,
        seal_id=order.seal_id,
        document_digest=order.document_digest,
        sealed_digest=sealed_digest,
        level=made.level,
        certificate_serial=f"{x509.load_der_x509_certificate(made.certificate).serial_number:x}",
        trace_code=made.trace_code,
        code_hash=code_hash(made.trace_code),
        short_code=trace.short_code(made.trace_code),
        sealed_at=made.sealed_at,
        ordered_by=order.ordered_by,
        leaf_hash=_record_issue(db, run, made, sealed_digest),
    )
    db.add(row)
    db.flush()
    return EsealRead.model_validate(row)


def withdraw(db: Session, run: Runtime, scope: Scope, *, eseal_id: UUID, reason: str) -> EsealRead:
    """From now on this seal must not be relied on; the worker tells everyone who holds a trust bundle.

    Raises: NoSuchEseal, WithdrawnAlready.
    """
    row = store.eseal(db, scope, eseal_id, lock=True)
    if row is None:
        raise NoSuchEseal
    if row.withdrawn_at is not None:
        raise WithdrawnAlready
    row.withdrawn_at, row.withdrawn_because = run.now(), reason
    db.add(row)
    db.flush()
    entries.record(
        db,
        run,
        EntryType.CODE_WITHDRAWN,
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        refs={"code": row.short_code, "request": str(row.request_id), "seal": str(row.seal_id)},
        public={"since_ms": row.withdrawn_at},
        private={"reason": reason, "by": scope.person_id},
    )
    jobs.enqueue(db, PUBLISH_JOB, {}, now=run.now())
    return EsealRead.model_validate(row)


def publish_withdrawals(run: Runtime) -> None:
    """Put every withdrawn code into the trust bundle. Doing it again adds nothing."""
    with run.db.read() as db:
        rows = store.withdrawn(db)
        gone = [_withdrawal(row.code_hash, row.withdrawn_at) for row in rows if row.withdrawn_at]
    authority.publish(run, withdrawn=gone)


def revoke_certificate(run: Runtime, *, reason: x509.ReasonFlags) -> None:
    """After a theft of the seal key: a new revocation list in the trust bundle. What was sealed before stays sealed.

    Nothing can be sealed until there is a new certificate. Doing it again adds nothing.
    """
    serial = authority.open_authority(run).seal.certificate.serial_number
    authority.publish(run, revoked=[ca.Revocation(serial=serial, at=run.now(), reason=reason)])


def eseal(db: Session, scope: Scope, eseal_id: UUID) -> EsealRead:
    """Raises: NoSuchEseal."""
    row = store.eseal(db, scope, eseal_id)
    if row is None:
        raise NoSuchEseal
    return EsealRead.model_validate(row)


def eseals(db: Session, scope: Scope, *, limit: int = 100) -> list[EsealRead]:
    """Newest first."""
    return [EsealRead.model_validate(row) for row in store.eseals(db, scope, limit=limit)]


def of_request(db: Session, scope: Scope, request_id: UUID) -> EsealRead | None:
    """The newest electronic seal of a request, when the scope may see it."""
    rows = store.of_request(db, scope, request_id)
    return EsealRead.model_validate(rows[0]) if rows else None


def of_code(db: Session, signed_code: bytes) -> EsealRead | None:
    """For the public page: the seal that this trace code stands for; asks without a scope."""
    row = store.public_of_code(db, code_hash(signed_code))
    return None if row is None else EsealRead.model_validate(row)


def sealed_pdf(db: Session, run: Runtime, scope: Scope, eseal_id: UUID) -> bytes:
    """The sealed file. Raises: NoSuchEseal."""
    found = eseal(db, scope, eseal_id)
    return run.blobs.get(db, found.sealed_digest, scope=Scope.system(found.tenant_id))


def lists_file(db: Session) -> Callable[[bytes], bool]:
    """For `verdict_of`: whether the ledger's tree lists a digest as a file that was sealed here. Withdrawn ones not."""

    def listed(digest: bytes) -> bool:
        row = store.public_of_file(db, digest)
        if row is None or row.withdrawn_at is not None:
            return False
        return ledger.entry(db, Scope.system(row.tenant_id), row.leaf_hash) is not None

    return listed


def _active(db: Session, order: Order) -> SealRead:
    """Raises: NoSuchSeal, SealNotActive."""
    seal = seals.seal(db, Scope.system(order.tenant_id), order.seal_id)
    if seal.state is not SealState.ACTIVE:
        raise SealNotActive(state=seal.state.value)
    return seal


def _sealed(
    run: Runtime, order: Order, at_work: authority.SealAuthority, *, document: bytes, artwork: bytes, seal: SealRead
) -> Made:
    """Raises: SealingFailed."""
    from server.eseals.appearance import SealPlace  # with pyHanko: half a second, paid at the first seal
    from server.eseals.sealing import seal_pdf

    eseal_id, now = run.new_id(), run.now()
    code = TraceCode(
        use=eseal_id.bytes[:8], document=order.document_digest[:16], counter=0, head=order.seal_id.bytes[:4]
    )
    signed_code = trace.sign(code, key=run.keys.signer(Purpose.TRACE))
    trace_url = trace.url(signed_code, host=urlsplit(run.settings.public_url).netloc)
    data = seal_pdf(
        document,
        signer=at_work.seal,
        place=SealPlace(page=order.page - 1, x_mm=order.x_mm, y_mm=order.y_mm, diameter_mm=seal.diameter_mm),
        artwork_png=artwork,
        trace_url=trace_url,
        short_code=trace.short_code(signed_code),
        timestamper=at_work.timestamper(clock=run.now, serials=lambda: run.rng.token_bytes(16)),
        now=now,
        reason=sealing_reason(order.request_name, trace_url),
        archive=at_work.archive(),
    )
    certificate = at_work.seal.certificate.public_bytes(Encoding.DER)
    return Made(
        eseal_id=eseal_id,
        order=order,
        data=data,
        level=LEVEL,
        certificate=certificate,
        trace_code=signed_code,
        sealed_at=now,
    )


def _record_issue(db: Session, run: Runtime, made: Made, sealed_digest: bytes) -> bytes:
    """The ESEAL_ISSUED entry; returns its leaf hash."""
    order = made.order
    return entries.record(
        db,
        run,
        EntryType.ESEAL_ISSUED,
        tenant_id=order.tenant_id,
        branch_path=order.branch_path,
        refs={
            "request": str(order.request_id),
            "seal": str(order.seal_id),
            "document": order.document_digest.hex(),
            "sealed": sealed_digest.hex(),
            "code": trace.short_code(made.trace_code),
        },
        public={
            "document_digest": order.document_digest,
            "sealed_digest": sealed_digest,
            "level": made.level,
            "certificate_digest": hashlib.sha256(made.certificate).digest(),
            "trace_code": made.trace_code,
            "time_ms": made.sealed_at,
        },
        private={"title": order.title, "by": order.ordered_by},
    )


def _withdrawal(hashed: bytes, at: datetime) -> Withdrawal:
    """The bundle is public: why it was withdrawn stays here."""
    return Withdrawal(kind=CODE_KIND, id=hashed, since=int(at.timestamp()), reason="withdrawn")
