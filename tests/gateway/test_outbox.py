"""What the office keeps, until a receipt that the device accepted."""

from pathlib import Path

import pytest

from gateway.outbox import BEGINNING, KeptEvent, Outbox


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "outbox.db"


def kept(seq: int, *, device: str = "CB-1", generation: int = 1) -> KeptEvent:
    return KeptEvent(device_id=device, generation=generation, seq=seq, signed=b"event %d" % seq)


def test_events_survive_and_leave_only_when_settled(path: Path) -> None:
    outbox = Outbox(path)
    outbox.keep([kept(1), kept(2), kept(3)])
    assert outbox.after("CB-1", BEGINNING, limit=2) == [kept(1), kept(2)]
    assert outbox.after("CB-1", kept(2).place, limit=2) == [kept(3)]
    outbox.close()
    outbox = Outbox(path)
    assert outbox.counts()["events"] == 3, "sent is not safe"
    outbox.settle("CB-1", 1, 2)
    assert outbox.after("CB-1", BEGINNING, limit=10) == [kept(3)]
    assert outbox.counts()["events"] == 1
    outbox.close()


def test_the_same_event_twice_is_one_event(path: Path) -> None:
    outbox = Outbox(path)
    outbox.keep([kept(1)])
    outbox.keep([kept(1), kept(2)])
    assert outbox.counts()["events"] == 2
    assert outbox.last_seq("CB-1", 1) == 2
    assert outbox.last_seq("CB-1", 2) == 0
    outbox.close()


def test_a_receipt_for_one_generation_leaves_the_next(path: Path) -> None:
    outbox = Outbox(path)
    outbox.keep([kept(1), kept(1, generation=2)])
    outbox.settle("CB-1", 1, 9)
    assert outbox.after("CB-1", BEGINNING, limit=9) == [kept(1, generation=2)]
    outbox.close()


def test_photos_are_owed_until_named(path: Path) -> None:
    outbox = Outbox(path)
    outbox.keep([kept(1)], photos=[("CB-1", b"full"), ("CB-1", b"preview")])
    assert outbox.photos_owed("CB-1") == [b"full", b"preview"]
    outbox.photo_uploaded(b"full")
    outbox.photo_uploaded(b"full")
    assert outbox.photos_owed("CB-1") == [b"preview"]
    assert outbox.counts() == {"events": 1, "photos": 1}
    outbox.settle("CB-1", 1, 0, photos=[b"preview", b"full"])
    assert outbox.counts() == {"events": 1, "photos": 0}
    outbox.close()


def test_every_start_counts_as_a_birth(path: Path) -> None:
    numbers = []
    for _ in range(3):
        outbox = Outbox(path)
        numbers.append(outbox.next_birth())
        outbox.close()
    assert numbers == [1, 2, 3]


def test_a_hole_is_found_and_what_is_new_behind_it(path: Path) -> None:
    outbox = Outbox(path)
    assert outbox.missing("CB-1", 1, after=3, up_to=5) == [4, 5]
    outbox.keep([kept(4), kept(5)])
    assert outbox.missing("CB-1", 1, after=3, up_to=5) == []
    assert outbox.missing("CB-1", 1, after=3, up_to=3) == []
    assert outbox.missing("CB-1", 1, after=3, up_to=7) == [6, 7]
    outbox.keep([kept(8), kept(6, generation=2)])
    assert outbox.missing("CB-1", 1, after=3, up_to=9) == [6, 7, 9]
    assert outbox.missing("CB-1", 1, after=2, up_to=9) == [3, 6, 7, 9]
    outbox.close()


def test_headquarters_may_ask_for_a_photo_and_one_that_is_gone_is_not_owed(path: Path) -> None:
    outbox = Outbox(path)
    outbox.owe("CB-1", [b"one", b"two"])
    outbox.owe("CB-1", [b"one"])
    assert outbox.photos_owed("CB-1") == [b"one", b"two"]
    outbox.photo_gone(b"one")
    outbox.photo_gone(b"one")
    assert outbox.photos_owed("CB-1") == [b"two"]
    assert outbox.counts()["photos"] == 1
    outbox.close()
