"""What a person shows at a device: a PIN or a badge, as verifiers that a device can check without us.

A verifier is SHA-256 of the scrypt proof, cut to 16 bytes; the proof itself is never stored. A badge is kept as a
verifier and a lookup hash, never as the text that its reader types (docs/protocol.md, "Operators").
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlmodel import Session

from firmware_protocol import operators
from firmware_protocol.operators import SALT_SIZE, Method
from server.core.rng import Rng
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.identity import owning, store
from server.identity.errors import BadgeTaken, BadgeUnreadable, NoSuchBadge, NoSuchPerson, WrongPin
from server.identity.limits import LoginLimits
from server.identity.models import Badge, Person
from server.identity.schemas import BadgeRead
from server.jobs import service as jobs

ROSTER_JOB: Final = "devices.roster"
"""Done by `server.devices`: rosters of one tenant's devices follow their people."""
SHORTEST_BADGE: Final = 4
LONGEST_BADGE: Final = 120
_LOOKUP_PREFIX: Final = b"seal/1/badge"
_DECOY: Final = bytes(SALT_SIZE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """One way one person identifies at a device. `lookup` finds a badge's owner; None for a PIN."""

    person_id: UUID
    operator: bytes  # 4 bytes
    method: Method
    salt: bytes  # 8 bytes
    verifier: bytes  # 16 bytes
    lookup: bytes | None  # 8 bytes

    def pack(self) -> bytes:
        """29 bytes, as they stand in a roster."""
        return operators.Entry(
            operator=self.operator, method=self.method, salt=self.salt, verifier=self.verifier
        ).pack()


def badge_lookup(badge: str) -> bytes:
    """8 bytes that find a badge among many before its slow proof is computed."""
    return hashlib.sha256(_LOOKUP_PREFIX + badge.encode()).digest()[:8]


def salted(secret: str, rng: Rng) -> tuple[bytes, bytes]:
    """(salt, verifier) of a new secret."""
    salt = rng.token_bytes(SALT_SIZE)
    return salt, operators.verifier(operators.proof(secret, salt=salt))


def register_badge(db: Session, run: Runtime, scope: Scope, *, person_id: UUID, badge: str, name: str) -> BadgeRead:
    """`badge` is what the reader typed, `name` is for people, as "white card". A person has one badge: the one before
    counts no more.

    Raises: NoSuchPerson, BadgeUnreadable, BadgeTaken.
    """
    row = store.person(db, scope, person_id)
    if row is None:
        raise NoSuchPerson
    text = badge.strip()
    if not SHORTEST_BADGE <= len(text) <= LONGEST_BADGE:
        raise BadgeUnreadable
    if store.badge_by_lookup(db, row.tenant_id, badge_lookup(text)) is not None:
        raise BadgeTaken
    for before in store.live_badges(db, row.tenant_id, [row.id]):
        revoke_badge(db, run, scope, badge_id=before.id, reason="replaced by another badge")
    salt, verifier = salted(text, run.rng)
    made = Badge(
        id=run.new_id(),
        created_at=run.now(),
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        person_id=row.id,
        name=name,
        lookup=badge_lookup(text),
        salt=salt,
        verifier=verifier,
    )
    owning.enrolled(db, run, made, public={"method": "badge", "attested_by": "server"}, by=scope)
    people_changed(db, run, row.tenant_id)
    return BadgeRead.model_validate(made)


def revoke_badge(db: Session, run: Runtime, scope: Scope, *, badge_id: UUID, reason: str) -> BadgeRead:
    """Lost or handed back: it opens nothing from now on. Raises: NoSuchBadge."""
    row = store.badge(db, scope, badge_id)
    if row is None or row.revoked_at is not None:
        raise NoSuchBadge
    owning.revoked(db, run, scope, row, method="badge", reason=reason)
    people_changed(db, run, row.tenant_id)
    return BadgeRead.model_validate(row)


def badges(db: Session, scope: Scope, person_id: UUID) -> list[BadgeRead]:
    """Of one person, newest first, revoked ones too."""
    return [BadgeRead.model_validate(row) for row in store.badges(db, scope, person_id)]


def badge_owner(db: Session, tenant_id: UUID, badge: str, *, limits: LoginLimits, place: str) -> UUID:
    """Whose badge it is. Slow on purpose: call it in a read session. Raises: WrongPin, TooManyTries."""
    text = badge.strip()
    lookup = badge_lookup(text)
    limits.check(kind="badge", name=lookup.hex(), place=place)
    row = store.badge_by_lookup(db, tenant_id, lookup)
    said = operators.verifier(operators.proof(text, salt=row.salt if row is not None else _DECOY))
    if row is None or not hmac.compare_digest(said, row.verifier):
        limits.wrong(kind="badge", name=lookup.hex(), place=place)
        raise WrongPin
    return row.person_id


def verifiers(db: Session, tenant_id: UUID, person_ids: Iterable[UUID]) -> list[Verifier]:
    """Every PIN and badge that counts now of these people who are active, in a fixed order."""
    rows = {row.id: row for row in store.active_people(db, tenant_id, person_ids)}
    found = [pin for row in rows.values() if (pin := _pin_of(row)) is not None]
    found += [
        Verifier(
            person_id=badge.person_id,
            operator=rows[badge.person_id].operator,
            method=Method.BADGE,
            salt=badge.salt,
            verifier=badge.verifier,
            lookup=badge.lookup,
        )
        for badge in store.live_badges(db, tenant_id, rows)
    ]
    return sorted(found, key=lambda entry: (entry.operator, entry.method, entry.salt))


def people_changed(db: Session, run: Runtime, tenant_id: UUID) -> None:
    """Who may operate, or how they identify, changed: devices hear of it."""
    jobs.enqueue(db, ROSTER_JOB, {"tenant": str(tenant_id)}, now=run.now())


def _pin_of(row: Person) -> Verifier | None:
    if row.roster_salt is None or row.roster_verifier is None:
        return None
    return Verifier(
        person_id=row.id,
        operator=row.operator,
        method=Method.PIN,
        salt=row.roster_salt,
        verifier=row.roster_verifier,
        lookup=None,
    )
