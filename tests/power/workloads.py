"""Two programs whose writes are put on tape: `python -m tests.power.workloads outbox|outbox-normal|journal FOLDER`.

Each says on standard output, at once, what it may rely on from then on.
"""

import hashlib
import os
import sqlite3
import sys
from pathlib import Path
from typing import Final

from device_sim.core.errors import StorageFailed
from device_sim.process.disk import FolderDisk
from device_sim.process.faults import Faults
from firmware_protocol import messages
from gateway.errors import NoRoom
from gateway.outbox import KeptEvent, Outbox
from tests.device_sim.world import World

DEVICE: Final = "CB-POWER000"
ROUNDS: Final = 12
OUTBOX: Final = "outbox.db"


def main(what: str, folder: Path) -> int:
    folder.mkdir(exist_ok=True)
    try:
        if what == "journal":
            _journal(folder)
        else:
            _outbox(folder, durable=what == "outbox")
    except (sqlite3.OperationalError, StorageFailed, NoRoom, AssertionError) as error:
        say(f"stopped {type(error).__name__}")
        return 1
    return 0


def say(text: str) -> None:
    os.write(1, text.encode() + b"\n")


# --- the gateway's outbox ---------------------------------------------------------------------------------------------


def signed(seq: int) -> bytes:
    """As long as a stroke's event, and different for every number."""
    return b"".join(hashlib.sha256(b"%d %d" % (seq, part)).digest() for part in range(9))


def photo(seq: int) -> bytes:
    return hashlib.sha256(b"photo %d" % seq).digest()


def _outbox(folder: Path, *, durable: bool) -> None:
    outbox = Outbox(folder / OUTBOX)
    if not durable:
        outbox._db.execute("PRAGMA synchronous=NORMAL")
    seq = 0
    for number in range(ROUNDS):
        batch = range(seq + 1, seq + 2 + number % 4)
        kept = [KeptEvent(device_id=DEVICE, generation=1, seq=seq, signed=signed(seq)) for seq in batch]
        outbox.keep(kept, photos=[(DEVICE, photo(at)) for at in batch])
        seq = batch[-1]
        say(f"kept {seq}")
        if number % 3 == 2:
            settled = seq - 2
            say(f"settling {settled}")
            outbox.settle(DEVICE, 1, settled, photos=[photo(settled)])
    outbox.close()


# --- the device's journal ---------------------------------------------------------------------------------------------


class RealDisk(World):
    """The core's world with a folder for its disk, and a shaft whose presses are said."""

    def __init__(self, folder: Path, *, presses: int = 0, paired: bool = False) -> None:
        super().__init__(paired=False, boot=False, capacity=40_000)
        self.disk = FolderDisk(folder, Faults())  # type: ignore[assignment]
        self.shaft.count = presses
        self.boot()
        if paired:
            self.pair()
            self.device.head_seen(0, bytes.fromhex("0102030405060708"))

    def tell(self) -> None:
        """What a gateway may have read."""
        for seq in range(self.device.memory.acked_seq + 1, self.device.memory.seq + 1):
            say(f"told {seq} {hashlib.sha256(self.event_bytes(seq)).hexdigest()}")

    def press(self) -> None:
        assert self.shaft.pull()
        say(f"pressed {self.shaft.count}")
        self.device.lever_pulled()
        self.shutter()
        self.tell()


def _journal(folder: Path) -> None:
    world = RealDisk(folder, paired=True)
    for day in range(5):
        world.grant(max_strokes=2)
        world.lay()
        for _ in range(2):
            world.unlock()
            world.press()
            world.take_away()
            world.lay()
        world.ask(messages.RelockRequest(close_grant=True))
        if day % 2:
            say(f"receipt {world.device.memory.seq}")
            photos = tuple(list(world.tray.kept)[:4])
            world.ask(messages.ReceiptRequest(receipt=world.receipt(photos=photos)))
        world.boot()
        world.tell()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
