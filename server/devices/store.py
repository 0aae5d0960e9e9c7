from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_
from sqlmodel import Session, col, delete, select

from server.core.scope import Scope
from server.devices.models import (
    CarryNonce,
    Deputy,
    Device,
    DeviceKey,
    DeviceRoster,
    DownMessage,
    Gateway,
    GatewayCertificate,
    InkReading,
    KeeperSession,
    MountedHead,
    Pairing,
    SensorValue,
    ServiceOrder,
)
from server.devices.schemas import DeviceState


def gateway_by_secret(db: Session, secret_hash: bytes) -> Gateway | None:
    return db.exec(select(Gateway).where(Gateway.secret_hash == secret_hash, col(Gateway.active))).one_or_none()


def gateway(db: Session, gateway_id: str) -> Gateway | None:
    return db.exec(select(Gateway).where(Gateway.gateway_id == gateway_id)).one_or_none()


def gateways(db: Session, scope: Scope) -> Sequence[Gateway]:
    return db.exec(select(Gateway).where(scope.owns(Gateway)).order_by(col(Gateway.name))).all()


def certificates(db: Session, gateway_id: str) -> Sequence[GatewayCertificate]:
    """Those that still count."""
    query = select(GatewayCertificate).where(
        GatewayCertificate.gateway_id == gateway_id, col(GatewayCertificate.revoked_at).is_(None)
    )
    return db.exec(query).all()


def revoked_certificates(db: Session, now: datetime) -> Sequence[GatewayCertificate]:
    """Of every tenant, as the broker is one; without those that have ended by themselves."""
    query = select(GatewayCertificate).where(
        col(GatewayCertificate.revoked_at).is_not(None), GatewayCertificate.expires_at > now
    )
    return db.exec(query.order_by(col(GatewayCertificate.serial))).all()


def devices(db: Session, scope: Scope) -> Sequence[Device]:
    return db.exec(select(Device).where(scope.owns(Device)).order_by(col(Device.name))).all()


def device(db: Session, scope: Scope, device_id: str, *, lock: bool = False) -> Device | None:
    query = select(Device).where(scope.owns(Device), Device.device_id == device_id)
    return db.exec(query.with_for_update() if lock else query).one_or_none()


def is_enrolled(row: Device) -> bool:
    """It is ours: paired by its own signed event, and not released since. A suspended device is enrolled too."""
    return row.state in {DeviceState.ACTIVE.value, DeviceState.SUSPENDED.value}


def any_device(db: Session, device_id: str) -> Device | None:
    """For steps that begin with the device itself and take its tenant from here."""
    return db.exec(select(Device).where(Device.device_id == device_id)).one_or_none()


def key(db: Session, device_id: str, generation: int) -> DeviceKey | None:
    query = select(DeviceKey).where(DeviceKey.device_id == device_id, DeviceKey.generation == generation)
    return db.exec(query).one_or_none()


def key_by_id(db: Session, key_id: bytes) -> DeviceKey | None:
    return db.exec(select(DeviceKey).where(DeviceKey.key_id == key_id)).one_or_none()


def heads(db: Session, device_id: str) -> Sequence[MountedHead]:
    query = select(MountedHead).where(MountedHead.device_id == device_id).order_by(col(MountedHead.slot))
    return db.exec(query).all()


def forget_heads(db: Session, device_id: str) -> None:
    db.exec(delete(MountedHead).where(col(MountedHead.device_id) == device_id))


def pairing(db: Session, pairing_id: UUID, *, gateway_id: str, lock: bool = False) -> Pairing | None:
    query = select(Pairing).where(Pairing.id == pairing_id, Pairing.gateway_id == gateway_id)
    return db.exec(query.with_for_update() if lock else query).one_or_none()


def pairing_in(db: Session, scope: Scope, pairing_id: UUID) -> Pairing | None:
    return db.exec(select(Pairing).where(scope.owns(Pairing), Pairing.id == pairing_id).with_for_update()).one_or_none()


def open_pairings(db: Session, scope: Scope, now: datetime) -> Sequence[Pairing]:
    query = select(Pairing).where(
        scope.owns(Pairing), col(Pairing.state).in_(["waiting", "confirmed"]), Pairing.expires_at > now
    )
    return db.exec(query.order_by(col(Pairing.created_at))).all()


def confirmed_pairings(db: Session, device_id: str) -> Sequence[Pairing]:
    return db.exec(select(Pairing).where(Pairing.device_id == device_id, Pairing.state == "confirmed")).all()


def keeper_session(db: Session, device_id: str, person_id: UUID, now: datetime) -> KeeperSession | None:
    query = select(KeeperSession).where(
        KeeperSession.device_id == device_id, KeeperSession.person_id == person_id, KeeperSession.expires_at > now
    )
    return db.exec(query.order_by(col(KeeperSession.expires_at).desc()).limit(1)).first()


def due(db: Session, now: datetime, resend_before: datetime, limit: int) -> Sequence[DownMessage]:
    """Messages to send now, oldest first."""
    query = select(DownMessage).where(
        col(DownMessage.acked_at).is_(None),
        DownMessage.expires_at > now,
        or_(col(DownMessage.sent_at).is_(None), col(DownMessage.sent_at) < resend_before),
    )
    return db.exec(query.order_by(col(DownMessage.created_at), col(DownMessage.id)).limit(limit)).all()


def down(db: Session, ids: Sequence[UUID]) -> Sequence[DownMessage]:
    return db.exec(select(DownMessage).where(col(DownMessage.id).in_(ids))).all()


def down_by_digest(db: Session, device_id: str, digest: bytes) -> Sequence[DownMessage]:
    query = select(DownMessage).where(DownMessage.device_id == device_id, DownMessage.digest == digest)
    return db.exec(query).all()


def all_keys(db: Session) -> list[tuple[Device, DeviceKey]]:
    """Of every tenant: the trust bundle is one for the installation."""
    rows = db.exec(
        select(Device, DeviceKey)
        .where(Device.device_id == DeviceKey.device_id)
        .order_by(col(DeviceKey.device_id), col(DeviceKey.generation))
    )
    return [(device, key) for device, key in rows]


def deputy(db: Session, scope: Scope, deputy_id: UUID) -> Deputy | None:
    return db.exec(select(Deputy).where(scope.owns(Deputy), Deputy.id == deputy_id)).one_or_none()


def deputies(db: Session, scope: Scope, now: datetime) -> Sequence[Deputy]:
    """Not over and not called back, by their first day."""
    query = select(Deputy).where(scope.owns(Deputy), Deputy.ends_at > now, col(Deputy.ended_at).is_(None))
    return db.exec(query.order_by(col(Deputy.starts_at), col(Deputy.id))).all()


def roster(db: Session, device_id: str) -> DeviceRoster | None:
    return db.exec(select(DeviceRoster).where(DeviceRoster.device_id == device_id)).one_or_none()


def waiting_down(db: Session, device_id: str, kind: str) -> Sequence[DownMessage]:
    query = select(DownMessage).where(
        DownMessage.device_id == device_id, DownMessage.kind == kind, col(DownMessage.acked_at).is_(None)
    )
    return db.exec(query).all()


def service(db: Session, scope: Scope, service_id: UUID) -> ServiceOrder | None:
    query = select(ServiceOrder).where(scope.owns(ServiceOrder), ServiceOrder.id == service_id)
    return db.exec(query.with_for_update()).one_or_none()


def services(db: Session, device_id: str) -> Sequence[ServiceOrder]:
    """Every one of a device, oldest first."""
    query = select(ServiceOrder).where(ServiceOrder.device_id == device_id)
    return db.exec(query.order_by(col(ServiceOrder.created_at), col(ServiceOrder.id))).all()


def services_in(db: Session, scope: Scope, device_id: str) -> Sequence[ServiceOrder]:
    """Newest first, at most 20."""
    query = select(ServiceOrder).where(scope.owns(ServiceOrder), ServiceOrder.device_id == device_id)
    return db.exec(query.order_by(col(ServiceOrder.created_at).desc(), col(ServiceOrder.id).desc()).limit(20)).all()


def service_by_digest(db: Session, device_id: str, digest: bytes) -> ServiceOrder | None:
    query = select(ServiceOrder).where(ServiceOrder.device_id == device_id, ServiceOrder.order_digest == digest)
    return db.exec(query).one_or_none()


def service_by_sample(db: Session, device_id: str, sample_id: bytes) -> ServiceOrder | None:
    query = select(ServiceOrder).where(ServiceOrder.device_id == device_id, ServiceOrder.sample_id == sample_id)
    return db.exec(query).one_or_none()


def release_ordered(db: Session, device: Device) -> bool:
    """Two people ordered that this generation's pairing is forgotten."""
    query = select(ServiceOrder.id).where(
        ServiceOrder.device_id == device.device_id,
        ServiceOrder.generation == device.generation,
        ServiceOrder.kind == "release",
        col(ServiceOrder.confirmed_at).is_not(None),
        col(ServiceOrder.state).in_(["ordered", "begun", "done"]),
    )
    return db.exec(query.limit(1)).first() is not None


def sensor(db: Session, device_id: str, name: str) -> SensorValue | None:
    query = select(SensorValue).where(SensorValue.device_id == device_id, SensorValue.sensor == name)
    return db.exec(query).one_or_none()


def sensors(db: Session, device_id: str) -> Sequence[SensorValue]:
    query = select(SensorValue).where(SensorValue.device_id == device_id)
    return db.exec(query.order_by(col(SensorValue.sensor))).all()


def ink_reading(db: Session, device_id: str, head_id: bytes, counter: int, source: str) -> InkReading | None:
    query = select(InkReading).where(
        InkReading.device_id == device_id,
        InkReading.head_id == head_id,
        InkReading.counter == counter,
        InkReading.source == source,
    )
    return db.exec(query).one_or_none()


def ink_readings(db: Session, device_id: str, head_id: bytes, limit: int) -> Sequence[InkReading]:
    """The newest `limit`, oldest of them first."""
    query = select(InkReading).where(InkReading.device_id == device_id, InkReading.head_id == head_id)
    newest = db.exec(query.order_by(col(InkReading.counter).desc(), col(InkReading.source)).limit(limit)).all()
    return sorted(newest, key=lambda row: (row.counter, row.source))


def unconfirmed(db: Session, now: datetime, gateway_id: str) -> Sequence[DownMessage]:
    """Messages for this gateway's devices that it has not confirmed, newest first, at most 200."""
    query = select(DownMessage).where(
        DownMessage.gateway_id == gateway_id, col(DownMessage.acked_at).is_(None), DownMessage.expires_at > now
    )
    return db.exec(query.order_by(col(DownMessage.created_at).desc(), col(DownMessage.id).desc()).limit(200)).all()


def nonce_seen(db: Session, gateway_id: str, nonce: bytes) -> bool:
    query = select(CarryNonce.id).where(CarryNonce.gateway_id == gateway_id, CarryNonce.nonce == nonce)
    return db.exec(query).first() is not None


def forget_old(db: Session, *, nonces_before: datetime, rest_before: datetime) -> None:
    """Envelope nonces that are stale anyway; keeper sessions and down messages that ended long ago."""
    db.exec(delete(CarryNonce).where(col(CarryNonce.created_at) < nonces_before))
    db.exec(delete(KeeperSession).where(col(KeeperSession.expires_at) < rest_before))
    db.exec(delete(DownMessage).where(col(DownMessage.expires_at) < rest_before))
    db.exec(delete(DownMessage).where(col(DownMessage.acked_at) < rest_before))
