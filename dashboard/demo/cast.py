"""Who plays in a story: a company with two branches, five people, one seal, one gateway. Invented, every one."""

import secrets  # noqa: TID251 - passwords of a throw-away installation, made fresh each time
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlmodel import Session

from dashboard.demo.paper import Contract
from server.core.runtime import Runtime
from server.core.scope import Role, Scope
from server.devices import service as devices
from server.identity import service as identity
from server.seals import service as seals
from server.seals.schemas import ApprovalRule, Stage

BRANCH: Final = "/harbour/"
GATEWAY: Final = "gw-harbour-1"
HEAD: Final = bytes.fromhex("c1aabacadabe0001")

PEOPLE: Final = {
    "clerk": ("Rosa Demo", Role.REQUESTER, BRANCH),
    "keeper": ("Ken Demo", Role.KEEPER, BRANCH),
    "approver": ("Ada Demo", Role.APPROVER, "/"),
    "auditor": ("Lin Demo", Role.AUDITOR, "/"),
    "admin": ("Max Demo", Role.ADMINISTRATOR, "/"),
}
"""User name -> (name, role, branch)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cast:
    tenant_id: UUID
    seal_id: UUID
    people: dict[str, UUID]
    passwords: dict[str, str]
    keeper_pin: str
    gateway_secret: str


def assemble(db: Session, run: Runtime, contract: Contract) -> Cast:
    """Everybody and everything a stamping needs, through the same services as the screens."""
    tenant = identity.create_tenant(db, run, name=contract.company)
    scope = Scope.system(tenant.id)
    identity.add_branch(db, run, scope, path=BRANCH, name="Harbour office")
    passwords = {username: secrets.token_urlsafe(15) for username in PEOPLE}
    pin = f"{secrets.randbelow(1_000_000):06d}"
    people: dict[str, UUID] = {}
    for username, (name, role, branch) in PEOPLE.items():
        person = identity.add_person(
            db,
            run,
            scope,
            username=username,
            name=name,
            branch_path=branch,
            language=contract.language,
            password=passwords[username],
            pin=pin if role is Role.KEEPER else None,
        )
        identity.set_role(db, run, scope, person_id=person.id, role=role, branch_path=branch)
        people[username] = person.id
    seal = seals.register_seal(
        db,
        run,
        scope,
        name="Contract seal 01",
        legal_name=contract.company,
        branch_path=BRANCH,
        artwork_png=contract.seal_png,
        diameter_mm=contract.seal_mm,
        rule=ApprovalRule(stages=(Stage(name="Headquarters"),)),
    )
    seals.register_head(db, run, scope, seal_id=seal.id, head_id=HEAD)
    gateway = devices.enrol_gateway(db, run, scope, gateway_id=GATEWAY, name="Harbour gateway", branch_path=BRANCH)
    return Cast(
        tenant_id=tenant.id,
        seal_id=seal.id,
        people=people,
        passwords=passwords,
        keeper_pin=pin,
        gateway_secret=gateway.secret,
    )
