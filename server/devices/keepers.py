"""Who stands at a device: keepers of its branch and deputies on duty, by PIN, badge or passkey."""

from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlmodel import Session

from firmware_protocol import events
from firmware_protocol.errors import ProtocolError
from server.core.runtime import Runtime
from server.core.scope import Role, Scope
from server.devices import deputies, store
from server.devices.errors import BadEvent, NoSuchDevice, NotSignedInAtDevice, WrongPasskey
from server.devices.fleet import keys_of
from server.devices.models import KeeperSession
from server.devices.schemas import DeviceRead, GatewayRead, KeeperRead, PasskeyIn
from server.identity import service as identity
from server.identity.limits import LoginLimits
from server.identity.schemas import PasskeyRead, PersonRead

KEEPER_SESSION_LIFE: Final = timedelta(hours=8)
PASSKEY_EVENT_MS: Final = 600_000
"""How old a device that knows the time may say that a passkey was shown."""


def sign_in_keeper(db: Session, run: Runtime, *, device_read: DeviceRead, person: PersonRead) -> KeeperRead:
    """The keeper whose PIN, badge or passkey was checked just before stands at this device from now on."""
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


def check_passkey_here(db: Session, run: Runtime, *, device_read: DeviceRead, event: bytes) -> PersonRead:
    """The keeper who, as the device itself signed, has just shown a passkey to it. Each event counts once, in order.

    Raises: NoSuchDevice, BadEvent; WrongPasskey, when it counts no more or its owner may not operate here.
    """
    row = store.any_device(db, device_read.device_id)
    if row is None:
        raise NoSuchDevice
    try:
        said = events.verify(event, keys=keys_of(db, device_read.device_id))
    except ProtocolError as error:
        raise BadEvent(why=error.code) from error
    header, body = said.header, said.body
    if (header.device_id, header.generation) != (device_read.device_id, device_read.generation):
        raise BadEvent(why="wrong_device")
    if not isinstance(body, events.Operator) or not body.present or body.credential is None:
        raise BadEvent(why="wrong_event")
    owner = identity.owner_of_passkey(db, device_read.tenant_id, operator=body.operator, credential=body.credential)
    late = header.time_ms is not None and abs(header.time_ms - run.now().timestamp() * 1000) > PASSKEY_EVENT_MS
    if owner is None or late or header.seq <= row.passkey_seq:
        raise WrongPasskey
    if not may_operate(db, run, device_read=device_read, person_id=owner.id):
        raise WrongPasskey
    row.passkey_seq = header.seq
    db.add(row)
    return owner


def register_passkey_here(
    db: Session, run: Runtime, gateway: GatewayRead, *, device_read: DeviceRead, form: PasskeyIn
) -> PasskeyRead:
    """A passkey that the keeper standing at this device made on the gateway's page; it waits for its owner.

    Raises: NotSignedInAtDevice, PasskeyUnreadable, PasskeyTaken, TooManyPasskeys.
    """
    person = keeper_signed_in(db, run, device_read=device_read, person_id=form.operator_id)
    return identity.register_passkey(
        db,
        run,
        tenant_id=device_read.tenant_id,
        person_id=person.id,
        rp_id=form.rp_id,
        authenticator_data=bytes.fromhex(form.authenticator_data),
        device_id=device_read.device_id,
        gateway_id=gateway.gateway_id,
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
