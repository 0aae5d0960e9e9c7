"""A service that two persons ordered: a head is changed, ink refilled, tamper cleared, the device given away."""

from typing import Final

from device_sim.core.checks import No, digest
from device_sim.core.log import Attached
from device_sim.core.memory import Memory, OpenService
from firmware_protocol import events
from firmware_protocol.events import Body, ServiceStage
from firmware_protocol.orders import Policy, ServiceKind
from firmware_protocol.reasons import Reason

SERVICE_MS: Final = 15 * 60_000
"""How long the cover may be open."""


def ordered(policy: Policy, signed: bytes) -> list[Body | Attached]:
    """The events of a policy, and of the service in it; SERVICE ended at once where nobody has to do anything."""
    order_digest = digest(signed)
    body = events.PolicySet(epoch=policy.epoch, suspended=policy.suspended, policy_digest=order_digest)
    told: list[Body | Attached] = [Attached(body=body, attachment=signed)]
    match policy.service:
        case ServiceKind.CLEAR_TAMPER | ServiceKind.RELEASE as kind:
            told.append(events.Service(order_digest=order_digest, kind=kind, stage=ServiceStage.ENDED))
        case ServiceKind.CHANGE_HEAD | ServiceKind.REFILL_INK as kind:
            told.append(
                events.Service(order_digest=order_digest, kind=kind, stage=ServiceStage.BEGUN, slot=policy.slot)
            )
    if policy.service is ServiceKind.RELEASE:
        told.append(events.Reset(order_digest=order_digest))
    return told


def ended(service: OpenService, *, stage: ServiceStage) -> Body:
    return events.Service(order_digest=service.order_digest, kind=service.kind, stage=stage, slot=service.slot)


def expired(memory: Memory, *, cover_closed: bool) -> list[Body]:
    """SERVICE timed out. What was left open, or the wrong head in its place, is tamper from now on."""
    service = memory.service
    if service is None:
        return []
    told = [ended(service, stage=ServiceStage.TIMED_OUT)]
    if not cover_closed:
        told.append(events.Tamper(sensor="cover"))
    if memory.heads[service.slot] not in (service.head, service.head_before):
        told.append(events.Tamper(sensor="head"))
    return told


def allows_head(memory: Memory, slot: int) -> bool:
    """Whether a head may come and go in `slot`."""
    service = memory.service
    return service is not None and service.kind is ServiceKind.CHANGE_HEAD and service.slot == slot


def check_sample(memory: Memory, *, cover_closed: bool) -> No | None:
    """Why the sample cannot be stamped yet."""
    service = memory.service
    if service is None:
        return None
    if not cover_closed:
        return No(reason=Reason.COVER_OPEN, detail="close the cover first")
    if memory.heads[service.slot] != service.head:
        return No(reason=Reason.WRONG_HEAD, detail="another head was ordered")
    return None
