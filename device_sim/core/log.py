"""Writes events: numbers, chains and signs them, and makes them durable before anything follows from them."""

from collections.abc import Callable
from dataclasses import dataclass

from device_sim.core.errors import StorageFailed
from device_sim.core.journal import Journal
from device_sim.core.memory import NO_HEAD, Memory, event_record
from device_sim.core.ports import Counter
from device_sim.core.timekeeping import Timekeeper
from firmware_protocol import events
from firmware_protocol.cose import SigningKey
from firmware_protocol.events import Body, Event, Header


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who this device says it is."""

    device_id: str
    model: str
    firmware: str
    inline_coder: bool = True
    """It prints the trace code beside the imprint; without one a label is printed and stuck on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """An event and the object that it names by digest only (records.py, EVENT)."""

    body: Body
    attachment: bytes


class EventLog:
    """The device's own account. The mechanical counter is read for every write and stands in every event."""

    def __init__(
        self,
        *,
        identity: Identity,
        journal: Journal,
        key: SigningKey,
        counter: Counter,
        time: Timekeeper,
        later_key: Callable[[int], SigningKey] | None = None,
    ) -> None:
        self.journal = journal
        self._identity = identity
        self._key_of = later_key
        self._keys = {1: key}
        self._counter = counter
        self._time = time
        self._boot = journal.memory.boot + 1

    @property
    def memory(self) -> Memory:
        return self.journal.memory

    @property
    def key(self) -> SigningKey:
        """Of this generation: a released device begins the next with a key of its own."""
        generation = self.memory.generation
        if generation not in self._keys:
            if self._key_of is None:
                raise StorageFailed(f"there is no key of generation {generation}")
            self._keys[generation] = self._key_of(generation)
        return self._keys[generation]

    def write(self, *bodies: Body | Attached) -> list[bytes]:
        """All of them, in one write and one sync; returns them signed. Raises: StorageFailed."""
        memory = self.memory
        counter = self._counter.read()
        seq, previous = memory.seq, memory.chain_hash
        added, written = [], []
        for item in bodies:
            body, attachment = (item.body, item.attachment) if isinstance(item, Attached) else (item, None)
            seq += 1
            header = Header(
                device_id=self._identity.device_id,
                generation=memory.generation,
                seq=seq,
                boot=self._boot,
                event_type=events.type_of(body),
                uptime_ms=self._time.uptime_ms,
                counter=counter,
                head_id=self._active_head(),
                firmware=self._identity.firmware,
                previous=previous,
                time_ms=self._time.moment.unix_ms,
            )
            signed = events.sign(Event(header=header, body=body), key=self.key)
            previous = events.chain_hash(signed)
            added.append(event_record(signed, attachment))
            written.append(signed)
        if added:
            self.journal.append(added)
        return written

    def _active_head(self) -> bytes:
        work = self.memory.work
        heads = self.memory.heads
        slot = 0 if work is None else work.slot
        return heads[slot] if slot < len(heads) else NO_HEAD
