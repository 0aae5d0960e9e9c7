"""What nobody can read, sent by a gateway into the running ledger: kept, shown as cases, and in nobody's way."""

import random
from pathlib import Path

from server.ledger import browsing, service
from tests.fixtures.mosquitto import Mosquitto
from tests.server.ledger.conftest import SCOPE, Device
from tests.server.ledger.test_role import Gateway, Installation, enrol


def test_poison_is_set_aside_shown_and_does_not_hold_up_what_comes_after(
    mosquitto: Mosquitto, tmp_path: Path, rng: random.Random
) -> None:
    installation = Installation(tmp_path / "home", mosquitto)
    device, stranger = Device(rng), Device(rng, "D-UNKNOWN")
    enrol(installation, device)
    signed = device.many(6)
    bent = signed[0][:-1] + bytes([signed[0][-1] ^ 1])
    poison = [b"", b"\xd2\x84", rng.randbytes(300), b"{" * 20_000, bent, stranger.next()]
    installation.ledger.start()
    gateway = Gateway(installation.port, installation.receipt_key)
    try:
        for bad, good in zip(poison, signed, strict=True):
            gateway.publish(device, bad, good)
        gateway.receipt_up_to(len(signed))
    finally:
        gateway.stop()
        installation.ledger.kill()
    with installation.database.read() as db:
        kept = {item.digest for item in service.set_aside(db, SCOPE)}
        cases = browsing.set_aside(db, SCOPE)
        events = [row.seq for row in service.leaves(db, first=0, last=1 << 40) if row.seq is not None]
    assert events == [1, 2, 3, 4, 5, 6]
    assert len(kept) == len(poison)
    assert {case.digest for case in cases} == kept
    installation.close()
