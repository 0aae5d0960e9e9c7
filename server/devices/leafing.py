"""A device leafs through every document once the rules of all seals in it say so, and refuses to stamp without it.

The rule of a seal already makes headquarters issue tokens that demand the leafing. The standing order of the device
makes it hold against whoever issues tokens.
"""

from uuid import UUID

from sqlmodel import Session

from server.core.runtime import Runtime
from server.core.scope import Scope
from server.devices import store
from server.devices.models import Device
from server.devices.policies import send_rules
from server.seals import service as seals


def follow_rules(db: Session, run: Runtime, row: Device) -> bool:
    """Send the order when the rules of the mounted seals ask for another than the device has. Whether it was sent."""
    wanted = _wanted(db, row)
    if not store.is_enrolled(row) or wanted == row.sweep_required:
        return False
    row.sweep_required = wanted
    send_rules(db, run, row)
    return True


def follow_rule_of(db: Session, run: Runtime, *, tenant_id: UUID, seal_id: UUID) -> None:
    """The rule of a seal changed: every device that it sits in."""
    heads = {head.head_id for head in seals.heads(db, Scope.system(tenant_id), seal_id)}
    for row in store.devices(db, Scope.system(tenant_id)):
        if heads & {head.head_id for head in store.heads(db, row.device_id)}:
            follow_rules(db, run, row)


def _wanted(db: Session, row: Device) -> bool:
    """Whether there is a known head here, and every known one belongs to a seal whose rule asks for it."""
    here = [head.head_id for head in store.heads(db, row.device_id)]
    known = [head for head in here if seals.head_known(db, row.tenant_id, head)]
    rules = [seals.seal_of_head(db, row.tenant_id, head).rule for head in known]
    return bool(rules) and all(rule.sweep_required for rule in rules)
