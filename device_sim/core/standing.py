"""Standing orders: whether a policy, a service or a roster may be obeyed (docs/protocol.md, "Standing orders")."""

from typing import Final

from device_sim.core.checks import No, first_no, read_signed
from device_sim.core.memory import Memory
from firmware_protocol import orders
from firmware_protocol.errors import Malformed
from firmware_protocol.operators import Entry
from firmware_protocol.orders import Policy, Roster, ServiceKind
from firmware_protocol.passkeys import Passkey
from firmware_protocol.purposes import Purpose
from firmware_protocol.reasons import Reason

TWO_PERSONS: Final = 2


def check_policy(data: bytes, *, memory: Memory, device_id: str) -> Policy | No:
    """The recovery key may order what the issuer may not: a new issuer, an earlier time floor."""
    issuer = memory.order_keys(Purpose.POLICY)
    policy = read_signed(lambda: orders.verify(Policy, data, keys=issuer | memory.recovery_keys), memory)
    if isinstance(policy, No):
        return policy
    by_issuer = not isinstance(read_signed(lambda: orders.verify(Policy, data, keys=issuer), memory), No)
    lowers = policy.time_floor_ms is not None and policy.time_floor_ms < memory.floor_ms
    reserved = lowers or policy.next_issuer_keys is not None
    no = first_no(
        (policy.device_id != device_id, Reason.WRONG_DEVICE, "for another device"),
        (by_issuer and reserved, Reason.UNKNOWN_KEY, "only the recovery key may order that"),
        (
            policy.epoch <= memory.policy_epoch or policy.epoch < memory.epoch,
            Reason.OLD_EPOCH,
            f"epoch {policy.epoch}, this device is at {memory.epoch}",
        ),
    )
    return no or _check_service(policy, memory) or policy


def _check_service(policy: Policy, memory: Memory) -> No | None:
    """Two different persons, and a slot where there is one to open."""
    slot = policy.slot
    opens = policy.service in (ServiceKind.CHANGE_HEAD, ServiceKind.REFILL_INK)
    return first_no(
        (
            policy.service is None and (slot is not None or policy.head_id is not None),
            Reason.MALFORMED,
            "a slot without a service",
        ),
        (
            policy.service is not None and len(set(policy.authorised_by or ())) < TWO_PERSONS,
            Reason.MALFORMED,
            "a service needs two different persons",
        ),
        (opens and (slot is None or slot >= len(memory.heads)), Reason.WRONG_HEAD, "there is no such slot"),
        (
            policy.service is ServiceKind.CHANGE_HEAD and policy.head_id is None,
            Reason.MALFORMED,
            "which head belongs there?",
        ),
    )


def check_roster(data: bytes, *, memory: Memory, device_id: str) -> Roster | No:
    roster = read_signed(lambda: orders.verify(Roster, data, keys=memory.order_keys(Purpose.POLICY)), memory)
    if isinstance(roster, No):
        return roster
    try:
        for entry in roster.entries:
            Entry.unpack(entry)
        for passkey in roster.passkeys or ():
            Passkey.unpack(passkey)
    except Malformed as error:
        return No(reason=Reason.MALFORMED, detail=str(error))
    no = first_no(
        (roster.device_id != device_id, Reason.WRONG_DEVICE, "for another device"),
        (roster.part >= roster.parts, Reason.MALFORMED, f"part {roster.part} of {roster.parts}"),
        (
            roster.number < (memory.roster_number or 0),
            Reason.OLD_EPOCH,
            f"number {roster.number}, this device has {memory.roster_number}",
        ),
    )
    return no or roster
