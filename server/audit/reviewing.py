"""Presses that nothing was compared before, or that nobody can confirm: a person looks at the photos and decides.

Until then the public page says of their codes "cannot confirm". The word is an entry of the ledger (VERDICT); a refused
press has its code withdrawn as well.
"""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from sqlmodel import Session

from firmware_protocol import cbor
from server.approvals import service as approvals
from server.audit import store
from server.audit.errors import NoSuchReview, NotYourReview, ReasonMissing, ReviewedAlready
from server.audit.models import StrokeVerdict
from server.audit.schemas import ReviewRead, VerdictRead
from server.core.runtime import Runtime
from server.core.scope import Role, Scope
from server.events import service as events
from server.events.schemas import StrokeRead
from server.identity import entries
from server.identity import service as identity
from server.identity.entries import EntryType
from server.inspection import service as inspection
from server.jobs import service as jobs
from server.tokens import service as tokens

LEAST_REASON: Final = 3
SNAPSHOT: Final = "public.snapshot"


def open_reviews(db: Session, run: Runtime, scope: Scope) -> list[ReviewRead]:
    """Everything that waits for a person's decision, oldest first."""
    rows = events.unchecked(db, scope)
    decided = store.decided(db, {row.token_id for row in rows})
    return [_read(db, run, scope, row) for row in rows if (row.token_id, row.stroke) not in decided]


def review(db: Session, run: Runtime, scope: Scope, *, token_id: bytes, stroke: int) -> ReviewRead:
    """One press, decided or not. Raises: NoSuchReview."""
    row = _stroke(db, scope, token_id, stroke)
    return _read(db, run, scope, row)


def is_open(db: Session, row: StrokeRead) -> bool:
    """Whether this press waits for a person."""
    return events.is_unchecked(row) and store.verdict(db, row.token_id, row.stroke) is None


def count_open(db: Session, rows: Sequence[StrokeRead]) -> int:
    """How many of these presses wait for a person."""
    unchecked = [(row.token_id, row.stroke) for row in rows if events.is_unchecked(row)]
    decided = store.decided(db, {token_id for token_id, _stroke in unchecked}) if unchecked else set()
    return sum(one not in decided for one in unchecked)


def may_decide(db: Session, run: Runtime, scope: Scope, read: ReviewRead) -> bool:
    """An auditor or approver of the branch who neither stamped nor asked."""
    asked = approvals.request(db, run, Scope.system(scope.tenant_id), read.request_id)
    if scope.person_id is None or scope.person_id in {read.keeper_id, asked.requester_id}:
        return False
    return any(
        identity.holds(db, scope.tenant_id, scope.person_id, role, asked.branch_path)
        for role in (Role.AUDITOR, Role.APPROVER)
    )


def decide(
    db: Session, run: Runtime, scope: Scope, *, token_id: bytes, stroke: int, confirmed: bool, reason: str
) -> ReviewRead:
    """Put a person's word on record. Raises: NoSuchReview, NotYourReview, ReviewedAlready, ReasonMissing."""
    row = _stroke(db, scope, token_id, stroke)
    read = _read(db, run, scope, row)
    if scope.person_id is None or not may_decide(db, run, scope, read):
        raise NotYourReview
    if not is_open(db, row):
        raise ReviewedAlready
    if len(reason.strip()) < LEAST_REASON:
        raise ReasonMissing
    asked = approvals.request(db, run, Scope.system(scope.tenant_id), row.request_id)
    leaf_hash = _record(db, run, scope, row, confirmed=confirmed, reason=reason.strip(), branch_path=asked.branch_path)
    if not confirmed and row.short_code:
        entries.record(
            db,
            run,
            EntryType.CODE_WITHDRAWN,
            tenant_id=asked.tenant_id,
            branch_path=asked.branch_path,
            refs={"code": row.short_code, "request": asked.id, "seal": asked.seal_id, "token": token_id},
            public={"since_ms": run.now()},
            private={"reason": reason.strip(), "by": scope.person_id},
        )
    if not confirmed and row.trace_code:
        events.withdraw_code(db, run, row.trace_code)
    db.add(
        StrokeVerdict(
            id=run.new_id(),
            created_at=run.now(),
            tenant_id=asked.tenant_id,
            branch_path=asked.branch_path,
            request_id=asked.id,
            token_id=token_id,
            stroke=stroke,
            confirmed=confirmed,
            reason=reason.strip(),
            person_id=scope.person_id,
            leaf_hash=leaf_hash,
        )
    )
    db.flush()
    jobs.enqueue(db, SNAPSHOT, {}, now=run.now())
    return _read(db, run, scope, row)


def verdicts(db: Session, scope: Scope, request_id: UUID) -> dict[tuple[bytes, int], VerdictRead]:
    """Decided presses of a request, by token and stroke."""
    rows = store.of_request(db, scope.tenant_id, request_id)
    names = identity.names(db, scope.tenant_id, [row.person_id for row in rows])
    return {(row.token_id, row.stroke): _verdict(row, names.get(row.person_id, "")) for row in rows}


def _record(
    db: Session, run: Runtime, scope: Scope, row: StrokeRead, *, confirmed: bool, reason: str, branch_path: str
) -> bytes:
    nonce = run.rng.token_bytes(16)
    verdict = "confirmed" if confirmed else "refused"
    said = cbor.encode(["seal/1/review", row.token_id, row.stroke, verdict, reason, nonce])
    photo = row.after_photo or row.before_photo
    refs: dict[str, object] = {"request": row.request_id, "device": row.device_id, "token": row.token_id}
    if row.short_code:
        refs["code"] = row.short_code
    if photo is not None:
        refs["photo"] = photo
    return entries.record(
        db,
        run,
        EntryType.VERDICT,
        tenant_id=scope.tenant_id,
        branch_path=branch_path,
        refs=refs,
        public={
            "stroke": row.stroke,
            "verdict": verdict,
            "finding_kind": "unclear_press" if row.state == "unknown" else "unchecked_page",
            "method": "session, attested by the server",
            "photo_digest": photo or b"",
        },
        private={"reason": reason, "by": scope.person_id, "assertion": said},
    )


def _stroke(db: Session, scope: Scope, token_id: bytes, stroke: int) -> StrokeRead:
    row = events.stroke(db, token_id, stroke)
    token = tokens.token(db, scope, token_id)
    if row is None or token is None or not (events.is_unchecked(row) or store.verdict(db, token_id, stroke)):
        raise NoSuchReview
    return row


def _read(db: Session, run: Runtime, scope: Scope, row: StrokeRead) -> ReviewRead:
    token = tokens.token(db, Scope.system(scope.tenant_id), row.token_id)
    if token is None:
        raise NoSuchReview
    asked = approvals.request(db, run, Scope.system(token.tenant_id), row.request_id)
    names = identity.names(db, token.tenant_id, [token.operator_id])
    found = store.verdict(db, row.token_id, row.stroke)
    by = identity.names(db, token.tenant_id, [found.person_id]).get(found.person_id, "") if found else ""
    looks = inspection.findings_of_token(db, row.token_id, kind="later")
    imprints = inspection.findings_of_token(db, row.token_id, kind="imprint")
    return ReviewRead(
        request_id=asked.id,
        short=asked.short,
        title=asked.title,
        stroke=row,
        mode=token.mode,
        keeper_id=token.operator_id,
        keeper_name=names.get(token.operator_id, ""),
        page_finding=next((look for look in reversed(looks) if look.stroke == row.stroke), None),
        imprint_finding=next((look for look in reversed(imprints) if look.stroke == row.stroke), None),
        verdict=_verdict(found, by) if found else None,
    )


def _verdict(row: StrokeVerdict, by: str) -> VerdictRead:
    return VerdictRead(confirmed=row.confirmed, reason=row.reason, by=by, at=row.created_at, leaf_hash=row.leaf_hash)
