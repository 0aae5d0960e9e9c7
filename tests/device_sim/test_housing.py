"""What the housing feels while the storage fails, or while the power goes in the middle of writing it down."""

import contextlib

import pytest

from device_sim.core.machine import RESTART_MS
from firmware_protocol import events, messages
from firmware_protocol.messages import State
from firmware_protocol.orders import ServiceKind
from firmware_protocol.reasons import Reason
from tests.device_sim.hardware import PowerCut
from tests.device_sim.installation import HEAD
from tests.device_sim.world import World

OTHER = b"otherhed"


@pytest.fixture
def world() -> World:
    world = World()
    world.set_time()
    return world


def restart(world: World) -> None:
    """The storage works again, and the device tries it."""
    world.disk.full = False
    world.wait(RESTART_MS)


@pytest.mark.parametrize("state", ["locked", "granted", "unlocked"])
def test_a_head_that_changed_while_nothing_could_be_written_is_tamper_after_the_restart(
    world: World, state: str
) -> None:
    if state != "locked":
        world.grant()
    if state == "unlocked":
        world.lay()
        world.unlock()
    world.disk.full = True
    world.device.head_seen(0, OTHER)
    assert world.device.state is State.FAULT
    assert not world.shaft.free
    assert world.device.memory.heads[0] == HEAD
    restart(world)
    assert world.device.state is State.TAMPERED
    assert world.device.memory.heads[0] == OTHER
    assert world.bodies()[-2:] == [
        events.Tamper(sensor="head"),
        events.HeadChanged(slot=0, old_head=HEAD, new_head=OTHER),
    ]
    assert world.refused(messages.ChallengeRequest()) is Reason.TAMPERED


def test_a_head_that_was_away_during_a_storage_fault_is_tamper_though_it_is_back(world: World) -> None:
    world.disk.full = True
    world.device.head_seen(0, None)
    world.device.head_seen(0, HEAD)
    restart(world)
    assert world.device.state is State.TAMPERED
    assert world.last() == events.Tamper(sensor="head")


def test_what_hands_did_during_a_storage_fault_is_told_after_it(world: World) -> None:
    world.disk.full = True
    world.device.pried()
    world.device.tilted()
    world.device.cover_moved(closed=False)
    world.device.cover_moved(closed=True)
    assert world.device.state is State.FAULT
    restart(world)
    assert world.bodies()[-3:] == [events.Tamper(sensor=sensor) for sensor in ("pry", "motion", "cover")]
    assert world.device.state is State.TAMPERED


@pytest.mark.parametrize("state", ["locked", "unlocked"])
def test_what_was_felt_during_a_storage_fault_outlasts_a_power_cut(world: World, state: str) -> None:
    if state == "unlocked":
        world.grant()
        world.lay()
        world.unlock()
    world.disk.full = True
    world.device.pried()
    world.device.head_seen(0, None)
    world.device.head_seen(0, HEAD)
    assert world.device.state is State.FAULT
    assert world.shaft.tripped() == ("pry", "head")
    world.shaft.release()
    assert not world.shaft.pull(), "the flags bar the lever"
    world.disk.full = False
    world.boot()  # the power went before the restart
    world.device.head_seen(0, HEAD)
    assert world.device.state is State.TAMPERED
    told = [body for body in world.bodies() if isinstance(body, events.Tamper)]
    assert told == [events.Tamper(sensor="pry"), events.Tamper(sensor="head")]
    assert world.shaft.tripped() == (), "the journal has it now"
    world.boot()
    assert [body for body in world.bodies() if isinstance(body, events.Tamper)] == told


def test_the_flags_stay_down_while_the_storage_fails_at_every_start(world: World) -> None:
    world.disk.full = True
    world.device.pried()
    for _ in range(3):
        world.boot()
        assert world.device.state is State.FAULT
        assert world.shaft.tripped() == ("pry",)
    restart(world)
    assert world.device.state is State.TAMPERED
    assert world.last() == events.Tamper(sensor="pry")


def test_a_power_cut_anywhere_in_the_write_never_loses_an_alarm() -> None:
    kept = 0
    while True:
        world = World()
        world.disk.bytes_left = kept + 1
        with contextlib.suppress(PowerCut):
            world.device.pried()
        done = world.disk.bytes_left > 0
        world.disk.bytes_left = None
        world.boot()
        assert world.device.state is State.TAMPERED, f"after {kept} bytes"
        if done:
            break
        kept += 7


def test_a_storage_that_fails_once_more_at_the_restart_loses_nothing(world: World) -> None:
    world.disk.full = True
    world.device.head_seen(0, OTHER)
    real = world.disk.append
    world.disk.full = False

    def failing(name: str, data: bytes) -> None:
        world.disk.full = True  # the BOOT event is written, with the file anew; what follows is not
        real(name, data)

    world.disk.append = failing  # type: ignore[method-assign]
    world.wait(RESTART_MS)
    assert world.device.state is State.FAULT
    world.disk.append = real  # type: ignore[method-assign]
    restart(world)
    assert world.device.state is State.TAMPERED
    assert world.device.memory.heads[0] == OTHER


def test_a_head_ordered_by_two_may_come_and_go_but_not_through_a_restart(world: World) -> None:
    world.serve(ServiceKind.CHANGE_HEAD, epoch=1, slot=0, head_id=OTHER)
    world.disk.full = True
    world.device.head_seen(0, b"fakehead")
    restart(world)
    assert world.device.state is State.TAMPERED
    assert world.last() == events.HeadChanged(slot=0, old_head=HEAD, new_head=b"fakehead")


def test_a_power_cut_anywhere_in_the_write_never_leaves_a_new_head_without_its_alarm() -> None:
    kept, heads = 0, set()
    while True:
        world = World()
        world.disk.bytes_left = kept + 1
        with contextlib.suppress(PowerCut):
            world.device.head_seen(0, OTHER)
        done = world.disk.bytes_left > 0
        world.disk.bytes_left = None
        world.boot()
        heads.add(world.device.memory.heads[0])
        if world.device.memory.heads[0] == OTHER:
            assert world.device.state is State.TAMPERED, f"after {kept} bytes"
        world.device.head_seen(0, OTHER)
        assert world.device.state is State.TAMPERED, f"after {kept} bytes"
        if done:
            break
        kept += 7
    assert heads == {HEAD, OTHER}
