"""Paper photographed by a device for a new request: its PAGE_SEEN names no token and no stroke."""

import hashlib
from uuid import UUID

from sqlmodel import Session

from firmware_protocol import events
from firmware_protocol.errors import ProtocolError
from server.approvals import store
from server.approvals.errors import NoSuchScan
from server.approvals.models import Scan
from server.approvals.schemas import ScanRead
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.devices import service as devices
from server.devices.errors import BadEvent
from server.devices.schemas import DeviceRead

NO_TOKEN = bytes(16)


def take_scan(db: Session, run: Runtime, device: DeviceRead, *, event: bytes, photo: bytes) -> ScanRead:
    """Keep a page that the device itself signed for. The same photo again is the same scan.

    Raises: BadEvent.
    """
    try:
        seen = events.verify(event, keys=devices.keys_of(db, device.device_id))
    except ProtocolError as error:
        raise BadEvent(why=error.code) from error
    body, digest = seen.body, hashlib.sha256(photo).digest()
    if seen.header.device_id != device.device_id or not isinstance(body, events.PageSeen):
        raise BadEvent(why="wrong_event")
    if (body.token_id, body.stroke) != (NO_TOKEN, 0) or digest not in {body.preview_digest, body.photo_digest}:
        raise BadEvent(why="wrong_photo")
    known = store.scan_of_photo(db, digest)
    if known is not None:
        return ScanRead.model_validate(known)
    row = Scan(
        id=run.new_id(),
        created_at=run.now(),
        tenant_id=device.tenant_id,
        branch_path=device.branch_path,
        device_id=device.device_id,
        event=event,
        photo_digest=run.blobs.put(db, photo, "image/jpeg", scope=Scope.system(device.tenant_id)),
    )
    db.add(row)
    db.flush()
    return ScanRead.model_validate(row)


def scans(db: Session, scope: Scope) -> list[ScanRead]:
    """Scans that no request has used yet, newest first."""
    return [ScanRead.model_validate(row) for row in store.scans(db, scope)]


def scan_photo(db: Session, run: Runtime, scope: Scope, scan_id: UUID) -> bytes:
    """Raises: NoSuchScan."""
    row = store.scan(db, scope, scan_id)
    if row is None:
        raise NoSuchScan
    return run.blobs.get(db, row.photo_digest, scope=Scope.system(row.tenant_id))
