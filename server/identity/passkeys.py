"""Passkeys for devices: made on a gateway's page, counted only once their owner, signed in here, confirmed them.

A gateway could send a key of its own under somebody's name. Until a person says here "that was me", it stands in no
roster, so no device knows it (docs/decisions/0017).
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from sqlmodel import Session

from firmware_protocol import passkeys as protocol
from server.core.runtime import Runtime
from server.core.scope import Role, Scope
from server.identity import attested, credentials, owning, people, store
from server.identity.errors import NoSuchPasskey, NoSuchPerson, PasskeyTaken, TooManyPasskeys
from server.identity.models import Passkey
from server.identity.schemas import PasskeyRead, PersonRead

WAITS_FOR: Final = timedelta(days=7)
"""An unconfirmed passkey is forgotten afterwards."""
MOST_WAITING: Final = 3
MOST_CONFIRMED: Final = 8
_NUMBER_PREFIX: Final = b"seal/1/passkey-number"


@dataclass(frozen=True, slots=True, kw_only=True)
class RosterKey:
    """One passkey of one person, as gateways and devices know it."""

    person_id: UUID
    credential_id: bytes
    rp_id: str
    packed: bytes  # 77 bytes, as they stand in a roster


def register_passkey(
    db: Session,
    run: Runtime,
    *,
    tenant_id: UUID,
    person_id: UUID,
    rp_id: str,
    authenticator_data: bytes,
    device_id: str,
    gateway_id: str,
) -> PasskeyRead:
    """It waits for its owner from now on. The caller knows that this person stands at that device.

    Raises: NoSuchPerson, PasskeyUnreadable, PasskeyTaken, TooManyPasskeys.
    """
    person = store.person(db, Scope.system(tenant_id), person_id)
    if person is None or not person.active:
        raise NoSuchPerson
    made = attested.read(authenticator_data, rp_id=rp_id)
    if store.passkey_by_credential(db, tenant_id, made.credential_id) is not None:
        raise PasskeyTaken
    waiting = [row for row in store.live_passkeys(db, tenant_id, [person_id]) if row.confirmed_at is None]
    if sum(row.created_at + WAITS_FOR > run.now() for row in waiting) >= MOST_WAITING:
        raise TooManyPasskeys
    row = Passkey(
        id=run.new_id(),
        created_at=run.now(),
        tenant_id=tenant_id,
        branch_path=person.branch_path,
        person_id=person_id,
        device_id=device_id,
        gateway_id=gateway_id,
        rp_id=rp_id,
        credential_id=made.credential_id,
        public_key=made.public_key,
    )
    db.add(row)
    db.flush()
    return _read(row)


def confirm_passkey(db: Session, run: Runtime, scope: Scope, *, passkey_id: UUID) -> PasskeyRead:
    """Its owner, or an administrator who asked its owner, says that this key is the one. Devices hear of it.

    Raises: NoSuchPasskey, TooManyPasskeys.
    """
    row = _mine_or_managed(db, scope, passkey_id)
    if row.confirmed_at is not None or row.created_at + WAITS_FOR <= run.now():
        raise NoSuchPasskey
    counted = [one for one in store.live_passkeys(db, row.tenant_id, [row.person_id]) if one.confirmed_at is not None]
    if len(counted) >= MOST_CONFIRMED:
        raise TooManyPasskeys
    row.confirmed_at = run.now()
    attested_by = "person" if scope.person_id == row.person_id else "administrator"
    public = {"method": "passkey", "public_key": row.public_key, "attested_by": attested_by}
    owning.enrolled(db, run, row, public=public, by=scope)
    credentials.people_changed(db, run, row.tenant_id)
    return _read(row)


def revoke_passkey(db: Session, run: Runtime, scope: Scope, *, passkey_id: UUID, reason: str) -> PasskeyRead:
    """Lost, or never mine: it opens nothing from now on. Raises: NoSuchPasskey."""
    row = _mine_or_managed(db, scope, passkey_id)
    method = "passkey" if row.confirmed_at is not None else "passkey, never confirmed"
    owning.revoked(db, run, scope, row, method=method, reason=reason)
    if row.confirmed_at is not None:
        credentials.people_changed(db, run, row.tenant_id)
    return _read(row)


def passkeys(db: Session, run: Runtime, scope: Scope, person_id: UUID) -> list[PasskeyRead]:
    """Of one person, newest first: those that count and those that still wait. Of others only within the scope."""
    own = person_id == scope.person_id
    if not own and store.person(db, scope, person_id) is None:
        raise NoSuchPerson
    rows = store.live_passkeys(db, scope.tenant_id, [person_id])
    there = [row for row in rows if row.confirmed_at is not None or row.created_at + WAITS_FOR > run.now()]
    return [_read(row) for row in sorted(there, key=lambda row: row.created_at, reverse=True)]


def roster_keys(db: Session, tenant_id: UUID, person_ids: Iterable[UUID]) -> list[RosterKey]:
    """Every confirmed passkey of these people who are active, in a fixed order."""
    owners = {row.id: row for row in store.active_people(db, tenant_id, person_ids)}
    found = [
        RosterKey(
            person_id=row.person_id,
            credential_id=row.credential_id,
            rp_id=row.rp_id,
            packed=protocol.Passkey(
                operator=owners[row.person_id].operator,
                credential=protocol.short_id(row.credential_id),
                public_key=row.public_key,
                rp_hash=hashlib.sha256(row.rp_id.encode()).digest(),
            ).pack(),
        )
        for row in store.live_passkeys(db, tenant_id, owners)
        if row.confirmed_at is not None
    ]
    return sorted(found, key=lambda key: key.packed)


def owner_of_passkey(db: Session, tenant_id: UUID, *, operator: bytes, credential: bytes) -> PersonRead | None:
    """The active person of that number, if a passkey of this short id (8 bytes) counts for him or her now."""
    person = store.by_operator(db, tenant_id, operator)
    if person is None or not person.active:
        return None
    live = store.live_passkeys(db, tenant_id, [person.id])
    fits = any(row.confirmed_at is not None and protocol.short_id(row.credential_id) == credential for row in live)
    return people.read(db, person) if fits else None


def _mine_or_managed(db: Session, scope: Scope, passkey_id: UUID) -> Passkey:
    """A live one of the caller's own, or of somebody whom the calling administrator manages. Raises: NoSuchPasskey."""
    row = store.passkey(db, scope.tenant_id, passkey_id)
    if row is None or row.revoked_at is not None:
        raise NoSuchPasskey
    managed = scope.has(Role.ADMINISTRATOR) and scope.covers(row.branch_path)
    if row.person_id != scope.person_id and not managed:
        raise NoSuchPasskey
    return row


def _read(row: Passkey) -> PasskeyRead:
    digest = hashlib.sha256(_NUMBER_PREFIX + row.public_key).digest()
    return PasskeyRead(
        id=row.id,
        person_id=row.person_id,
        device_id=row.device_id,
        gateway_id=row.gateway_id,
        rp_id=row.rp_id,
        number=f"{int.from_bytes(digest[:8], 'big') % 1_000_000:06d}",
        created_at=row.created_at,
        confirmed_at=row.confirmed_at,
        ends_at=None if row.confirmed_at is not None else row.created_at + WAITS_FOR,
    )
