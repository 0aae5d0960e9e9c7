"""Tables of `server.devices`."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import JSON, Index, UniqueConstraint
from sqlmodel import Field

from server.core.db import BIG, CreatedAt, UtcDateTime, UuidPk


class Gateway(UuidPk, CreatedAt, table=True):
    """An office box. It proves itself with a secret of 256 bits, of which only the hash is kept."""

    __tablename__ = "gateway"

    tenant_id: UUID = Field(foreign_key="tenant.id")
    branch_path: str
    gateway_id: str = Field(unique=True, max_length=32)  # also its MQTT user name
    name: str
    secret_hash: bytes = Field(unique=True, max_length=32)
    active: bool = True
    version: str = ""
    last_hello_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class GatewayCertificate(UuidPk, CreatedAt, table=True):
    """What lets a gateway's box in at the broker. The key was made on the box and never left it."""

    __tablename__ = "gateway_certificate"

    tenant_id: UUID = Field(foreign_key="tenant.id")
    gateway_id: str = Field(index=True, max_length=32)
    serial: bytes = Field(unique=True, max_length=20)  # big-endian, no leading zeros
    expires_at: datetime = Field(sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class Device(UuidPk, CreatedAt, table=True):
    """A seal device. What it said about itself last (`last_seq`, `counter`, ...) is a report, not evidence."""

    __tablename__ = "device"

    tenant_id: UUID = Field(foreign_key="tenant.id")
    branch_path: str
    gateway_id: str  # the gateway it is reached through now
    device_id: str = Field(unique=True, max_length=12)
    name: str
    state: str  # DeviceState
    generation: int = Field(default=1, sa_type=BIG)
    epoch: int = Field(default=0, sa_type=BIG)
    model: str = ""
    firmware: str = ""
    last_seq: int = Field(default=0, sa_type=BIG)
    acked_seq: int = Field(default=0, sa_type=BIG)
    counter: int = Field(default=0, sa_type=BIG)
    seen_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    proved_ms: int = Field(default=0, sa_type=BIG)  # highest signed-event time the ledger holds without a gap, Unix ms
    max_offline_strokes: int = 0  # the most a voucher may allow here
    sweep_required: bool = False  # its standing order: no stroke before every page was leafed through
    tamper_seq: int = Field(default=0, sa_type=BIG)  # number of the event that set or cleared it
    tamper: str | None = None  # the sensor that latched; None once two people ordered it cleared and it was
    heads_known: bool = False  # the heads it had when it was paired are noted
    paired_seq: int = Field(default=0, sa_type=BIG)  # of its PAIRED event; what it did before is nobody's
    passkey_seq: int = Field(default=0, sa_type=BIG)  # of the last sign-in by passkey; before: of PAIRED
    features: int = Field(default=0, sa_type=BIG)  # bits that its HELLO said: docs/protocol.md


class DeviceKey(UuidPk, CreatedAt, table=True):
    """A public key that a person confirmed by six digits. Never changed, never deleted: old events need it."""

    __tablename__ = "device_key"
    __table_args__ = (UniqueConstraint("device_id", "generation"),)

    tenant_id: UUID
    device_id: str
    generation: int = Field(sa_type=BIG)
    public_key: bytes = Field(max_length=32)
    key_id: bytes = Field(unique=True, max_length=4)


class MountedHead(UuidPk, CreatedAt, table=True):
    """Which head sits in which slot, as the device reads it from the heads' chips."""

    __tablename__ = "mounted_head"
    __table_args__ = (UniqueConstraint("device_id", "slot"),)

    tenant_id: UUID
    device_id: str
    slot: int
    head_id: bytes = Field(max_length=8)
    sampled: bool = True  # there at pairing, or its sample imprint agreed with the specimen


class Pairing(UuidPk, CreatedAt, table=True):
    """One try to pair a device, 180 s long. `terms` is their CBOR map; `digits` are shown to the administrator."""

    __tablename__ = "pairing"

    tenant_id: UUID
    branch_path: str
    gateway_id: str
    device_id: str
    terms: bytes
    state: str  # PairingState
    expires_at: datetime = Field(sa_type=UtcDateTime)
    public_key: bytes | None = Field(default=None, max_length=32)
    device_nonce: bytes | None = Field(default=None, max_length=16)
    generation: int = Field(default=1, sa_type=BIG)
    digits: str | None = None
    confirmed_by: UUID | None = None


class KeeperSession(UuidPk, CreatedAt, table=True):
    """A keeper who identified at a device with PIN, badge or passkey."""

    __tablename__ = "keeper_session"
    __table_args__ = (Index("ix_keeper_session_device", "device_id", "person_id"),)

    tenant_id: UUID
    device_id: str
    person_id: UUID
    expires_at: datetime = Field(sa_type=UtcDateTime)


class ServiceOrder(UuidPk, CreatedAt, table=True):
    """A service at a device: proposed by one administrator, ordered by a second, done when the device says so."""

    __tablename__ = "service_order"
    __table_args__ = (Index("ix_service_order_device", "device_id", "state"),)

    tenant_id: UUID
    branch_path: str
    device_id: str
    generation: int = Field(sa_type=BIG)
    kind: str  # ServiceWork
    slot: int | None = None
    head_id: bytes | None = Field(default=None, max_length=8)
    reason: str
    state: str  # ServiceState
    proposed_by: UUID | None
    confirmed_by: UUID | None = None
    confirmed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    epoch: int | None = Field(default=None, sa_type=BIG)
    order_digest: bytes | None = Field(default=None, max_length=32, unique=True)  # SHA-256 of the signed policy
    sample_id: bytes | None = Field(default=None, max_length=16, index=True)  # its start: token id of the sample
    begun_seq: int | None = Field(default=None, sa_type=BIG)  # of the event that began it; heads change in between
    ended_seq: int | None = Field(default=None, sa_type=BIG)
    before_photo: bytes | None = Field(default=None, max_length=32)
    after_photo: bytes | None = Field(default=None, max_length=32)
    sample_answer: str | None = None  # accepted, refused
    sample_reason: str | None = None


class SensorValue(UuidPk, CreatedAt, table=True):
    """What a sensor of a device said last, in a signed event."""

    __tablename__ = "sensor_value"
    __table_args__ = (UniqueConstraint("device_id", "sensor"),)

    tenant_id: UUID
    device_id: str
    sensor: str
    value: int = Field(sa_type=BIG)
    generation: int = Field(sa_type=BIG)
    seq: int = Field(sa_type=BIG)
    at: datetime = Field(sa_type=UtcDateTime)


class InkReading(UuidPk, CreatedAt, table=True):
    """How much ink an imprint showed, over what the specimen has; or that the ink was filled up."""

    __tablename__ = "ink_reading"
    __table_args__ = (UniqueConstraint("device_id", "head_id", "counter", "source"),)

    tenant_id: UUID
    device_id: str
    head_id: bytes = Field(max_length=8)
    counter: int = Field(sa_type=BIG)  # mechanical, at the stroke
    source: str  # imprint, refill
    share: float  # 1.0: as the specimen


class Deputy(UuidPk, CreatedAt, table=True):
    """Somebody who may operate a device, or the devices that hold a seal, for some days in a keeper's place."""

    __tablename__ = "deputy"
    __table_args__ = (Index("ix_deputy_tenant", "tenant_id", "ends_at"),)

    tenant_id: UUID
    branch_path: str
    person_id: UUID
    stands_for: UUID | None = None  # None: beside the keepers, in nobody's place
    device_id: str | None = None
    seal_id: UUID | None = None
    starts_at: datetime = Field(sa_type=UtcDateTime)
    ends_at: datetime = Field(sa_type=UtcDateTime)
    named_by: UUID | None
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)  # called back before its end


class DeviceRoster(UuidPk, CreatedAt, table=True):
    """The last roster signed for a device. `digest` is over its entries, `parts` are the signed parts in hex."""

    __tablename__ = "device_roster"

    tenant_id: UUID
    device_id: str = Field(unique=True, max_length=12)
    number: int = Field(sa_type=BIG)
    generation: int = Field(sa_type=BIG)
    digest: bytes = Field(max_length=32)
    parts: list[Any] = Field(sa_type=JSON)
    changed_at: datetime = Field(sa_type=UtcDateTime)


class CarryNonce(UuidPk, CreatedAt, table=True):
    """An envelope that a phone carried, so that nobody carries it twice; kept a little longer than it is fresh."""

    __tablename__ = "carry_nonce"
    __table_args__ = (UniqueConstraint("gateway_id", "nonce"),)

    gateway_id: str = Field(max_length=32)
    nonce: bytes = Field(max_length=16)


class DownMessage(UuidPk, CreatedAt, table=True):
    """What must reach a device: written in the deciding transaction, sent until the gateway says it arrived."""

    __tablename__ = "down_message"
    __table_args__ = (Index("ix_down_message_open", "acked_at", "sent_at"),)

    tenant_id: UUID
    gateway_id: str
    device_id: str
    kind: str  # DownKind
    payload: bytes
    digest: bytes = Field(max_length=32, index=True)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    sent_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    sends: int = 0
    acked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
