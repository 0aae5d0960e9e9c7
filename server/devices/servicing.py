"""Services at a device by two people: clear a tamper alarm, change a head, refill ink, release it from its pairing.

One administrator proposes, a second one confirms with the password; only then is an order signed, and the device
refuses one that does not name two different people. A head that came in this way is used once its sample imprint
agreed with the registered specimen.
"""

from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlmodel import Session

from firmware_protocol.orders import ServiceKind
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.devices import store
from server.devices.errors import (
    EmptySlot,
    HeadNotRegistered,
    NoSuchService,
    SamePerson,
    ServiceOver,
    ServiceUnderWay,
)
from server.devices.fleet import enrolled
from server.devices.models import Device, MountedHead, ServiceOrder
from server.devices.policies import ServicePart, send_policy
from server.devices.schemas import ServiceIn, ServiceRead, ServiceState, ServiceWork
from server.identity import entries
from server.identity import service as identity
from server.identity.entries import EntryType
from server.seals import service as seals

LIFE: Final = timedelta(hours=24)
"""How long a proposal waits for its second person, and an order for its device."""
_KINDS: Final = {
    ServiceWork.CLEAR_TAMPER: ServiceKind.CLEAR_TAMPER,
    ServiceWork.RELEASE: ServiceKind.RELEASE,
    ServiceWork.CHANGE_HEAD: ServiceKind.CHANGE_HEAD,
    ServiceWork.REFILL_INK: ServiceKind.REFILL_INK,
}
_OPEN: Final = (ServiceState.PROPOSED, ServiceState.ORDERED, ServiceState.BEGUN)


def propose_service(db: Session, run: Runtime, scope: Scope, *, device_id: str, form: ServiceIn) -> ServiceRead:
    """Raises: NoSuchDevice, DeviceNotActive, ServiceUnderWay, HeadNotRegistered, EmptySlot."""
    device = enrolled(db, scope, device_id)
    if any(_is_open(run, row) for row in store.services(db, device_id)):
        raise ServiceUnderWay
    head_id = _head(db, device, form)
    row = ServiceOrder(
        id=run.new_id(),
        created_at=run.now(),
        tenant_id=device.tenant_id,
        branch_path=device.branch_path,
        device_id=device_id,
        generation=device.generation,
        kind=form.kind.value,
        slot=form.slot if form.kind in {ServiceWork.CHANGE_HEAD, ServiceWork.REFILL_INK} else None,
        head_id=head_id,
        reason=form.reason,
        state=ServiceState.PROPOSED.value,
        proposed_by=scope.person_id,
        expires_at=run.now() + LIFE,
    )
    db.add(row)
    db.flush()
    entries.record(
        db,
        run,
        EntryType.SERVICE_PROPOSED,
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        refs=_refs(row),
        public={"kind": row.kind} | ({"slot": row.slot} if row.slot is not None else {}),
        private={"reason": form.reason, "by": scope.person_id},
    )
    return ServiceRead.model_validate(row)


def confirm_service(db: Session, run: Runtime, scope: Scope, *, service_id: UUID) -> ServiceRead:
    """The second administrator, whose password was checked just before: the order is signed and goes down.

    Raises: NoSuchService, SamePerson, ServiceOver, DeviceNotActive.
    """
    row = _order(db, scope, service_id)
    if scope.person_id is None or row.proposed_by is None or scope.person_id == row.proposed_by:
        raise SamePerson
    if row.state != ServiceState.PROPOSED.value or row.expires_at <= run.now():
        raise ServiceOver(state=row.state)
    device = enrolled(db, scope, row.device_id)
    tenant = Scope.system(row.tenant_id)
    operators = tuple(identity.person(db, tenant, who).operator for who in (row.proposed_by, scope.person_id))
    part = ServicePart(
        kind=_KINDS[ServiceWork(row.kind)],
        slot=row.slot,
        head_id=row.head_id,
        authorised_by=(operators[0], operators[1]),
    )
    digest = send_policy(db, run, device, service=part, life=LIFE)
    row.state, row.confirmed_by, row.confirmed_at = ServiceState.ORDERED.value, scope.person_id, run.now()
    row.expires_at, row.epoch = run.now() + LIFE, device.epoch
    row.order_digest, row.sample_id = digest, digest[:16]
    db.add(row)
    db.flush()
    _record_order(db, run, row, operators=operators)
    return ServiceRead.model_validate(row)


def withdraw_service(db: Session, run: Runtime, scope: Scope, *, service_id: UUID) -> ServiceRead:
    """Not needed any more. An order on its way is overtaken by a newer one that orders nothing.

    Raises: NoSuchService, ServiceOver.
    """
    row = _order(db, scope, service_id)
    if row.state not in {ServiceState.PROPOSED.value, ServiceState.ORDERED.value}:
        raise ServiceOver(state=row.state)
    if row.state == ServiceState.ORDERED.value:
        send_policy(db, run, enrolled(db, scope, row.device_id))
    row.state = ServiceState.WITHDRAWN.value
    db.add(row)
    return ServiceRead.model_validate(row)


def services(db: Session, run: Runtime, scope: Scope, *, device_id: str) -> list[ServiceRead]:
    """Newest first, at most 20; a proposal or order whose time is over reads as timed out."""
    found = []
    for row in store.services_in(db, scope, device_id):
        read = ServiceRead.model_validate(row)
        waiting = read.state in {ServiceState.PROPOSED, ServiceState.ORDERED}
        over = waiting and row.expires_at <= run.now()
        found.append(read.model_copy(update={"state": ServiceState.TIMED_OUT}) if over else read)
    return found


def sample_of(db: Session, device_id: str, sample_id: bytes) -> ServiceRead | None:
    """The service whose sample imprint a device reports under this token id."""
    row = store.service_by_sample(db, device_id, sample_id)
    return ServiceRead.model_validate(row) if row is not None else None


def service_of(db: Session, service_id: UUID) -> ServiceRead | None:
    row = db.get(ServiceOrder, service_id)
    return ServiceRead.model_validate(row) if row is not None else None


def note_sample_photo(
    db: Session, service_id: UUID, *, before: bytes | None = None, after: bytes | None = None
) -> ServiceRead | None:
    """The device announced a photo of the sample; a repeated try replaces the one before."""
    row = db.get(ServiceOrder, service_id)
    if row is None:
        return None
    row.before_photo, row.after_photo = before or row.before_photo, after or row.after_photo
    db.add(row)
    db.flush()
    return ServiceRead.model_validate(row)


def judge_sample(
    db: Session, run: Runtime, service_id: UUID, *, accepted: bool, reason: str, report_digest: bytes, report: bytes
) -> ServiceRead | None:
    """What the comparison with the specimen gave. Accepted: the slot may be used from now on. Once for one photo."""
    row = db.get(ServiceOrder, service_id)
    if row is None or row.head_id is None or row.after_photo is None or row.sample_answer == "accepted":
        return None
    row.sample_answer, row.sample_reason = ("accepted" if accepted else "refused"), reason
    row.state = ServiceState.DONE.value if accepted else ServiceState.REFUSED.value
    db.add(row)
    _set_sampled(db, run, row, sampled=accepted)
    entries.record(
        db,
        run,
        EntryType.SAMPLE_CHECKED,
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        refs=_refs(row) | {"photo": row.after_photo},
        public={
            "slot": row.slot or 0,
            "answer": row.sample_answer,
            "reason": reason,
            "order_digest": row.order_digest or b"",
            "photo_digest": row.after_photo,
            "report_digest": report_digest,
        },
        private={"report": report},
    )
    db.flush()
    return ServiceRead.model_validate(row)


def _set_sampled(db: Session, run: Runtime, order: ServiceOrder, *, sampled: bool) -> None:
    """The slot holds the ordered head now, whatever the gateway has said so far."""
    row = next((head for head in store.heads(db, order.device_id) if head.slot == order.slot), None)
    if row is None and order.slot is not None and order.head_id is not None:
        row = MountedHead(
            id=run.new_id(),
            created_at=run.now(),
            tenant_id=order.tenant_id,
            device_id=order.device_id,
            slot=order.slot,
            head_id=order.head_id,
        )
    if row is not None:
        row.head_id, row.sampled = order.head_id or row.head_id, sampled
        db.add(row)


def _head(db: Session, device: Device, form: ServiceIn) -> bytes | None:
    if form.kind is ServiceWork.CHANGE_HEAD:
        head_id = bytes.fromhex(form.head_id or "")
        if not seals.head_known(db, device.tenant_id, head_id):
            raise HeadNotRegistered
        return head_id
    if form.kind is ServiceWork.REFILL_INK:
        mounted = next((head for head in store.heads(db, device.device_id) if head.slot == form.slot), None)
        if mounted is None:
            raise EmptySlot
        return mounted.head_id
    return None


def _order(db: Session, scope: Scope, service_id: UUID) -> ServiceOrder:
    row = store.service(db, scope, service_id)
    if row is None:
        raise NoSuchService
    return row


def _is_open(run: Runtime, row: ServiceOrder) -> bool:
    """BEGUN ends by the device's own word; the others also by their time."""
    state = ServiceState(row.state)
    return state is ServiceState.BEGUN or (state in _OPEN and row.expires_at > run.now())


def _refs(row: ServiceOrder) -> dict[str, object]:
    refs: dict[str, object] = {"device": row.device_id, "service": str(row.id)}
    return refs | {"head": row.head_id} if row.head_id is not None else refs


def _record_order(db: Session, run: Runtime, row: ServiceOrder, *, operators: tuple[bytes, ...]) -> None:
    people = {"by": row.proposed_by, "second": row.confirmed_by}
    entries.record(
        db,
        run,
        EntryType.SERVICE_ORDERED,
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        refs=_refs(row),
        public={
            "kind": row.kind,
            "order_digest": row.order_digest or b"",
            "policy_epoch": row.epoch or 0,
            "operators": list(operators),
        }
        | ({"slot": row.slot} if row.slot is not None else {}),
        private=people,
    )
    if row.kind == ServiceWork.RELEASE.value:
        entries.record(
            db,
            run,
            EntryType.DEVICE_RESET_ORDERED,
            tenant_id=row.tenant_id,
            branch_path=row.branch_path,
            refs={"device": row.device_id},
            public={"order_digest": row.order_digest or b""},
            private=people,
        )
