"""What must hold of a device after every step, and of everything once the faults have stopped (I3, I5, I14, I19)."""

import random
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from device_sim.core.memory import NO_HEAD, Memory
from firmware_protocol.messages import State
from server.ledger import admission, merkle
from server.ledger.admission import Chain, Incoming
from tests.simulation.accounts import Account, Violation, readable
from tests.simulation.stand import Stand
from tests.simulation.truth import Truth

if TYPE_CHECKING:
    from tests.simulation.world import World

_NOW: Final = datetime(2027, 1, 16, tzinfo=UTC)
_SHUT: Final = (State.LOCKED, State.GRANTED, State.PAGE_SEEN, State.TAMPERED, State.SUSPENDED, State.FAULT)


def check_device(stand: Stand, truth: Truth) -> None:
    """Cheap enough for every step. Raises: Violation."""
    device, account = stand.device, stand.account
    if device is None:
        return
    memory = device.memory
    if stand.shaft.free and device.state in _SHUT:
        raise Violation("I10", f"{stand.name} is {device.state.name} and its latch is free")
    if device.state is not State.FAULT and (memory.heads[0] != (account.head or NO_HEAD) or account.alarm):
        raise Violation("I2", f"{stand.name} goes on though its head changed: it knows {memory.heads[0].hex()}")
    if memory.acked_seq > account.acked:
        if memory.acked_seq > truth.prefix.get(stand.name, 0):
            raise Violation("I12", f"{stand.name} believes {memory.acked_seq} is safe, the ledger does not have it")
        account.acked = memory.acked_seq
        if readable(account.story[account.acked]).header.boot < account.boot:
            stand.marks.hit("receipt_for_an_old_boot")
    if memory.floor_ms < account.floor_ms:
        raise Violation("I9", f"{stand.name} forgot its time floor")
    account.floor_ms = memory.floor_ms
    if memory.seq < account.last_seq or memory.policy_epoch < account.policy_epoch:
        raise Violation("I11", f"{stand.name} went back from event {account.last_seq} to {memory.seq}")
    if (memory.suspended, memory.tampered) != (account.suspended, account.tampered):
        raise Violation("I8", f"{stand.name} took its suspension or its tamper alarm back by itself")
    _check_who(memory, account)


def _check_who(memory: Memory, account: Account) -> None:
    who, said = memory.operator, account.operator
    if who != said:
        raise Violation("I2", f"{account.device_id} believes that {who!r} is there, its events say {said!r}")


def waiting_for(world: "World") -> str:
    """What is not settled yet; empty when all is."""
    for stand in world.stands:
        if why := _device_waits(stand):
            return f"{stand.name}: {why}"
    counts = world.gateway.outbox.counts()
    if any(counts.values()):
        return f"the outbox holds {counts}"
    if world.server.down:
        return f"headquarters still sends {[row.kind for row in world.server.down.values()]}"
    for key, chain in world.server.ledger.tables.chains.items():
        if chain.gaps or chain.quarantined:
            return f"{key}: gaps {chain.gaps}, quarantined {chain.quarantined}"
    return ""


def _device_waits(stand: Stand) -> str:
    device = stand.device
    if device is None or device.state is State.FAULT:
        return "off, or in FAULT"
    memory = device.memory
    if memory.token is not None or memory.intent is not None:
        return "a grant is open"
    if memory.acked_seq != memory.seq:
        return f"events {memory.acked_seq + 1} to {memory.seq} without a receipt"
    return f"{len(memory.photos)} photos without a receipt" if memory.photos else ""


def check_the_end(world: "World") -> None:
    """Raises: Violation."""
    tables = world.server.ledger.tables
    for stand in world.stands:
        key, account = (stand.name, 1), stand.account
        if account.explained != stand.shaft.count:
            raise Violation("I3", f"{stand.name}: {stand.shaft.count} presses, events speak of {account.explained}")
        held = {seq: incoming.leaf for seq, incoming in tables.leaves.get(key, {}).items()}
        if held != account.story:
            raise Violation("I5", f"{stand.name}: the ledger does not hold what the device wrote")
        check_any_order(list(tables.leaves[key].values()), world.rng)


def check_any_order(arrived: list[Incoming], rng: random.Random) -> None:
    """I14: any order, any number of times, gives the same tree as once and in order. Raises: Violation."""
    shuffled = arrived + rng.sample(arrived, len(arrived) // 2)
    rng.shuffle(shuffled)
    once, often = (_root(_admitted(events)) for events in (arrived, shuffled))
    if once != often:
        raise Violation("I14", "the same events in another order gave another tree")


def _admitted(events: list[Incoming]) -> list[Incoming]:
    chain = Chain()
    found = [
        incoming for incoming in events if isinstance(admission.admit(chain, incoming, now=_NOW), admission.Accepted)
    ]
    return sorted(found, key=lambda incoming: incoming.seq)


def _root(leaves: list[Incoming]) -> bytes:
    tree = merkle.Tree()
    tree.append([incoming.leaf_hash for incoming in leaves])
    return tree.root()
