"""What people are told afterwards: a list on the inbox page, each line until it is read."""

from typing import Final
from uuid import UUID

from sqlmodel import Session

from server.approvals import service as approvals
from server.core.i18n import N_, _
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.events import service as events
from server.notices import store
from server.notices.errors import NoSuchNotice
from server.notices.models import Notice
from server.notices.schemas import NoticeKind, NoticeRead

SHOWN: Final = 20
_TEXTS: Final = {
    NoticeKind.SPOILED_SHEET: N_(
        "A sheet of %(short)s was spoiled (copy %(copy)s, page %(page)s). It was cancelled and photographed, "
        "its code is withdrawn, and a spare takes its place."
    )
}


def tell_spoiled(db: Session, run: Runtime, *, tenant_id: UUID, token_id: bytes, stroke: int) -> int:
    """Tell those who approved the request; returns how many were told now. Again, it tells nobody twice."""
    spoiled = events.stroke(db, token_id, stroke)
    if spoiled is None:
        return 0
    scope = Scope.system(tenant_id)
    request = approvals.request(db, run, scope, spoiled.request_id)
    approvers = {decision.approver_id for decision in request.decisions if decision.approved and not decision.voided_at}
    key = f"spoiled:{token_id.hex()}:{stroke}"
    told = 0
    for person_id in sorted(approvers):
        if store.told(db, person_id, key):
            continue
        db.add(
            Notice(
                id=run.new_id(),
                created_at=run.now(),
                tenant_id=tenant_id,
                branch_path=request.branch_path,
                person_id=person_id,
                key=key,
                kind=NoticeKind.SPOILED_SHEET.value,
                request_id=request.id,
                detail={"copy": spoiled.copy_number, "page": spoiled.page, "code": spoiled.short_code or ""},
            )
        )
        told += 1
    db.flush()
    return told


def unread(db: Session, run: Runtime, scope: Scope) -> list[NoticeRead]:
    """Newest first."""
    return [_read(db, run, row) for row in store.notices(db, scope, unread_only=True, limit=SHOWN)]


def mark_read(db: Session, run: Runtime, scope: Scope, notice_id: UUID) -> None:
    """Raises: NoSuchNotice."""
    row = store.notice(db, scope, notice_id)
    if row is None:
        raise NoSuchNotice
    row.read_at = row.read_at or run.now()
    db.add(row)
    db.flush()


def _read(db: Session, run: Runtime, row: Notice) -> NoticeRead:
    request = approvals.request(db, run, Scope.system(row.tenant_id), row.request_id)
    kind = NoticeKind(row.kind)
    return NoticeRead(
        id=row.id,
        kind=kind,
        request_id=row.request_id,
        short=request.short,
        detail=row.detail,
        text=_(_TEXTS[kind]) % (row.detail | {"short": request.short}),
        created_at=row.created_at,
        read_at=row.read_at,
    )
