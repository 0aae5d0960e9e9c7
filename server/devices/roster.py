"""The roster of a device: who may identify there, as a signed list that it checks without us.

Its number rises with every change, and the parts of the newest go down as orders and lie ready for the gateway. A
device that never had an entry gets no roster at all, and asks nobody; one whose last entry went away gets an empty one.
"""

import hashlib
from datetime import datetime
from uuid import UUID

from sqlmodel import Session

from firmware_protocol import orders
from firmware_protocol.messages import Feature
from firmware_protocol.orders import MAX_ROSTER_ENTRIES, MAX_ROSTER_PASSKEYS, Roster
from firmware_protocol.purposes import Purpose
from server.core.runtime import Runtime
from server.core.scope import Role, Scope
from server.devices import deputies, outbox, store
from server.devices.fleet import device_of_gateway, read
from server.devices.keys import issuer
from server.devices.models import Device, DeviceRoster
from server.devices.policies import POLICY_LIFE
from server.devices.schemas import (
    DeviceRead,
    DownKind,
    GatewayRead,
    OperatorMethod,
    RosterOut,
    RosterPasskey,
    RosterPerson,
)
from server.identity import service as identity
from server.identity.schemas import PersonRead

_Part = tuple[tuple[bytes, ...], tuple[bytes, ...] | None]
"""Entries, and passkeys or none."""


def roster(db: Session, run: Runtime, gateway: GatewayRead, *, device_id: str) -> RosterOut:
    """What the gateway keeps for a device, brought up to date. Raises: NoSuchDevice."""
    device = device_of_gateway(db, gateway, device_id)
    row = store.any_device(db, device.device_id)
    current = refresh(db, run, row) if row is not None else None
    return RosterOut(
        number=current.number if current is not None else 0,
        parts=tuple(bytes.fromhex(part) for part in current.parts) if current is not None else (),
        people=tuple(operators(db, run, device)),
    )


def operators(db: Session, run: Runtime, device: DeviceRead) -> list[RosterPerson]:
    """Keepers of the device's branch and deputies on duty, by name."""
    people, until = _people(db, run, device)
    verifiers = identity.verifiers(db, device.tenant_id, people)
    ways = {person_id: [way for way in verifiers if way.person_id == person_id] for person_id in people}
    keys = identity.roster_keys(db, device.tenant_id, people)
    return [
        RosterPerson(
            operator=person.operator,
            person_id=person.id,
            username=person.username,
            name=person.name,
            methods=tuple(OperatorMethod(method=way.method, salt=way.salt) for way in ways[person.id]),
            badge_lookup=next((way.lookup for way in ways[person.id] if way.lookup is not None), None),
            passkeys=tuple(
                RosterPasskey(credential_id=key.credential_id, rp_id=key.rp_id)
                for key in keys
                if key.person_id == person.id
            ),
            deputy_until=until.get(person.id),
        )
        for person in sorted(people.values(), key=lambda person: person.name)
    ]


def refresh_tenant(db: Session, run: Runtime, tenant_id: UUID) -> int:
    """Bring every device's roster up to date; returns how many changed."""
    changed = 0
    for row in store.devices(db, Scope.system(tenant_id)):
        before = store.roster(db, row.device_id)
        number = before.number if before is not None else 0
        after = refresh(db, run, row)
        changed += after is not None and after.number != number
    return changed


def refresh(db: Session, run: Runtime, row: Device) -> DeviceRoster | None:
    """The roster as it must be now; signed anew and sent down only when something changed. None: there is none yet."""
    known = store.roster(db, row.device_id)
    if not store.is_enrolled(row):
        return known
    device = read(db, row)
    people, _until = _people(db, run, device)
    entries = [way.pack() for way in identity.verifiers(db, device.tenant_id, people)]
    passkeys = []
    if row.features & Feature.OPERATOR_PASSKEY:  # an older device refuses what it does not know
        passkeys = [key.packed for key in identity.roster_keys(db, device.tenant_id, people)]
    digest = hashlib.sha256(b"".join(entries + passkeys)).digest()
    if known is None and not entries + passkeys:
        return None
    if known is not None and (known.digest, known.generation) == (digest, row.generation):
        return known
    number = known.number + 1 if known is not None else 1
    parts = _signed(run, row.device_id, number, entries, passkeys)
    if known is None:
        known = DeviceRoster(
            id=run.new_id(),
            created_at=run.now(),
            tenant_id=row.tenant_id,
            device_id=row.device_id,
            number=number,
            generation=row.generation,
            digest=digest,
            parts=[],
            changed_at=run.now(),
        )
    known.number, known.generation, known.digest, known.changed_at = number, row.generation, digest, run.now()
    known.parts = [part.hex() for part in parts]
    db.add(known)
    db.flush()
    outbox.drop(db, run.now(), device_id=row.device_id, kind=DownKind.ROSTER)
    for part in parts:
        outbox.send_down(
            db,
            run,
            device_id=row.device_id,
            kind=DownKind.ROSTER,
            payload=part,
            expires_at=run.now() + POLICY_LIFE,
        )
    return known


def _people(db: Session, run: Runtime, device: DeviceRead) -> tuple[dict[UUID, PersonRead], dict[UUID, datetime]]:
    """Keepers and deputies by id, and until when those are deputies who are no keepers."""
    keepers = identity.holders(db, device.tenant_id, Role.KEEPER, device.branch_path)
    people = {person.id: person for person in keepers}
    until: dict[UUID, datetime] = {}
    for deputy in deputies.on_duty(db, run.now(), device):
        person = identity.person(db, Scope.system(device.tenant_id), deputy.person_id)
        if person.active and person.id not in people:
            people[person.id] = person
            until[person.id] = deputy.ends_at
    return people, until


def _signed(run: Runtime, device_id: str, number: int, entries: list[bytes], passkeys: list[bytes]) -> list[bytes]:
    """At most 12 entries or 4 passkeys a part; an empty roster is one empty part."""
    people: list[_Part] = [(group, None) for group in _groups(entries, MAX_ROSTER_ENTRIES)]
    keys: list[_Part] = [((), group) for group in _groups(passkeys, MAX_ROSTER_PASSKEYS)]
    parts = people + keys or [((), None)]
    key = issuer(run, Purpose.POLICY)
    return [
        orders.sign(
            Roster(device_id=device_id, number=number, part=part, parts=len(parts), entries=listed, passkeys=signing),
            key=key,
        )
        for part, (listed, signing) in enumerate(parts)
    ]


def _groups(items: list[bytes], most: int) -> list[tuple[bytes, ...]]:
    return [tuple(items[start : start + most]) for start in range(0, len(items), most)]
