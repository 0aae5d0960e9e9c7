"""Who stands at a device: keepers of its branch and deputies on duty, by PIN or badge."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlmodel import Session

from server.core.runtime import Runtime
from server.core.scope import Role, Scope
from server.devices import deputies, store
from server.devices.errors import NotSignedInAtDevice
from server.devices.models import KeeperSession
from server.devices.schemas import DeviceRead, KeeperRead
from server.identity import service as identity
from server.identity.limits import LoginLimits
from server.identity.schemas import PersonRead

KEEPER_SESSION_LIFE: Final = timedelta(hours=8)


def sign_in_keeper(db: Session, run: Runtime, *, device_read: DeviceRead, person: PersonRead) -> KeeperRead:
    """The keeper whose PIN or badge was checked just before stands at this device from now on."""
    expires_at = run.now() + KEEPER_SESSION_LIFE
    db.add(
        KeeperSession(
            id=run.new_id(),
            created_at=run.now(),
            tenant_id=device_read.tenant_id,
            device_id=device_read.device_id,
            person_id=person.id,
            expires_at=expires_at,
        )
    )
    db.flush()
    return KeeperRead(
        operator_id=person.id,
        name=person.name,
        operator=person.operator,
        expires_ms=round(expires_at.timestamp() * 1000),
    )


def check_keeper_here(
    db: Session, run: Runtime, *, device_read: DeviceRead, username: str, pin: str, limits: LoginLimits
) -> PersonRead:
    """The keeper behind name and PIN. Slow on purpose: a read session. Raises: WrongPin, TooManyTries."""
    return identity.check_pin(
        db,
        tenant_id=device_read.tenant_id,
        branch_path=device_read.branch_path,
        username=username,
        pin=pin,
        limits=limits,
        place=device_read.device_id,
        deputies=_deputies(db, run, device_read),
    )


def check_badge_here(
    db: Session, run: Runtime, *, device_read: DeviceRead, badge: str, limits: LoginLimits
) -> PersonRead:
    """The keeper behind what the badge reader typed. Slow too. Raises: WrongPin, TooManyTries."""
    return identity.check_badge(
        db,
        tenant_id=device_read.tenant_id,
        branch_path=device_read.branch_path,
        badge=badge,
        limits=limits,
        place=device_read.device_id,
        deputies=_deputies(db, run, device_read),
    )


def keeper_signed_in(db: Session, run: Runtime, *, device_read: DeviceRead, person_id: UUID) -> PersonRead:
    """Who signed in here and may still operate. Raises: NotSignedInAtDevice."""
    session = store.keeper_session(db, device_read.device_id, person_id, run.now())
    if session is None or not may_operate(db, run, device_read=device_read, person_id=person_id):
        raise NotSignedInAtDevice
    return identity.person(db, Scope.system(device_read.tenant_id), person_id)


def may_operate(db: Session, run: Runtime, *, device_read: DeviceRead, person_id: UUID) -> bool:
    """A keeper of the device's branch, or a deputy on duty."""
    keeper = identity.holds(db, device_read.tenant_id, person_id, Role.KEEPER, device_read.branch_path)
    return keeper or person_id in _deputies(db, run, device_read)


def _deputies(db: Session, run: Runtime, device_read: DeviceRead) -> frozenset[UUID]:
    return frozenset(deputy.person_id for deputy in deputies.on_duty(db, run.now(), device_read))
