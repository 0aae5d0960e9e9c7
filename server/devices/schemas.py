"""What goes in and out of `server.devices`."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import AwareDatetime, Field, PlainSerializer, SecretStr, model_validator

from server.identity.schemas import BranchPath, In, Out

Hex = Annotated[str, Field(pattern="^(?:[0-9a-f]{2})*$", max_length=2048)]
HexBytes = Annotated[bytes, PlainSerializer(bytes.hex, return_type=str, when_used="json")]
DeviceId = Annotated[str, Field(pattern="^[A-Za-z0-9-]{1,12}$")]


class DeviceState(StrEnum):
    CONFIRMED = "confirmed"  # a person confirmed the digits; its own signed PAIRED event is still missing
    ACTIVE = "active"
    SUSPENDED = "suspended"
    RELEASED = "released"  # forgot its pairing on an order of two people; may be paired again


class ServiceWork(StrEnum):
    CLEAR_TAMPER = "clear_tamper"
    RELEASE = "release"
    CHANGE_HEAD = "change_head"
    REFILL_INK = "refill_ink"


class ServiceState(StrEnum):
    PROPOSED = "proposed"
    ORDERED = "ordered"  # a second administrator agreed; the order is on its way
    BEGUN = "begun"  # the device works on it: its cover may open
    ENDED = "ended"  # the device is done; a sample, where one is due, is not judged yet
    DONE = "done"
    REFUSED = "refused"  # the sample does not agree with the specimen: the slot stays unused
    TIMED_OUT = "timed_out"
    WITHDRAWN = "withdrawn"


class PairingState(StrEnum):
    WAITING = "waiting"
    CONFIRMED = "confirmed"
    ENROLLED = "enrolled"
    REFUSED = "refused"
    EXPIRED = "expired"


class DownKind(StrEnum):
    TOKEN = "token"  # noqa: S105 - a topic level, not a secret
    PERMIT = "permit"
    RECEIPT = "receipt"
    POLICY = "policy"
    ROSTER = "roster"


class EnvelopeIn(In):
    """A gateway's request, closed with a MAC, as a phone carries it. `path` is below /gateway/v1/."""

    gateway_id: str = Field(max_length=32)
    at_ms: int = Field(ge=0, lt=2**53)
    nonce: Annotated[Hex, Field(min_length=32, max_length=32)]
    method: Literal["GET", "POST"]
    path: str = Field(max_length=400)
    content_type: str = Field(max_length=200)
    body: str = Field(max_length=2_000_000)  # base64
    mac: Annotated[Hex, Field(min_length=64, max_length=64)]


class CarriedDown(Out):
    device_id: str
    kind: str
    payload: HexBytes


class CarriedOut(Out):
    status: int
    content_type: str
    body: str  # base64
    down: tuple[CarriedDown, ...]
    mac: str


class GatewayIn(In):
    gateway_id: str = Field(pattern="^[a-z0-9][a-z0-9-]{2,31}$")
    name: str = Field(min_length=1, max_length=80)
    branch_path: BranchPath


class CertificateIn(In):
    request: str = Field(max_length=4096)  # PKCS#10, PEM


class CertificateOut(Out):
    certificate: str  # PEM
    authority: str  # PEM of the local authority
    expires_ms: int
    mqtt_url: str  # the broker that takes it


class StateIn(In):
    state: DeviceState
    reason: str = Field(min_length=3, max_length=500)


class NameIn(In):
    name: str = Field(min_length=1, max_length=80)


class HelloDevice(In):
    device_id: DeviceId
    public_key: Annotated[Hex, Field(min_length=64, max_length=64)]
    generation: int = Field(ge=0, le=2**31)
    model: str = Field(max_length=24)
    firmware: str = Field(max_length=16)
    heads: list[Annotated[Hex, Field(min_length=16, max_length=16)]] = Field(max_length=8)
    last_seq: int = Field(ge=0)
    acked_seq: int = Field(ge=0)
    counter: int = Field(ge=0)
    boot: int = Field(ge=0)
    paired: bool
    features: int = Field(default=0, ge=0, lt=2**31)


class HelloIn(In):
    gateway_id: str = Field(max_length=32)
    version: str = Field(max_length=40)
    devices: list[HelloDevice] = Field(max_length=64)


class HelloDeviceOut(Out):
    device_id: str
    name: str  # what people call it; the device id while it is unknown
    status: str  # unknown, active, suspended


class HelloOut(Out):
    time_ms: int
    trace_host: str  # HOST or HOST:PORT of the public pages, for the codes on labels
    devices: list[HelloDeviceOut]


class IdentifyIn(In):
    """Who stands at the device: name and PIN, what a badge reader typed, or the device's signed OPERATOR event."""

    device_id: DeviceId
    username: str | None = Field(default=None, max_length=80)
    pin: SecretStr | None = Field(default=None, max_length=40)
    badge: SecretStr | None = Field(default=None, max_length=200)
    event: Hex | None = Field(default=None, max_length=960)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        by_pin = self.username is not None and self.pin is not None
        if sum((by_pin, self.badge is not None, self.event is not None)) != 1:
            raise ValueError("username and pin, or badge, or event")
        return self


class PasskeyIn(In):
    """A passkey that the keeper at this device has just made on the gateway's page, whose host is `rp_id`."""

    operator_id: UUID
    rp_id: str = Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)*$", max_length=120)
    authenticator_data: Annotated[Hex, Field(max_length=1024)]


class PasskeyWaits(Out):
    """It counts once its owner confirmed at headquarters that `number` is its own."""

    number: str


class OperatorMethod(Out):
    method: int
    salt: HexBytes


class RosterPasskey(Out):
    """What a gateway's page asks a browser for."""

    credential_id: HexBytes
    rp_id: str


class RosterPerson(Out):
    """Somebody who may operate the device. `badge_lookup` tells whose badge it is before the slow proof."""

    operator: HexBytes
    person_id: UUID
    username: str
    name: str
    methods: tuple[OperatorMethod, ...]
    badge_lookup: HexBytes | None
    passkeys: tuple[RosterPasskey, ...] = ()
    deputy_until: datetime | None = None


class RosterOut(Out):
    """`number` 0: nobody ever had a PIN, badge or passkey here, so the device asks for none."""

    number: int
    parts: tuple[HexBytes, ...]
    people: tuple[RosterPerson, ...]


class ServiceIn(In):
    """What is asked for. `slot` counts from 0; `head_id` is the head that belongs there afterwards."""

    kind: ServiceWork
    slot: int | None = Field(default=None, ge=0, le=15)
    head_id: Annotated[str, Field(pattern="^[0-9a-f]{16}$")] | None = None
    reason: str = Field(min_length=3, max_length=500)

    @model_validator(mode="after")
    def _names_its_place(self) -> Self:
        if self.kind is ServiceWork.CHANGE_HEAD and (self.slot is None or self.head_id is None):
            raise ValueError("a change of heads names slot and head_id")
        if self.kind is ServiceWork.REFILL_INK and self.slot is None:
            raise ValueError("a refill names its slot")
        return self


class ConfirmIn(In):
    password: SecretStr = Field(max_length=200)


class OfflineIn(In):
    max_offline_strokes: int = Field(ge=0, le=50)


class ServiceRead(Out):
    id: UUID
    device_id: str
    kind: ServiceWork
    slot: int | None
    head_id: HexBytes | None
    reason: str
    state: ServiceState
    proposed_by: UUID | None
    confirmed_by: UUID | None
    confirmed_at: datetime | None
    created_at: datetime
    expires_at: datetime
    order_digest: HexBytes | None
    before_photo: HexBytes | None
    after_photo: HexBytes | None
    sample_reason: str | None
    tenant_id: UUID
    branch_path: str


class InkRead(Out):
    """How long the ink of a head lasts; None while it cannot be told."""

    slot: int
    head_id: HexBytes
    imprints_left: int | None
    low: bool
    readings: int


class SensorRead(Out):
    sensor: str
    value: int
    at: datetime


class DeputyIn(In):
    """For a device, or for all devices that hold a seal. The end is the first moment that does not count."""

    person_id: UUID
    stands_for: UUID | None = None
    device_id: DeviceId | None = None
    seal_id: UUID | None = None
    starts_at: AwareDatetime
    ends_at: AwareDatetime

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.device_id is None) == (self.seal_id is None):
            raise ValueError("either device_id or seal_id")
        return self


class DeputyRead(Out):
    id: UUID
    person_id: UUID
    stands_for: UUID | None
    device_id: str | None
    seal_id: UUID | None
    starts_at: datetime
    ends_at: datetime
    named_by: UUID | None
    ended_at: datetime | None


class KeeperRead(Out):
    operator_id: UUID
    name: str
    operator: HexBytes
    expires_ms: int


class BootNonceIn(In):
    boot_nonce: Annotated[Hex, Field(min_length=32, max_length=32)]


class SignedTimeOut(Out):
    time: HexBytes


class PairingIn(In):
    device_id: DeviceId


class PairingDeviceIn(In):
    device_id: DeviceId
    public_key: Annotated[Hex, Field(min_length=64, max_length=64)]
    nonce: Annotated[Hex, Field(min_length=32, max_length=32)]
    generation: int = Field(ge=0, le=2**31)


class PairingOpened(Out):
    pairing_id: UUID
    commitment: HexBytes


class TermsOut(Out):
    installation_id: HexBytes
    issuer_keys: tuple[HexBytes, ...]
    recovery_key: HexBytes
    root_key: HexBytes
    server_nonce: HexBytes
    trace_host: str


class PairingTerms(Out):
    terms: TermsOut


class PairingEventIn(In):
    event: Annotated[Hex, Field(max_length=1024)]


class PairingStatus(Out):
    state: PairingState


class PairingRead(Out):
    """For the administrator's screen; a gateway never sees the digits."""

    id: UUID
    gateway_id: str
    device_id: str
    state: PairingState
    digits: str | None
    expires_at: datetime


class GatewayRead(Out):
    id: UUID
    tenant_id: UUID
    branch_path: str
    gateway_id: str
    name: str
    active: bool
    version: str
    last_hello_at: datetime | None


class GatewayMade(Out):
    gateway: GatewayRead
    secret: str  # shown once


class HeadAt(Out):
    slot: int
    head_id: HexBytes
    sampled: bool = True  # False: no token until its sample imprint agreed with the specimen


class DeviceRead(Out):
    id: UUID
    tenant_id: UUID
    branch_path: str
    gateway_id: str
    device_id: str
    name: str
    state: DeviceState
    generation: int
    epoch: int
    model: str
    firmware: str
    last_seq: int
    acked_seq: int
    counter: int
    seen_at: datetime | None
    proved_ms: int
    max_offline_strokes: int = 0
    sweep_required: bool = False
    tamper: str | None = None
    heads: tuple[HeadAt, ...] = ()


class DeviceKeyRead(Out):
    device_id: str
    tenant_id: UUID
    generation: int
    public_key: HexBytes
    key_id: HexBytes
