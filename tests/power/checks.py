"""What must hold in a folder after the power went, by what the program had said until then."""

import hashlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from device_sim.core import records
from device_sim.core.journal import FILE
from device_sim.core.memory import signed_event
from device_sim.core.records import Kind
from firmware_protocol import events
from gateway.outbox import Outbox
from tests.power.workloads import DEVICE, OUTBOX, RealDisk, photo, signed


def violations(what: str, folder: Path, said: Sequence[bytes]) -> list[str]:
    """Empty when every promise was kept."""
    lines = [line.decode().split() for line in said]
    try:
        return _journal(folder, lines) if what == "journal" else _outbox(folder, lines)
    except (sqlite3.DatabaseError, AssertionError) as error:
        return [f"{what} can't be opened: {error!r}"]


def _last(lines: list[list[str]], word: str) -> int:
    return max((int(line[1]) for line in lines if line[0] == word), default=0)


def _outbox(folder: Path, lines: list[list[str]]) -> list[str]:
    kept, settled = _last(lines, "kept"), _last(lines, "settling")
    path = folder / OUTBOX
    if not path.exists():
        return [f"{kept} events are gone with the file"] if kept else []
    Outbox(path).close()  # what a restarted gateway does first
    db = sqlite3.connect(path)
    try:
        wrong = [f"integrity: {text}" for (text,) in db.execute("PRAGMA integrity_check") if text != "ok"]
        found = dict(db.execute("SELECT seq, signed FROM event WHERE device = ? AND generation = 1", (DEVICE,)))
        owed = {digest for (digest,) in db.execute("SELECT digest FROM photo")}
    finally:
        db.close()
    wrong += [f"event {seq} is lost" for seq in range(settled + 1, kept + 1) if seq not in found]
    wrong += [f"event {seq} has other bytes" for seq, data in found.items() if data != signed(seq)]
    wrong += [f"photo {seq} is not owed any more" for seq in range(settled + 1, kept + 1) if photo(seq) not in owed]
    return wrong


def _journal(folder: Path, lines: list[list[str]]) -> list[str]:
    presses, receipted = _last(lines, "pressed"), _last(lines, "receipt")
    world = RealDisk(folder, presses=presses)
    memory = world.device.memory
    there = [
        signed_event(record)
        for record in records.read((folder / FILE).read_bytes()).records
        if record.kind is Kind.EVENT
    ]
    by_seq = {events.peek(data).header.seq: data for data in there}
    told = {int(line[1]): line[2] for line in lines if line[0] == "told"}
    wrong = [] if memory.counted == presses else [f"{presses} presses, {memory.counted} accounted for"]
    wrong += ["a stroke is open after the boot"] if memory.intent or memory.token else []
    wrong += ["the latch is free after the boot"] if world.shaft.free else []
    for seq, digest in told.items():
        if seq > receipted and hashlib.sha256(by_seq.get(seq, b"")).hexdigest() != digest:
            wrong.append(f"event {seq}, told before, is {'other' if seq in by_seq else 'gone'}")
    bodies = [events.peek(data).body for data in there]
    wrong += ["a press that no INTENT explains" for body in bodies if isinstance(body, events.ExtraStroke)]
    return wrong
