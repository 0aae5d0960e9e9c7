"""The requester's steps: draft, change, submit, withdraw. One guarded place moves a request from state to state."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlmodel import Session

from server.approvals import policy, reading, store
from server.approvals import request as canonical_request
from server.approvals.documents import Prepared, document, store_document
from server.approvals.errors import (
    BadPlace,
    BadRange,
    BadWindow,
    KeeperNotAllowed,
    MustBeLeafedThrough,
    NoSuchRequest,
    NoSuchScan,
    NotYours,
    OfflineNotAllowed,
    RequestOver,
    TooManyStrokes,
    WrongState,
)
from server.approvals.models import StampRequest
from server.approvals.policy import OutOfOrder, State, Step
from server.approvals.request import Canonical, CanonicalPlace
from server.approvals.schemas import (
    MAX_STROKES,
    UNCHECKED,
    DocumentRead,
    PageCheckMode,
    RequestIn,
    RequestRead,
    Stamping,
)
from server.core.runtime import Runtime
from server.core.scope import Role, Scope
from server.identity import entries
from server.identity import service as identity
from server.identity.entries import EntryType
from server.seals import service as seals
from server.seals.schemas import ApprovalRule

USUAL_LIFE: Final = timedelta(days=7)
LONGEST_LIFE: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True)
class Moved:
    before: State
    after: State


def move(row: StampRequest, step: Step, run: Runtime) -> Moved:
    """The one place where a request changes its state. Raises: WrongState, RequestOver."""
    before = reading.state_now(row, run)
    if before is State.EXPIRED and step not in {Step.EXPIRE, Step.WITHDRAW}:
        raise RequestOver(until=row.expires_at.isoformat(timespec="minutes"))
    try:
        after = policy.next_state(State(row.state), step)
    except OutOfOrder as error:
        raise WrongState(state=row.state, step=step.value) from error
    row.state = after.value
    if after in reading.CLOSED:
        row.closed_at = run.now()
    return Moved(before, after)


def create(
    db: Session, run: Runtime, scope: Scope, *, prepared: Prepared, form: RequestIn, scan_id: UUID | None = None
) -> RequestRead:
    """A draft by the person of `scope`, in the branch the session works in.

    Raises: NoSuchSeal, SealNotActive, BadPlace, TooManyStrokes, BadRange, OfflineNotAllowed, BadWindow,
    KeeperNotAllowed, NoSuchScan.
    """
    if scope.person_id is None:
        raise ValueError("the system asks for nothing")
    kept = store_document(db, run, scope, prepared)
    if scan_id is not None:
        _use_scan(db, run, scope, scan_id)
    row = StampRequest(
        id=run.new_id(),
        created_at=run.now(),
        tenant_id=scope.tenant_id,
        branch_path=scope.branch_path,
        number=store.next_number(db, scope.tenant_id),
        state=State.DRAFT.value,
        requester_id=scope.person_id,
        document_digest=kept.digest,
        pages=kept.pages,
        **_fields(db, run, scope, form, kept),
    )
    db.add(row)
    db.flush()
    return read(db, run, row)


def change(
    db: Session, run: Runtime, scope: Scope, *, request_id: UUID, form: RequestIn, prepared: Prepared | None = None
) -> RequestRead:
    """A new revision, a draft again. Decisions made on the old one are void and stay visible as such.

    Raises: NoSuchRequest, NotYours, WrongState, RequestOver, and what `create` raises.
    """
    row = own(db, scope, request_id)
    old_digest = row.digest
    moved = move(row, Step.CHANGE, run)
    if prepared is not None:
        kept = store_document(db, run, scope, prepared)
        row.document_digest, row.pages = kept.digest, kept.pages
    else:
        kept = document(db, row.tenant_id, row.document_digest)
    for name, value in _fields(db, run, scope, form, kept).items():
        setattr(row, name, value)
    if moved.before is not State.DRAFT:
        _void_decisions(db, run, row)
        row.revision += 1
        row.digest = row.canonical = row.rule = row.policy_version = None
        row.submitted_at = row.approved_at = None
    db.add(row)
    db.flush()
    if moved.before is not State.DRAFT:
        public: dict[str, object] = {"old_digest": old_digest or b""}
        record(
            db, run, row, EntryType.REQUEST_VOIDED, public=public, private={"reason": "changed", "by": scope.person_id}
        )
    return read(db, run, row)


def submit(db: Session, run: Runtime, scope: Scope, *, request_id: UUID) -> RequestRead:
    """Freeze the canonical request and the seal's rule, and put its digest on record.

    Raises: NoSuchRequest, NotYours, WrongState, NoSuchSeal, SealNotActive, BadWindow, OfflineNotAllowed.
    """
    row = own(db, scope, request_id)
    if row.expires_at <= run.now():
        raise BadWindow
    move(row, Step.SUBMIT, run)
    seal = seals.usable_seal(db, _at(scope, row.branch_path), row.seal_id)
    _check_offline(Stamping(row.stamping), reading.strokes(row), seal.rule)
    heads = seals.heads(db, Scope.system(row.tenant_id), seal.id)
    row.rule, row.policy_version = seal.rule.to_json(), seal.rule_version
    row.submitted_at = run.now()
    encoded = canonical_request.encode(_canonical(row, tuple(sorted(head.head_id for head in heads))))
    row.canonical, row.digest = encoded, canonical_request.digest(encoded)
    db.add(row)
    db.flush()
    record(
        db,
        run,
        row,
        EntryType.REQUEST_SUBMITTED,
        public={
            "request_digest": row.digest,
            "policy_version": row.policy_version,
            "branch": row.branch_path,
            "pages": row.pages,
            "copies": row.copies,
            "strokes": reading.strokes(row),
            "spares": row.spares,
            "mode": row.stamping,
            "form": row.form,
            "page_check": row.page_check,
        },
        private={
            "canonical": encoded,
            "title": row.title,
            "reason": row.reason,
            "requester": row.requester_id,
            "keeper": row.keeper_id,
            "counterparty": row.counterparty,
            "amount": row.amount,
            "short_name": reading.short(row),
        },
    )
    return read(db, run, row)


def withdraw(db: Session, run: Runtime, scope: Scope, *, request_id: UUID, reason: str) -> RequestRead:
    """Raises: NoSuchRequest, NotYours, WrongState (in use already)."""
    row = own(db, scope, request_id)
    moved = move(row, Step.WITHDRAW, run)
    row.closing_reason = reason
    db.add(row)
    db.flush()
    if moved.before is not State.DRAFT:
        public: dict[str, object] = {"request_digest": row.digest or b""}
        record(
            db, run, row, EntryType.REQUEST_WITHDRAWN, public=public, private={"reason": reason, "by": scope.person_id}
        )
    return read(db, run, row)


def expire_due(db: Session, run: Runtime) -> int:
    """Note the end of requests whose time is over; returns how many."""
    rows = store.overdue(db, run.now())
    for row in rows:
        move(row, Step.EXPIRE, run)
        db.add(row)
    return len(rows)


def own(db: Session, scope: Scope, request_id: UUID) -> StampRequest:
    """The locked row of the person's own request. Raises: NoSuchRequest, NotYours."""
    row = locked(db, scope, request_id)
    if row.requester_id != scope.person_id:
        raise NotYours
    return row


def locked(db: Session, scope: Scope, request_id: UUID) -> StampRequest:
    """Raises: NoSuchRequest."""
    row = store.request(db, scope, request_id, lock=True)
    if row is None:
        raise NoSuchRequest
    return row


def read(db: Session, run: Runtime, row: StampRequest) -> RequestRead:
    return reading.read_all(db, run, [row])[0]


def record(
    db: Session,
    run: Runtime,
    row: StampRequest,
    entry_type: EntryType,
    *,
    public: dict[str, object],
    private: dict[str, object],
    refs: dict[str, str] | None = None,
) -> bytes:
    """An entry about this request; returns its leaf hash."""
    about = {"request": str(row.id), "seal": str(row.seal_id), "document": row.document_digest.hex()}
    return entries.record(
        db,
        run,
        entry_type,
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        refs=about | (refs or {}),
        public=public,
        private=private,
    )


def _fields(db: Session, run: Runtime, scope: Scope, form: RequestIn, kept: DocumentRead) -> dict[str, Any]:
    """The columns a form fills, once it is checked."""
    rule = seals.usable_seal(db, scope, form.seal_id).rule
    _check_places(form, kept)
    straddle = _check_way(form, kept, rule)
    expires_at = form.expires_at or run.now() + USUAL_LIFE
    begins = form.not_before or run.now()
    if expires_at <= max(begins, run.now()) or expires_at - run.now() > LONGEST_LIFE:
        raise BadWindow
    if form.keeper_id is not None:
        _check_keeper(db, scope, form)
    return {
        "seal_id": form.seal_id,
        "title": form.title,
        "reason": form.reason,
        "places": [[place.page, round(place.x_mm, 1), round(place.y_mm, 1)] for place in form.places],
        "copies": form.copies,
        "spares": form.spares,
        "page_check": (PageCheckMode.NONE if form.stamping in UNCHECKED else form.page_check).value,
        "stamping": form.stamping.value,
        "first_page": form.first_page if straddle else None,
        "last_page": form.last_page if straddle else None,
        "bound": form.bound,
        "sweep": form.sweep,
        "form": form.form.value,
        "not_before": form.not_before,
        "expires_at": expires_at,
        "device_id": form.device_id,
        "amount": form.amount,
        "counterparty": form.counterparty,
        "keeper_id": form.keeper_id,
    }


def _check_places(form: RequestIn, kept: DocumentRead) -> None:
    """Raises: BadPlace, TooManyStrokes."""
    for place in form.places:
        if place.page > kept.pages:
            raise BadPlace(page=place.page, pages=kept.pages)
        width, height = kept.sizes_mm[place.page - 1]
        if place.x_mm > width or place.y_mm > height:
            raise BadPlace(page=place.page, pages=kept.pages)
    asked = len(form.places) * form.copies
    if asked > MAX_STROKES:
        raise TooManyStrokes(asked=asked, limit=MAX_STROKES)


def _check_way(form: RequestIn, kept: DocumentRead, rule: ApprovalRule) -> bool:
    """Whether the pages are fanned out for a straddle. Raises: BadRange, OfflineNotAllowed, MustBeLeafedThrough."""
    _check_offline(form.stamping, len(form.places) * form.copies, rule)
    if form.stamping is not Stamping.STRADDLE:
        return False
    first, last = form.first_page or 0, form.last_page or 0
    if not 1 <= first < last <= kept.pages or any(place.page != first for place in form.places):
        raise BadRange(pages=kept.pages)
    return True


def _check_offline(stamping: Stamping, strokes: int, rule: ApprovalRule) -> None:
    """Raises: OfflineNotAllowed, MustBeLeafedThrough."""
    if rule.sweep_required and stamping in UNCHECKED:
        raise MustBeLeafedThrough
    if stamping is Stamping.VOUCHER and strokes > rule.max_offline_strokes:
        raise OfflineNotAllowed(asked=strokes, limit=rule.max_offline_strokes)


def _check_keeper(db: Session, scope: Scope, form: RequestIn) -> None:
    """Raises: KeeperNotAllowed."""
    if form.keeper_id is None:
        return
    rule = seals.seal(db, Scope.system(scope.tenant_id), form.seal_id).rule
    if form.keeper_id == scope.person_id and not rule.requester_may_keep:
        raise KeeperNotAllowed(why=policy.Refusal.IS_REQUESTER.value)
    if not identity.holds(db, scope.tenant_id, form.keeper_id, Role.KEEPER, scope.branch_path):
        raise KeeperNotAllowed(why="no_keeper")


def _use_scan(db: Session, run: Runtime, scope: Scope, scan_id: UUID) -> None:
    scan = store.scan(db, scope, scan_id)
    if scan is None or scan.used_at is not None:
        raise NoSuchScan
    scan.used_at = run.now()
    db.add(scan)


def _void_decisions(db: Session, run: Runtime, row: StampRequest) -> None:
    for decision in store.decisions(db, [row.id]):
        if decision.voided_at is None:
            decision.voided_at = run.now()
            db.add(decision)


def _canonical(row: StampRequest, heads: tuple[bytes, ...]) -> Canonical:
    if row.policy_version is None:
        raise ValueError("a draft has no canonical form")
    return Canonical(
        tenant_id=row.tenant_id,
        request_id=row.id,
        revision=row.revision,
        seal_id=row.seal_id,
        heads=heads,
        documents=(row.document_digest,),
        pages=row.pages,
        places=tuple(
            CanonicalPlace(page=page, x=round(x_mm * 10), y=round(y_mm * 10)) for page, x_mm, y_mm in row.places
        ),
        copies=row.copies,
        spares=row.spares,
        mode=row.page_check,
        not_before=row.not_before,
        expires_at=row.expires_at,
        place=row.device_id or row.branch_path,
        amount=row.amount,
        counterparty=row.counterparty,
        requester_id=row.requester_id,
        keeper_id=row.keeper_id,
        policy_version=row.policy_version,
        title=row.title,
        reason=row.reason,
        form=row.form,
        stamping=row.stamping,
        first_page=row.first_page,
        last_page=row.last_page,
        bound=row.bound,
        sweep=reading.leaf_through(row),
    )


def _at(scope: Scope, branch_path: str) -> Scope:
    return Scope(tenant_id=scope.tenant_id, branch_path=branch_path, person_id=scope.person_id, roles=scope.roles)
