"""The down outbox: what must reach a device is a row first; the downlink sends it after the commit."""

import hashlib
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final
from weakref import WeakKeyDictionary

from sqlmodel import Session

from server.core.db import Database, after_commit
from server.core.runtime import Runtime
from server.devices import store
from server.devices.errors import NoSuchDevice
from server.devices.models import DownMessage
from server.devices.schemas import DownKind

RESEND_AFTER: Final = timedelta(seconds=10)
BATCH: Final = 100
CARRIED: Final = 20
"""Messages that travel with one answer over a phone: a token, a permit, policies, a roster, some receipts."""

_wakers: WeakKeyDictionary[Database, list[Callable[[], None]]] = WeakKeyDictionary()


def on_new_message(database: Database, wake: Callable[[], None]) -> None:
    """Call `wake` after each commit that wrote a message to this database in this process."""
    _wakers.setdefault(database, []).append(wake)


def send_down(
    db: Session, run: Runtime, *, device_id: str, kind: DownKind, payload: bytes, expires_at: datetime
) -> None:
    """Queue `payload` for the device in the caller's transaction. Raises: NoSuchDevice."""
    device = store.any_device(db, device_id)
    if device is None:
        raise NoSuchDevice
    db.add(
        DownMessage(
            id=run.new_id(),
            created_at=run.now(),
            tenant_id=device.tenant_id,
            gateway_id=device.gateway_id,
            device_id=device_id,
            kind=kind.value,
            payload=payload,
            digest=hashlib.sha256(payload).digest(),
            expires_at=expires_at,
        )
    )
    db.flush()
    after_commit(db, lambda: _wake(run.db))


def resend(db: Session, run: Runtime, *, device_id: str, payload: bytes, expires_at: datetime) -> None:
    """Send the same bytes again at once, as their asker lost them."""
    for row in store.down_by_digest(db, device_id, hashlib.sha256(payload).digest()):
        row.sent_at, row.acked_at, row.expires_at = None, None, expires_at
        db.add(row)
    after_commit(db, lambda: _wake(run.db))


def drop(db: Session, now: datetime, *, device_id: str, kind: DownKind) -> None:
    """Messages of this kind that are still on their way are not needed any more: newer ones take their place."""
    for row in store.waiting_down(db, device_id, kind.value):
        row.expires_at = min(row.expires_at, now)
        db.add(row)


def due(db: Session, now: datetime) -> list[DownMessage]:
    """What to send now: never sent, or sent 10 s ago without an answer."""
    return list(store.due(db, now, now - RESEND_AFTER, BATCH))


def pending(db: Session, now: datetime, *, gateway_id: str) -> list[DownMessage]:
    """What this gateway has not confirmed, whatever the broker took: the newest 20, receipts last, as they can wait.

    Without a network a gateway confirms nothing: what it asked for just now must not queue behind what it has already.
    """
    newest = sorted(store.unconfirmed(db, now, gateway_id), key=_can_wait)[:CARRIED]
    return sorted(newest, key=lambda row: (_can_wait(row), row.created_at, row.id))


def mark_sent(db: Session, now: datetime, messages: list[DownMessage]) -> None:
    for row in store.down(db, [message.id for message in messages]):
        row.sent_at, row.sends = now, row.sends + 1
        db.add(row)


def mark_arrived(db: Session, now: datetime, *, gateway_id: str, device_id: str, digest: bytes) -> int:
    """The gateway says these bytes reached the device; returns how many rows that closed."""
    rows = [
        row
        for row in store.down_by_digest(db, device_id, digest)
        if row.gateway_id == gateway_id and row.acked_at is None
    ]
    for row in rows:
        row.acked_at = now
        db.add(row)
    return len(rows)


def _can_wait(row: DownMessage) -> bool:
    return row.kind == DownKind.RECEIPT.value


def _wake(database: Database) -> None:
    for wake in _wakers.get(database, []):
        wake()
