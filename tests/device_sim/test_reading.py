"""`cinnabar-device journal` reads the file and never writes it, also while the device works."""

import hashlib
import json
import os
import threading
from pathlib import Path

from device_sim.core.journal import FILE
from device_sim.process.disk import FolderDisk
from device_sim.process.faults import Faults
from device_sim.reading import describe
from firmware_protocol import messages, operators
from firmware_protocol.operators import Method
from firmware_protocol.orders import ServiceKind
from firmware_protocol.tokens import Mode
from tests.device_sim.world import World

ANN = operators.Entry(operator=b"ann.", method=Method.PIN, salt=b"saltsalt", verifier=bytes(16))


def busy_day() -> World:
    """One of each: sweep, stroke, spoiled sheet, label, tamper and its end, roster, receipt, release."""
    world = World()
    token_id = world.grant(policy=int(Mode.SWEEP), first_page=1, last_page=1)
    world.scan()
    world.ask(messages.SweepEndRequest())
    world.stamp()
    world.ask(messages.SpoilRequest(token_id=token_id, stroke=1))
    world.ask(messages.LabelRequest(token_id=token_id, stroke=1))
    world.ask(messages.RosterRequest(roster=world.roster(ANN)))
    world.device.pried()
    world.serve(ServiceKind.CLEAR_TAMPER, epoch=1)
    photos = world.device.memory.photos
    world.ask(messages.ReceiptRequest(receipt=world.receipt(photos=photos[:8])))
    world.ask(messages.ReceiptRequest(receipt=world.receipt_again(photos=photos[8:])))
    world.serve(ServiceKind.RELEASE, epoch=2)
    return world


def test_every_record_is_described_and_the_file_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / FILE
    path.write_bytes(busy_day().disk.files[FILE])
    path.chmod(0o400)
    os.utime(path, ns=(1, 1))
    before = (path.read_bytes(), path.stat().st_mtime_ns, sorted(tmp_path.iterdir()))
    lines = [json.loads(line) for line in describe(path)]
    assert (path.read_bytes(), path.stat().st_mtime_ns, sorted(tmp_path.iterdir())) == before
    assert {line["record"] for line in lines} == {"EVENT", "RECEIPT", "ROSTER"}
    told = [line["event_type"] for line in lines if line["record"] == "EVENT"]
    assert {"PAGES_SWEPT", "SPOILED", "LABEL", "SERVICE", "TAMPER", "RESET"} <= set(told)
    roster = next(line["order"] for line in lines if line["record"] == "ROSTER")
    assert roster["entries"] == [ANN.pack().hex()]


def test_reading_beside_a_running_device_changes_nothing(tmp_path: Path) -> None:
    """The reader sees a prefix of what was written; the file becomes what it becomes without a reader."""
    disk = FolderDisk(tmp_path, Faults())
    data = busy_day().disk.files[FILE]
    done = threading.Event()

    def write() -> None:
        for at in range(0, len(data), 97):
            disk.append(FILE, data[at : at + 97])
        done.set()

    disk.append(FILE, b"")
    writer = threading.Thread(target=write)
    writer.start()
    seen = [sum('"record"' in line for line in describe(tmp_path / FILE))]
    while not done.is_set():
        seen.append(sum('"record"' in line for line in describe(tmp_path / FILE)))
    writer.join()
    assert seen == sorted(seen)
    assert hashlib.sha256((tmp_path / FILE).read_bytes()).digest() == hashlib.sha256(data).digest()
