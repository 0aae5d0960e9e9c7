"""Devices as the server knows them: their keys, what they reported, whether they may be used, who stands there."""

from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

from sqlmodel import Session

from firmware_protocol import orders
from firmware_protocol.purposes import Purpose
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.devices import store
from server.devices.errors import DeviceNotActive, NoSuchDevice, WrongGateway, WrongStateStep
from server.devices.keys import issuer
from server.devices.leafing import follow_rules
from server.devices.models import Device, MountedHead
from server.devices.policies import send_policy, send_rules
from server.devices.publishing import PUBLISH_JOB
from server.devices.schemas import (
    DeviceKeyRead,
    DeviceRead,
    DeviceState,
    GatewayRead,
    HeadAt,
    HelloDevice,
    HelloDeviceOut,
    HelloIn,
    HelloOut,
)
from server.identity import entries, secrets_of
from server.identity.entries import EntryType
from server.jobs import service as jobs

NO_HEAD: Final = bytes(8)


def gateway_by_secret(db: Session, secret: str) -> GatewayRead | None:
    row = store.gateway_by_secret(db, secrets_of.token_hash(secret))
    return GatewayRead.model_validate(row) if row is not None else None


def gateways(db: Session, scope: Scope) -> list[GatewayRead]:
    return [GatewayRead.model_validate(row) for row in store.gateways(db, scope)]


def devices(db: Session, scope: Scope) -> list[DeviceRead]:
    return [read(db, row) for row in store.devices(db, scope)]


def device(db: Session, scope: Scope, device_id: str) -> DeviceRead:
    """Raises: NoSuchDevice."""
    return read(db, _device(db, scope, device_id))


def device_of_gateway(db: Session, gateway: GatewayRead, device_id: str) -> DeviceRead:
    """A device that this gateway speaks for. Raises: NoSuchDevice."""
    row = store.any_device(db, device_id)
    if row is None or row.tenant_id != gateway.tenant_id or row.gateway_id != gateway.gateway_id:
        raise NoSuchDevice
    return read(db, row)


def device_key(db: Session, device_id: str, generation: int) -> DeviceKeyRead | None:
    row = store.key(db, device_id, generation)
    return DeviceKeyRead.model_validate(row) if row is not None else None


def keys_of(db: Session, device_id: str) -> dict[bytes, bytes]:
    """The device's current key as `cose.verify1` takes it; empty for a device that is not enrolled."""
    row = store.any_device(db, device_id)
    key = store.key(db, device_id, row.generation) if row is not None else None
    return {key.key_id: key.public_key} if key is not None else {}


def head_in(device_read: DeviceRead, head_ids: set[bytes]) -> HeadAt | None:
    """The first slot that holds one of these heads and may be used: its sample imprint is not missing."""
    return next((head for head in device_read.heads if head.sampled and head.head_id in head_ids), None)


def sample_missing(device_read: DeviceRead, head_ids: set[bytes]) -> bool:
    """One of these heads is there, but no slot with one of them may be used."""
    return head_in(device_read, head_ids) is None and any(head.head_id in head_ids for head in device_read.heads)


def live_devices_for(db: Session, tenant_id: UUID, head_ids: set[bytes]) -> list[DeviceRead]:
    """Active devices that hold one of these heads now."""
    found = [read(db, row) for row in store.devices(db, Scope.system(tenant_id))]
    return [device for device in found if device.state is DeviceState.ACTIVE and head_in(device, head_ids)]


def hello(db: Session, run: Runtime, gateway: GatewayRead, body: HelloIn) -> HelloOut:
    """What a gateway says about itself and its devices. A report, not evidence. Raises: WrongGateway."""
    row = store.gateway(db, gateway.gateway_id)
    if row is None or body.gateway_id != gateway.gateway_id:
        raise WrongGateway
    row.version, row.last_hello_at = body.version, run.now()
    db.add(row)
    answers = [_take_report(db, run, gateway, said) for said in body.devices]
    return HelloOut(
        time_ms=round(run.now().timestamp() * 1000),
        trace_host=urlsplit(run.settings.public_url).netloc,
        devices=answers,
    )


def enrolled(db: Session, scope: Scope, device_id: str) -> Device:
    """A device that takes orders, locked for this transaction. Raises: NoSuchDevice, DeviceNotActive."""
    row = store.device(db, scope, device_id, lock=True)
    if row is None:
        raise NoSuchDevice
    if not store.is_enrolled(row):
        raise DeviceNotActive(state=row.state)
    return row


def set_state(
    db: Session, run: Runtime, scope: Scope, *, device_id: str, state: DeviceState, reason: str
) -> DeviceRead:
    """Suspend or bring back. The epoch rises, so tokens that the device has not consumed die when it hears of it.

    Raises: NoSuchDevice, DeviceNotActive (never enrolled), WrongStateStep.
    """
    row = enrolled(db, scope, device_id)
    if state not in {DeviceState.ACTIVE, DeviceState.SUSPENDED}:
        raise WrongStateStep
    row.state = state.value
    jobs.enqueue(db, PUBLISH_JOB, {}, now=run.now())
    send_policy(db, run, row)
    entries.record(
        db,
        run,
        EntryType.DEVICE_STATE,
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        refs={"device": device_id},
        public={"state": state, "generation": row.generation, "policy_epoch": row.epoch},
        private={"reason": reason, "by": scope.person_id},
    )
    return read(db, row)


def set_offline(db: Session, run: Runtime, scope: Scope, *, device_id: str, max_offline_strokes: int) -> DeviceRead:
    """How many imprints one voucher may allow here while headquarters cannot be reached; 0 allows none.

    Raises: NoSuchDevice, DeviceNotActive.
    """
    row = enrolled(db, scope, device_id)
    row.max_offline_strokes = max_offline_strokes
    send_rules(db, run, row, by=scope.person_id)
    return read(db, row)


def rename(db: Session, scope: Scope, *, device_id: str, name: str) -> DeviceRead:
    """Raises: NoSuchDevice."""
    row = _device(db, scope, device_id)
    row.name = name
    db.add(row)
    return read(db, row)


def signed_time(run: Runtime, *, device_id: str, boot_nonce: bytes) -> bytes:
    """Server time over the device's boot nonce; the device takes it for 10 s."""
    order = orders.SignedTime(device_id=device_id, boot_nonce=boot_nonce, unix_ms=round(run.now().timestamp() * 1000))
    return orders.sign(order, key=issuer(run, Purpose.TIME))


def note_proof(db: Session, *, device_id: str, seq: int, counter: int, firmware: str, time_ms: int | None) -> None:
    """From an admitted event: what the device itself signed about its state."""
    row = store.any_device(db, device_id)
    if row is None:
        return
    row.last_seq, row.acked_seq = max(row.last_seq, seq), max(row.acked_seq, seq)
    row.counter, row.firmware = counter, firmware
    row.proved_ms = max(row.proved_ms, time_ms or 0)
    db.add(row)


def read(db: Session, row: Device) -> DeviceRead:
    heads = tuple(
        HeadAt(slot=head.slot, head_id=head.head_id, sampled=head.sampled) for head in store.heads(db, row.device_id)
    )
    return DeviceRead.model_validate(row).model_copy(update={"heads": heads})


def mount(db: Session, run: Runtime, row: Device, heads: list[bytes]) -> None:
    """Which head sits in which slot now, as the device said. One that came after pairing waits for its sample."""
    now = [(slot, head) for slot, head in enumerate(heads) if head != NO_HEAD]
    before = {head.slot: (head.head_id, head.sampled) for head in store.heads(db, row.device_id)}
    first, row.heads_known = not row.heads_known, True
    db.add(row)
    if now == [(slot, head_id) for slot, (head_id, _sampled) in before.items()]:
        return
    store.forget_heads(db, row.device_id)
    for slot, head_id in now:
        was, sampled = before.get(slot, (NO_HEAD, False))
        db.add(
            MountedHead(
                id=run.new_id(),
                created_at=run.now(),
                tenant_id=row.tenant_id,
                device_id=row.device_id,
                slot=slot,
                head_id=head_id,
                sampled=first or (was == head_id and sampled),
            )
        )
    db.flush()


def _take_report(db: Session, run: Runtime, gateway: GatewayRead, said: HelloDevice) -> HelloDeviceOut:
    unknown = HelloDeviceOut(device_id=said.device_id, name=said.device_id, status="unknown")
    row = store.any_device(db, said.device_id)
    if row is None or row.tenant_id != gateway.tenant_id:
        return unknown
    key = store.key(db, said.device_id, said.generation)
    if key is None or key.public_key.hex() != said.public_key:
        return unknown
    row.gateway_id, row.model, row.firmware, row.seen_at = gateway.gateway_id, said.model, said.firmware, run.now()
    row.last_seq, row.acked_seq, row.counter = said.last_seq, said.acked_seq, said.counter
    row.features = said.features
    db.add(row)
    mount(db, run, row, [bytes.fromhex(head) for head in said.heads])
    follow_rules(db, run, row)
    status = row.state if store.is_enrolled(row) else "unknown"
    return HelloDeviceOut(device_id=row.device_id, name=row.name, status=status)


def _device(db: Session, scope: Scope, device_id: str) -> Device:
    row = store.device(db, scope, device_id)
    if row is None:
        raise NoSuchDevice
    return row
