"""Events and photos on their way up when this office, or the box before it, forgot something."""

from pathlib import Path
from typing import Any

from firmware_protocol import messages
from gateway.errors import GatewayError, HeadOfficeUnreachable, PhotoBroken, PhotoGone
from gateway.outbox import KeptEvent
from tests.gateway.stand import STATUS, Stand, at_desk

GONE, BROKEN, THIRD, FOURTH = (bytes([number]) * 32 for number in range(4))


class PickyBulk:
    """What each photo comes to."""

    def __init__(self, fails: dict[bytes, GatewayError]) -> None:
        self.fails = fails

    async def fetch(self, digest: bytes, *, urgent: bool = False) -> bytes:
        if digest in self.fails:
            raise self.fails[digest]
        return b"photo"


def owe(stand: Stand, *digests: bytes) -> None:
    stand.carrying._office.outbox.owe(stand.connection.device_id, digests)


def owed(stand: Stand) -> list[bytes]:
    return stand.carrying._office.outbox.photos_owed(stand.connection.device_id)


def test_one_photo_that_does_not_come_holds_no_other_back(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        bulk: Any = PickyBulk({GONE: PhotoGone(GONE), BROKEN: PhotoBroken(BROKEN)})
        stand.carrying._bulk = bulk
        stand.head_office.says = {"photos_wanted": [[]], "upload": [None]}
        owe(stand, GONE, BROKEN, THIRD, FOURTH)
        stand.connection.spawn(stand.carrying.upload_photos())
        await stand.until_true(lambda: owed(stand) == [BROKEN])
        assert [name for name, _ in stand.head_office.heard].count("upload") == 2
        bulk.fails.clear()
        await stand.until_true(lambda: owed(stand) == [])

    at_desk(tmp_path, work)


def test_a_new_box_brings_what_headquarters_misses(tmp_path: Path) -> None:
    """Their events have a receipt: nothing here announces these photos any more."""

    async def work(stand: Stand) -> None:
        stand.carrying._bulk = PickyBulk({})  # type: ignore[assignment]
        stand.head_office.says = {
            "photos_wanted": [HeadOfficeUnreachable("wanted"), [THIRD, FOURTH]],
            "upload": [None],
        }
        stand.connection.spawn(stand.carrying.upload_photos())
        await stand.until_true(lambda: "upload" in [name for name, _ in stand.head_office.heard])
        await stand.until_true(lambda: owed(stand) == [])
        assert [name for name, _ in stand.head_office.heard].count("photos_wanted") == 2

    at_desk(tmp_path, work)


def test_a_hole_in_the_outbox_is_read_again_and_sent(tmp_path: Path) -> None:
    async def work(stand: Stand) -> None:
        hello, outbox = stand.connection.introduced(), stand.carrying._office.outbox
        first = hello.acked_seq + 1
        outbox.keep(
            [
                KeptEvent(device_id=hello.device_id, generation=hello.generation, seq=seq, signed=b"here")
                for seq in (first, first + 2)
            ]
        )
        assert stand.carrying._send_some(0.0)
        await stand.carrying.drain(at_least=first + 3)
        asked = [request.seq for request in stand.device.asked if isinstance(request, messages.ReadEventRequest)]
        assert asked == [first + 1, first + 3]
        assert stand.carrying._flight.sent < (hello.generation, first), "all of it goes up again, in order"

    assert STATUS.acked_seq <= 1
    at_desk(tmp_path, work)
