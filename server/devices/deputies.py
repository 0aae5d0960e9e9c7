"""On-duty deputies: people who operate a device for some days, named by the keeper they stand in for."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlmodel import Session

from server.core.runtime import Runtime
from server.core.scope import Role, Scope
from server.devices import store
from server.devices.errors import NoSuchDeputy, NoSuchDevice, NotADeputy, OnlyForOneself, WrongDates
from server.devices.models import Deputy
from server.devices.schemas import DeputyIn, DeputyRead, DeviceRead
from server.identity import entries
from server.identity import service as identity
from server.identity.entries import EntryType
from server.jobs import service as jobs
from server.seals import service as seals

LONGEST: Final = timedelta(days=92)


def name_deputy(db: Session, run: Runtime, scope: Scope, form: DeputyIn) -> DeputyRead:
    """From `starts_at` to `ends_at` the person may operate; rosters follow at both moments.

    Raises: NoSuchDevice, NoSuchSeal, NoSuchPerson, WrongDates, NotADeputy, OnlyForOneself.
    """
    branch_path = _branch_of(db, scope, form)
    if not form.starts_at < form.ends_at <= form.starts_at + LONGEST or form.ends_at <= run.now():
        raise WrongDates
    if not scope.has(Role.ADMINISTRATOR) and form.stands_for != scope.person_id:
        raise OnlyForOneself
    person = identity.person(db, Scope.system(scope.tenant_id), form.person_id)
    stands_for_keeper = form.stands_for is None or identity.holds(
        db, scope.tenant_id, form.stands_for, Role.KEEPER, branch_path
    )
    if not person.active or form.person_id in {scope.person_id, form.stands_for} or not stands_for_keeper:
        raise NotADeputy
    row = Deputy(
        id=run.new_id(),
        created_at=run.now(),
        tenant_id=scope.tenant_id,
        branch_path=branch_path,
        named_by=scope.person_id,
        **form.model_dump(),
    )
    db.add(row)
    db.flush()
    _record(db, run, scope, row, granted=True)
    for moment in (run.now(), form.starts_at, form.ends_at):
        delay = max(timedelta(0), moment - run.now())
        jobs.enqueue(db, identity.ROSTER_JOB, {"tenant": str(row.tenant_id)}, now=run.now(), delay=delay)
    return DeputyRead.model_validate(row)


def end_deputy(db: Session, run: Runtime, scope: Scope, *, deputy_id: UUID) -> DeputyRead:
    """Called back: from now on the person may not operate in this place. Raises: NoSuchDeputy, OnlyForOneself."""
    row = store.deputy(db, scope, deputy_id)
    if row is None or row.ended_at is not None or row.ends_at <= run.now():
        raise NoSuchDeputy
    if not scope.has(Role.ADMINISTRATOR) and scope.person_id not in {row.stands_for, row.named_by}:
        raise OnlyForOneself
    row.ended_at = run.now()
    db.add(row)
    db.flush()
    _record(db, run, scope, row, granted=False)
    identity.people_changed(db, run, row.tenant_id)
    return DeputyRead.model_validate(row)


def deputies(
    db: Session, run: Runtime, scope: Scope, *, device_id: str | None = None, seal_id: UUID | None = None
) -> list[DeputyRead]:
    """Those on duty now or later, by their first day; of one device or seal when it is given."""
    rows = store.deputies(db, scope, run.now())
    return [
        DeputyRead.model_validate(row)
        for row in rows
        if (device_id is None or row.device_id == device_id) and (seal_id is None or row.seal_id == seal_id)
    ]


def on_duty(db: Session, now: datetime, device: DeviceRead) -> list[DeputyRead]:
    """Who stands in at this device at this moment, for it or for a seal whose head it holds."""
    seal_ids = {
        seals.seal_of_head(db, device.tenant_id, head.head_id).id
        for head in device.heads
        if seals.head_known(db, device.tenant_id, head.head_id)
    }
    rows = store.deputies(db, Scope.system(device.tenant_id), now)
    return [
        DeputyRead.model_validate(row)
        for row in rows
        if row.starts_at <= now and (row.device_id == device.device_id or row.seal_id in seal_ids)
    ]


def stands_in_for(db: Session, run: Runtime, device: DeviceRead, person_id: UUID) -> frozenset[UUID]:
    """The keepers in whose place this person may stamp here now."""
    mine = [row for row in on_duty(db, run.now(), device) if row.person_id == person_id]
    return frozenset(row.stands_for for row in mine if row.stands_for is not None)


def _branch_of(db: Session, scope: Scope, form: DeputyIn) -> str:
    if form.seal_id is not None:
        return seals.seal(db, scope, form.seal_id).branch_path
    row = store.device(db, scope, form.device_id or "")
    if row is None:
        raise NoSuchDevice
    return row.branch_path


def _record(db: Session, run: Runtime, scope: Scope, row: Deputy, *, granted: bool) -> None:
    place = {"device": row.device_id} if row.device_id else {"seal": str(row.seal_id)}
    entries.record(
        db,
        run,
        EntryType.DEPUTY_SET,
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        refs={"person": str(row.person_id), "deputy": str(row.id)} | place,
        public={"granted": granted, "from_ms": row.starts_at, "until_ms": row.ended_at or row.ends_at},
        private={"stands_for": row.stands_for, "by": scope.person_id},
    )
