"""The standing orders of a device, sent whole: each one has a higher epoch and takes the place of those before."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlmodel import Session

from firmware_protocol import orders
from firmware_protocol.orders import ServiceKind
from firmware_protocol.purposes import Purpose
from server.core.runtime import Runtime
from server.devices import outbox
from server.devices.keys import issuer
from server.devices.models import Device
from server.devices.schemas import DeviceState, DownKind
from server.identity import entries
from server.identity.entries import EntryType

POLICY_LIFE: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServicePart:
    """What a policy orders once, and the two operators (4 bytes each) who authorised it."""

    kind: ServiceKind
    slot: int | None
    head_id: bytes | None
    authorised_by: tuple[bytes, bytes]


def send_policy(
    db: Session, run: Runtime, row: Device, *, service: ServicePart | None = None, life: timedelta = POLICY_LIFE
) -> bytes:
    """Raise the epoch, so that tokens not consumed die, and send the rules of now; SHA-256 of the signed policy."""
    row.epoch += 1
    db.add(row)
    db.flush()
    policy = orders.Policy(
        device_id=row.device_id,
        epoch=row.epoch,
        suspended=row.state == DeviceState.SUSPENDED.value,
        max_offline_strokes=row.max_offline_strokes,
        sweep_required=row.sweep_required,
        service=service.kind if service is not None else None,
        slot=service.slot if service is not None else None,
        head_id=service.head_id if service is not None else None,
        authorised_by=service.authorised_by if service is not None else None,
    )
    signed = orders.sign(policy, key=issuer(run, Purpose.POLICY))
    outbox.drop(db, run.now(), device_id=row.device_id, kind=DownKind.POLICY)
    outbox.send_down(
        db, run, device_id=row.device_id, kind=DownKind.POLICY, payload=signed, expires_at=run.now() + life
    )
    return hashlib.sha256(signed).digest()


def send_rules(db: Session, run: Runtime, row: Device, *, by: UUID | None = None) -> None:
    """What the device may do changed: order and record it. `by`: who decided; None: the rule of a seal."""
    send_policy(db, run, row)
    entries.record(
        db,
        run,
        EntryType.DEVICE_RULES_SET,
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        refs={"device": row.device_id},
        public={
            "max_offline_strokes": row.max_offline_strokes,
            "sweep_required": row.sweep_required,
            "policy_epoch": row.epoch,
        },
        private={"by": by} if by is not None else None,
    )
