"""The journal: what a reader gets back, what a torn tail does, and the count across every power cut (design: D5)."""

import contextlib
import dataclasses
import hashlib
import os
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_sim.core import records
from device_sim.core.errors import StorageFailed
from device_sim.core.folding import remember
from device_sim.core.journal import COMPACT_FROM, FILE, Journal
from device_sim.core.machine import TORN_SENSOR
from device_sim.core.memory import EMPTY, Memory, signed_event, snapshot_record
from device_sim.core.records import FIRST_LINK, Kind, Record
from device_sim.core.settle import after_boot
from firmware_protocol import events, messages, trace
from firmware_protocol.cose import keyring
from firmware_protocol.events import Cause, Outcome
from firmware_protocol.messages import State
from firmware_protocol.reasons import Reason
from tests.device_sim.hardware import MemoryDisk, PowerCut, Shaft
from tests.device_sim.installation import DEVICE_KEY
from tests.device_sim.world import World

RECORDS = st.lists(
    st.builds(Record, kind=st.sampled_from([Kind.EVENT, Kind.RECEIPT]), body=st.binary(max_size=80)), max_size=6
)


# --- file format ------------------------------------------------------------------------------------------------------


@given(RECORDS)
def test_what_is_written_is_read(written: list[Record]) -> None:
    data, link = records.write(written, link=FIRST_LINK)
    reading = records.read(data)
    assert (list(reading.records), reading.link, reading.torn, reading.damaged) == (written, link, 0, False)


@given(RECORDS, st.data())
def test_a_tear_at_any_byte_leaves_whole_records_and_is_no_damage(written: list[Record], draw: st.DataObject) -> None:
    data, _ = records.write(written, link=FIRST_LINK)
    cut = draw.draw(st.integers(0, len(data)))
    reading = records.read(data[:cut])
    assert list(reading.records) == written[: len(reading.records)]
    assert sum(record.size for record in reading.records) + reading.torn == cut
    assert not reading.damaged


@given(RECORDS.filter(lambda written: len(written) > 1), st.data())
def test_a_changed_byte_before_the_last_record_is_damage(written: list[Record], draw: st.DataObject) -> None:
    data, _ = records.write(written, link=FIRST_LINK)
    at = draw.draw(st.integers(0, len(data) - written[-1].size - 1))
    changed = bytearray(data)
    changed[at] ^= draw.draw(st.integers(1, 255))
    reading = records.read(bytes(changed))
    assert reading.damaged
    assert list(reading.records) == written[: len(reading.records)]


@given(st.binary(max_size=300))
def test_garbage_is_counted_never_raised(data: bytes) -> None:
    reading = records.read(data)
    assert sum(record.size for record in reading.records) + reading.torn == len(data)


def test_a_record_moved_from_another_place_breaks_the_chain() -> None:
    first, second = (Record(kind=Kind.RECEIPT, body=text) for text in (b"one", b"two"))
    data, _ = records.write([first, second], link=FIRST_LINK)
    swapped = data[first.size :] + data[: first.size]
    assert records.read(swapped).records == ()
    assert records.read(swapped).damaged


@given(
    st.builds(
        dataclasses.replace,
        st.just(EMPTY),
        seq=st.integers(0, 2**40),
        counted=st.integers(0, 2**32),
        suspended=st.booleans(),
        spent=st.lists(st.binary(min_size=16, max_size=16), max_size=3).map(tuple),
        token=st.none() | st.binary(max_size=40),
    )
)
def test_a_snapshot_is_the_whole_memory(memory: Memory) -> None:
    assert remember(EMPTY, snapshot_record(memory)) == memory


# --- what the device does with it -------------------------------------------------------------------------------------


def busy_world() -> World:
    """A device with a past: strokes, a cancelled one, receipts, an open grant with one stroke used."""
    world = World()
    world.lay()
    world.grant(max_strokes=1)
    world.stamp()
    world.grant(max_strokes=3)
    world.unlock()
    world.move()
    world.stamp()
    return world


def test_memory_is_what_a_reader_of_the_file_says() -> None:
    world = busy_world()
    memory = EMPTY
    for record in records.read(world.disk.read(FILE)).records:
        memory = remember(memory, record)
    assert memory == world.device.memory
    assert Journal(world.disk).memory == memory


def test_compaction_changes_the_file_and_not_its_meaning() -> None:
    world = World(capacity=40_000)
    world.lay()
    for _ in range(8):
        world.grant(max_strokes=1)
        world.stamp()
    before, size = world.device.memory, len(world.disk.read(FILE))
    middle = before.seq - 3
    world.ask(messages.ReceiptRequest(receipt=world.receipt(up_to=middle)))
    assert len(world.disk.read(FILE)) < size / 2
    after = world.device.memory
    assert after == dataclasses.replace(before, acked_seq=middle)
    assert Journal(world.disk, capacity=40_000).memory == after
    kept = [seq for seq in range(1, after.seq + 1) if world.device._journal.event(seq) is not None]
    assert kept == [middle + 1, middle + 2, middle + 3]
    world.boot()
    hello = world.hello()
    assert (hello.counter, hello.acked_seq, hello.last_seq) == (8, middle, after.seq + 1)
    world.grant(max_strokes=1)
    world.stamp()
    assert world.device.memory.counted == 9


def test_compaction_waits_until_it_is_worth_it() -> None:
    world = busy_world()
    size = len(world.disk.read(FILE))
    world.ask(messages.ReceiptRequest(receipt=world.receipt()))
    assert size < COMPACT_FROM
    assert len(world.disk.read(FILE)) > size


def test_a_torn_tail_is_cut_and_reported() -> None:
    world = busy_world()
    world.disk.files[FILE] += b"\x02\x00\x00"
    seq = world.device.memory.seq
    world.boot()
    assert events.Sensor(sensor=TORN_SENSOR, value=3) in world.bodies()[seq:]
    assert records.read(world.disk.read(FILE)).torn == 0


@pytest.mark.parametrize("place", [0.0, 0.3, 0.6])
def test_a_damaged_journal_is_a_fault_and_is_never_written_again(place: float) -> None:
    world = busy_world()
    data = bytearray(world.disk.read(FILE))
    data[int(len(data) * place)] ^= 0x10
    world.disk.files[FILE] = bytes(data)
    world.boot()
    for _ in range(3):
        assert world.device.state is State.FAULT
        assert world.refused(messages.CaptureRequest()) is Reason.STORAGE_FAILED
        world.wait(2_000)
    assert world.disk.read(FILE) == bytes(data)
    assert world.hello().counter == 2


def test_a_device_recovers_by_itself_when_its_disk_has_room_again() -> None:
    world = World()
    world.grant()
    world.lay()
    world.unlock()
    world.disk.full = True
    assert world.shaft.pull()
    world.device.lever_pulled()
    world.shutter()
    assert world.device.state is State.FAULT
    world.wait(5_000)
    assert world.device.state is State.FAULT
    world.disk.full = False
    world.wait(1_000)
    assert world.device.state is State.LOCKED
    settled = [body for body in world.bodies() if isinstance(body, events.Settled)]
    assert [body.outcome for body in settled] == [Outcome.RECOVERED]


# --- settling ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("moved", "outcome"), [(0, Outcome.ABORTED), (1, Outcome.RECOVERED), (2, Outcome.UNKNOWN), (-1, Outcome.UNKNOWN)]
)
def test_an_open_stroke_is_settled_by_the_counter(moved: int, outcome: Outcome) -> None:
    world = World()
    world.shaft.count = 5
    world.device.lever_pulled()
    token_id = world.grant()
    world.lay()
    world.unlock()
    world.shaft.count += moved
    world.boot()
    settled, closed = (events.peek(world.event_bytes(world.device.memory.seq - back)).body for back in (1, 0))
    assert isinstance(settled, events.Settled)
    assert settled.outcome is outcome
    assert (settled.trace_code is None) == (outcome is not Outcome.RECOVERED)
    used = 0 if outcome is Outcome.ABORTED else 1
    assert closed == events.Closed(token_id=token_id, strokes_used=used, cause=Cause.REBOOT)
    assert world.device.memory.counted == world.shaft.count


def test_a_recovered_stroke_has_the_code_that_was_printed() -> None:
    world = World()
    world.grant()
    world.lay()
    world.unlock()
    world.trip.at = "before_done"
    with pytest.raises(PowerCut):
        world.pull()
    world.boot()
    settled = next(body for body in world.bodies() if isinstance(body, events.Settled))
    assert settled.trace_code is not None
    assert world.tray.printed == [trace.url(settled.trace_code, host="seal.example:8443")]
    assert trace.verify(settled.trace_code, keys=keyring(DEVICE_KEY.public_key)).counter == 1


def test_presses_while_the_power_was_off_are_extra_strokes() -> None:
    world = World()
    world.shaft.count += 2
    world.boot()
    assert world.last() == events.ExtraStroke(strokes=2)


def test_a_counter_that_was_replaced_is_reported() -> None:
    world = World()
    world.shaft.count = 9
    world.device.lever_pulled()
    world.shaft.count = 1
    world.boot()
    last = events.peek(world.event_bytes(world.device.memory.seq)).body
    assert last == events.Sensor(sensor="counter", value=1)
    assert world.device.memory.counted == 1


def test_settling_twice_says_the_same() -> None:
    world = World()
    world.grant()
    world.lay()
    world.unlock()
    memory = world.device.memory
    once = after_boot(memory, counter=1, key=DEVICE_KEY)
    assert once == after_boot(memory, counter=1, key=DEVICE_KEY)


def test_pictures_that_no_event_names_are_gone_after_boot() -> None:
    world = World()
    world.lay()
    seen = world.capture()
    world.tray.kept.add(b"power went before PAGE_SEEN")
    world.boot()
    assert world.tray.kept == {seen.preview_digest, seen.photo_digest}


# --- every byte of every write, two power cuts ------------------------------------------------------------------------

GRANTED = 4
STRIDE = int(os.environ.get("CINNABAR_TEAR_STRIDE", "10"))
"""1 tears at every byte, in half a minute; by default every run takes every tenth, from where its seed says."""


class WatchedDisk(MemoryDisk):
    """Remembers what was there before each append, what was appended, and where the shaft stood."""

    def __init__(self, shaft: Shaft) -> None:
        super().__init__()
        self.shaft = shaft
        self.appends: list[tuple[bytes, bytes, int]] = []

    def append(self, name: str, data: bytes) -> None:
        self.appends.append((self.read(name), data, self.shaft.count))
        super().append(name, data)


def work_day(world: World) -> None:
    """One grant of GRANTED strokes: three are made, one is cancelled, a receipt comes in between."""
    world.lay()
    world.grant(max_strokes=GRANTED)
    world.stamp()
    world.unlock()
    world.wait(20_000)
    world.stamp()
    world.ask(messages.ReceiptRequest(receipt=world.receipt(up_to=world.device.memory.seq - 4)))
    world.unlock()
    world.shaft.bounces = 1
    assert world.pull()


def check_accounts(world: World) -> dict[int, bytes]:
    """After a boot every press of the shaft is explained and nothing is open. The events that are still there."""
    memory = world.device.memory
    assert memory.counted == world.shaft.count
    assert memory.intent is None
    assert memory.token is None
    assert not world.shaft.free
    assert world.device.state is State.LOCKED
    return events_in(world.disk.read(FILE))


def presses_told(told: dict[int, bytes]) -> int:
    """Presses by the signed events alone: DONE, RECOVERED, extra ones, and how far the counter moved in an UNKNOWN."""
    total = before = 0
    for _, data in sorted(told.items()):
        event = events.peek(data)
        match event.body:
            case events.Intent():
                before = event.header.counter
            case events.Done() | events.Settled(outcome=Outcome.RECOVERED):
                total += 1
            case events.Settled(outcome=Outcome.UNKNOWN):
                total += event.header.counter - before
            case events.ExtraStroke(strokes=strokes):
                total += strokes
    return total


def events_in(file: bytes) -> dict[int, bytes]:
    """Signed events of a journal file by number: what a gateway may have read before the power went."""
    signed = [signed_event(record) for record in records.read(file).records if record.kind is Kind.EVENT]
    return dict(enumerate(signed, start=1))


def test_a_power_cut_at_every_byte_and_a_second_one_loses_no_press_and_adds_none(world: World, seed: int) -> None:
    """First cut: at any byte of every write of a day. Second: in the boot after it, at a byte that wanders."""
    watched = WatchedDisk(world.shaft)
    watched.files = dict(world.disk.files)
    world.disk = watched
    world.boot()
    work_day(world)
    outcomes: Counter[Outcome] = Counter()
    schedules = 0
    for before, data, presses in watched.appends:
        durable = events_in(before)
        for cut in range(seed % STRIDE, len(data) + 1, STRIDE):
            schedules += 1
            after = world_after_cuts(before + data[:cut], presses, second_cut=1 + (seed + schedules * 7) % 650)
            told = check_accounts(after)
            assert durable.items() <= told.items()  # what may have been sent is still said, in the same bytes
            assert presses_told(told) == presses
            outcomes.update(settled_in(told))
    print(  # noqa: T201 - the count is the result
        f"{schedules} schedules of two power cuts, {dict(outcomes)}, 0 violations"
    )
    assert schedules > 3_000 / STRIDE
    assert min(outcomes[Outcome.RECOVERED], outcomes[Outcome.ABORTED], outcomes[Outcome.UNKNOWN]) > 100 / STRIDE


def world_after_cuts(file: bytes, presses: int, *, second_cut: int) -> World:
    """Power on with this journal, power off after so many bytes of the boot's own write, power on again."""
    world = World(paired=False, boot=False)
    world.disk.files[FILE] = file
    world.shaft.count = presses
    world.disk.bytes_left = second_cut
    with contextlib.suppress(PowerCut):
        world.boot()
    world.disk.bytes_left = None
    world.boot()
    return world


def settled_in(told: dict[int, bytes]) -> list[Outcome]:
    bodies = [events.peek(data).body for data in told.values()]
    return [body.outcome for body in bodies if isinstance(body, events.Settled)]


POINTS = ["before_grant", "after_grant", "before_intent", "after_intent", "after_unlock", "after_press"]


@pytest.mark.parametrize("point", [*POINTS, "before_done", "after_done"])
def test_a_power_cut_between_two_steps_leaves_an_account(point: str) -> None:
    world = World()
    world.lay()
    world.trip.at = point
    with pytest.raises(PowerCut):
        work_day(world)
    pressed = world.shaft.count
    world.boot()
    assert presses_told(check_accounts(world)) == pressed


def test_a_planted_bug_is_found_intent_written_after_the_press() -> None:
    """The same accounts find a device that opens before it writes: the test can fail."""
    world = World()
    world.grant()
    world.lay()
    world.shaft.release()  # what such a device would do
    assert world.shaft.pull()
    world.boot()
    assert [type(body) for body in world.bodies()[-2:]] == [events.Closed, events.ExtraStroke]


def test_a_write_that_failed_is_not_remembered() -> None:
    disk = MemoryDisk()
    journal = Journal(disk)
    disk.full = True
    with pytest.raises(StorageFailed):
        journal.append([Record(kind=Kind.RECEIPT, body=b"x")])
    assert journal.memory == EMPTY
    assert journal.failed


def test_what_a_failed_write_left_is_durable_before_it_is_believed() -> None:
    """Else a device in FAULT tells of an event that the next power cut takes away, and signs another in its place."""
    world = busy_world()
    kept = Journal(world.disk)
    synced: list[str] = []
    world.disk.sync = synced.append  # type: ignore[method-assign]
    assert Journal(world.disk).memory == kept.memory
    assert synced == [FILE]

    def fails(_name: str) -> None:
        raise StorageFailed("input/output error")

    world.disk.sync = fails  # type: ignore[method-assign]
    with pytest.raises(StorageFailed):
        Journal(world.disk)


def test_the_first_write_after_a_failed_one_is_the_whole_file() -> None:
    """A disk that failed a sync may have dropped the data and say yes to the next."""
    world = busy_world()
    before = world.disk.files[FILE]
    world.disk.append = None  # type: ignore[assignment, method-assign] - only a new file will do
    journal = Journal(world.disk, anew=True)
    journal.append([records.read(before).records[-1]])
    assert world.disk.files[FILE].startswith(before)
    assert len(world.disk.files[FILE]) > len(before)


def test_the_chain_hash_of_hello_is_the_last_event() -> None:
    world = busy_world()
    hello = world.hello()
    assert hello.chain_hash == hashlib.sha256(world.event_bytes(hello.last_seq)).digest()
