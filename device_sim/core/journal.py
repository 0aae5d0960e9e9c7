"""The journal on disk: append, sync, fold. What memory says is always what a reader of the file would say."""

from collections.abc import Sequence
from typing import Final

from device_sim.core import records
from device_sim.core.errors import StorageFailed
from device_sim.core.folding import remember
from device_sim.core.memory import EMPTY, Memory, signed_event, snapshot_record
from device_sim.core.ports import Disk
from device_sim.core.records import Kind, Record
from firmware_protocol.events import chain_hash

FILE: Final = "journal"
CAPACITY: Final = 1_048_576
"""Bytes, about 2,000 events without a receipt: a week of a busy counter, offline."""
RESERVE: Final = 8_192
"""Bytes kept free so that an allowed stroke can always be written down to its end, and a reboot in the middle of it."""
COMPACT_FROM: Final = 65_536
"""Bytes that must be free to win before the file is written anew."""


class Journal:
    """Raises: StorageFailed, in every method that writes; after that the object is dead, open a new one."""

    def __init__(self, disk: Disk, *, capacity: int = CAPACITY, anew: bool = False) -> None:
        """Reads the file and folds it. A torn tail waits for the next append, which cuts and reports it in one step.

        What is read is made durable before anybody believes it: a write that failed may have left a record that the
        next power cut takes away. `anew`: the next append writes the whole file, since a disk that failed one sync may
        say yes to the next without having kept the data.
        """
        data = disk.read(FILE)
        if data:
            disk.sync(FILE)
        reading = records.read(data)
        self.torn = reading.torn
        self.damaged = reading.damaged
        self._disk = disk
        self._capacity = capacity
        self._records = list(reading.records)
        self._link = reading.link
        self._size = sum(record.size for record in self._records)
        self.memory = EMPTY
        for record in self._records:
            self.memory = remember(self.memory, record)
        self._rewrite_next = self.torn > 0 or anew
        self._dead = self.damaged
        self._events = {
            self.memory.seq - back: record
            for back, record in enumerate(record for record in reversed(self._records) if record.kind is Kind.EVENT)
        }

    @property
    def failed(self) -> bool:
        """A write failed, or the file is damaged: nothing more is written, so nothing more is allowed."""
        return self._dead

    def check_alive(self) -> None:
        """Raises: StorageFailed, when a write would fail for sure."""
        if self._dead:
            raise StorageFailed("the journal takes no more writes")

    @property
    def free_bytes(self) -> int:
        return min(self._capacity - self._size, self._disk.free_bytes())

    @property
    def free_percent(self) -> int:
        return max(0, 100 * self.free_bytes // self._capacity)

    @property
    def has_room(self) -> bool:
        """Whether a further stroke may be allowed."""
        return not self._dead and self.free_bytes >= RESERVE

    def append(self, added: Sequence[Record]) -> None:
        """All of `added` is durable when this returns, in one write and one sync."""
        self.check_alive()
        self._dead = True  # until the disk said yes
        if self._rewrite_next:
            data, self._link = records.write([*self._records, *added], link=records.FIRST_LINK)
            self._disk.replace(FILE, data)
            self._rewrite_next = False
        else:
            data, self._link = records.write(added, link=self._link)
            self._disk.append(FILE, data)
            self._disk.sync(FILE)
        self._dead = False
        for record in added:
            self._keep(record)

    def event(self, seq: int) -> bytes | None:
        """The signed event, None when it is not there any more or not yet."""
        record = self._events.get(seq)
        return None if record is None else signed_event(record)

    def hash_at(self, seq: int) -> bytes | None:
        """The first 8 bytes of the chain hash of event `seq`: of any that is still here, since after days without a
        network a receipt may be for the oldest, and of the last ones that are not.
        """
        event = self.event(seq)
        return self.memory.hash_at(seq) if event is None else chain_hash(event)[:8]

    def compact(self) -> None:
        """Delete what receipts cover, once it is worth a rewrite. The meaning of the file stays the same."""
        covered = self._covered()
        won = sum(record.size for record in self._records[:covered])
        if won < min(COMPACT_FROM, self._capacity // 4):
            return
        base: Memory = EMPTY
        for record in self._records[:covered]:
            base = remember(base, record)
        self._rewrite([snapshot_record(base), *self._records[covered:]])

    def _covered(self) -> int:
        """How many records lie before the first event that no receipt covers."""
        open_events = max(0, self.memory.seq - self.memory.acked_seq)
        for at in range(len(self._records) - 1, -1, -1):
            if self._records[at].kind is Kind.EVENT:
                if open_events == 0:
                    break
                open_events -= 1
                if open_events == 0:
                    return at
        return len(self._records)

    def _rewrite(self, kept: list[Record]) -> None:
        data, link = records.write(kept, link=records.FIRST_LINK)
        self._dead = True
        self._disk.replace(FILE, data)
        self._dead = False
        self._records, self._link, self._size = kept, link, len(data)
        first = self.memory.seq - sum(record.kind is Kind.EVENT for record in kept)
        self._events = {seq: record for seq, record in self._events.items() if seq > first}

    def _keep(self, record: Record) -> None:
        self._records.append(record)
        self._size += record.size
        before, self.memory = self.memory, remember(self.memory, record)
        if self.memory.generation != before.generation:
            self._events.clear()
        if record.kind is Kind.EVENT:
            self._events[self.memory.seq] = record
