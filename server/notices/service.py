"""What people are told afterwards: a list on the inbox page, each line until it is read."""

from typing import Any, Final
from uuid import UUID

from sqlmodel import Session

from server.approvals import service as approvals
from server.core.i18n import N_, _
from server.core.runtime import Runtime
from server.core.scope import Role, Scope
from server.devices.schemas import GatewayRead
from server.events import service as events
from server.identity import service as identity
from server.identity.schemas import PersonRead
from server.notices import store
from server.notices.errors import NoSuchNotice
from server.notices.models import Notice
from server.notices.schemas import NoticeKind, NoticeRead, RemindedOut
from server.tokens import service as tokens
from server.tokens.errors import CaseClosed
from server.tokens.schemas import CaseRead, CaseState

SHOWN: Final = 20
_TEXTS: Final = {
    NoticeKind.SPOILED_SHEET: N_(
        "A sheet of %(short)s was spoiled (copy %(copy)s, page %(page)s). It was cancelled and photographed, "
        "its code is withdrawn, and a spare takes its place."
    ),
    NoticeKind.PAGE_WAITS: N_("The keeper at %(device)s waits for an answer about page %(page)s of %(short)s."),
}


def tell_spoiled(db: Session, run: Runtime, *, tenant_id: UUID, token_id: bytes, stroke: int) -> int:
    """Tell those who approved the request; returns how many were told now. Again, it tells nobody twice."""
    spoiled = events.stroke(db, token_id, stroke)
    if spoiled is None:
        return 0
    request = approvals.request(db, run, Scope.system(tenant_id), spoiled.request_id)
    approvers = {decision.approver_id for decision in request.decisions if decision.approved and not decision.voided_at}
    notice = {
        "tenant_id": tenant_id,
        "branch_path": request.branch_path,
        "key": f"spoiled:{token_id.hex()}:{stroke}",
        "kind": NoticeKind.SPOILED_SHEET.value,
        "request_id": request.id,
        "detail": {"copy": spoiled.copy_number, "page": spoiled.page, "code": spoiled.short_code or ""},
    }
    told = sum(_tell(db, run, person_id, notice) for person_id in sorted(approvers))
    db.flush()
    return told


def remind(db: Session, run: Runtime, gateway: GatewayRead, *, device_id: str, case_id: UUID) -> RemindedOut:
    """A keeper waits at a doubtful page: tell everybody who may answer, each once.

    Raises: NoSuchDevice, NoSuchCase, CaseClosed.
    """
    heard = tokens.case_of_gateway(db, run, gateway, device_id=device_id, case_id=case_id)
    if heard.state is not CaseState.WAITING:
        raise CaseClosed
    case = tokens.case(db, run, Scope.system(gateway.tenant_id), case_id)
    notice = {
        "tenant_id": case.tenant_id,
        "branch_path": case.branch_path,
        "key": f"case:{case.id}",
        "kind": NoticeKind.PAGE_WAITS.value,
        "request_id": case.request_id,
        "detail": {"case": str(case.id), "device": case.device_id, "page": case.page},
    }
    asked = _who_may_answer(db, run, case)
    for person in asked:
        _tell(db, run, person.id, notice)
    db.flush()
    return RemindedOut(names=tuple(person.name for person in asked))


def _who_may_answer(db: Session, run: Runtime, case: CaseRead) -> list[PersonRead]:
    """As `tokens.may_answer` says, by name."""
    held = [
        person
        for role in (Role.APPROVER, Role.KEEPER)
        for person in identity.holders(db, case.tenant_id, role, case.branch_path)
    ]
    known = {person.id: person for person in held}

    def may(person: PersonRead) -> bool:
        scope = Scope(tenant_id=case.tenant_id, branch_path=case.branch_path, person_id=person.id)
        return tokens.may_answer(db, run, scope, case)

    return sorted((person for person in known.values() if may(person)), key=lambda person: person.name.casefold())


def _tell(db: Session, run: Runtime, person_id: UUID, notice: dict[str, Any]) -> bool:
    """False: this person was told before."""
    if store.told(db, person_id, notice["key"]):
        return False
    db.add(Notice(id=run.new_id(), created_at=run.now(), person_id=person_id, **notice))
    return True


def unread(db: Session, run: Runtime, scope: Scope) -> list[NoticeRead]:
    """Newest first; a reminder only while somebody still waits."""
    rows = store.notices(db, scope, unread_only=True, limit=SHOWN)
    return [_read(db, run, row) for row in rows if _still_true(db, run, row)]


def _still_true(db: Session, run: Runtime, row: Notice) -> bool:
    if row.kind != NoticeKind.PAGE_WAITS.value:
        return True
    case = tokens.case(db, run, Scope.system(row.tenant_id), UUID(row.detail["case"]))
    return case.state is CaseState.WAITING


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
        link=f"/cases/{row.detail['case']}" if kind is NoticeKind.PAGE_WAITS else f"/requests/{row.request_id}",
        created_at=row.created_at,
        read_at=row.read_at,
    )
