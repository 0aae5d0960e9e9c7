"""One suite for both links: the real device core, the real gateway link, and between them lines good and bad."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from device_sim.process.ble_air import Air
from firmware_protocol import events, messages
from firmware_protocol.fragments import WRITE_UUID, cut
from firmware_protocol.messages import (
    Accepted,
    Captured,
    CaptureRequest,
    Challenge,
    ChallengeRequest,
    Granted,
    Hello,
    HelloRequest,
    PermitRequest,
    ReadEventRequest,
    RelockRequest,
    SignedEvent,
    State,
    Status,
    StatusRequest,
    TokenRequest,
    Unlocked,
)
from gateway.errors import DeviceUnreachable
from gateway.transports.ble import BleTransport
from tests.links.lines import BadAir, BadCable, Trouble
from tests.links.rig import Cable, Device, InTheAir, Office, connected, linked

BIG_MTU = 247
LINES = [
    pytest.param("serial", None, BIG_MTU, id="serial"),
    pytest.param("serial", Trouble(chop=True), BIG_MTU, id="serial, one byte at a time"),
    pytest.param("serial", Trouble(loss=0.2), BIG_MTU, id="serial, 20 % lost"),
    pytest.param("serial", Trouble(delay_s=0.06, repeat=0.2), BIG_MTU, id="serial, delays and repeats"),
    pytest.param("serial", Trouble(garbage=0.5), BIG_MTU, id="serial, garbage between frames"),
    pytest.param("ble", None, BIG_MTU, id="ble"),
    pytest.param("ble", None, 23, id="ble, 19 bytes at a time"),
    pytest.param("ble", None, 185, id="ble, MTU 185"),
    pytest.param("ble", None, 517, id="ble, MTU 517"),
    pytest.param("ble", Trouble(loss=0.2), BIG_MTU, id="ble, 20 % lost"),
    pytest.param("ble", Trouble(loss=0.2, repeat=0.2), 23, id="ble, 20 % lost, repeated, reordered at MTU 23"),
    pytest.param("ble", Trouble(delay_s=0.06, repeat=0.2), BIG_MTU, id="ble, delays and repeats"),
    pytest.param("ble", Trouble(garbage=0.5), 23, id="ble, garbage between messages"),
]
GOOD_LINES = [pytest.param(kind, None, BIG_MTU, id=kind) for kind in ("serial", "ble")]

Work = Callable[[Device], Coroutine[Any, Any, None]]


@pytest.fixture
def run(tmp_path: Path, rng: random.Random, kind: str, trouble: Trouble | None, mtu: int) -> Callable[[Work], Device]:
    def runs(work: Work) -> Device:
        async def all_of_it() -> Device:
            async with linked(kind, tmp_path, rng, trouble, mtu) as device:
                await work(device)
                return device

        return asyncio.run(all_of_it())

    return runs


async def stamp_twice(device: Device, office: Office) -> None:
    """A token for two strokes, and both of them."""
    challenge = await office.ask(ChallengeRequest(), Challenge)
    token = device.world.token(nonce=challenge.nonce)
    granted = await office.ask(TokenRequest(token=token), Granted)
    assert granted.strokes_left == 2
    for stroke in (1, 2):
        device.lay()
        seen = await office.ask(CaptureRequest(), Captured, slow=True)
        assert seen.stroke == stroke
        unlocked = await office.ask(PermitRequest(permit=device.world.permit(seen)), Unlocked, slow=True)
        assert unlocked.stroke == stroke
        assert device.world.shaft.free
        device.pull()
        assert not device.world.shaft.free


def numbers(received: list[bytes]) -> list[int]:
    return [messages.decode(data).msg_id for data in received]


@pytest.mark.parametrize(("kind", "trouble", "mtu"), LINES)
def test_every_question_is_answered_and_nothing_happens_twice(
    run: Callable[[Work], Device], trouble: Trouble | None
) -> None:
    async def work(device: Device) -> None:
        async with connected(device) as office:
            hello = await office.ask(HelloRequest(), Hello)
            assert (await office.ask(StatusRequest(), Status)).state is State.LOCKED
            await stamp_twice(device, office)
            last = (await office.ask(StatusRequest(), Status)).last_seq
            told = [await office.ask(ReadEventRequest(seq=seq), SignedEvent) for seq in range(1, last + 1)]
            assert [events.peek(one.event).header.seq for one in told] == list(range(1, last + 1))
            await office.ask(RelockRequest(close_grant=True), Accepted)
            assert hello.last_seq < last
            # A question that went out again had its number and its bytes: one message for each that was asked.
            assert len(set(device.received)) == office.asked
            assert sorted(set(numbers(device.received))) == list(range(1, office.asked + 1))
            if trouble is not None and trouble.loss:
                assert device.carrier.bad.lost > 0

    world = run(work).world
    assert world.shaft.count == 2
    assert world.tray.shots == 4  # a page and its imprint, twice
    kinds = [type(body) for body in world.bodies()]
    assert kinds.count(events.Grant) == 1
    assert kinds.count(events.PageSeen) == 2
    assert kinds.count(events.Intent) == 2
    assert kinds.count(events.Done) == 2


@pytest.mark.parametrize(("kind", "trouble", "mtu"), LINES)
def test_whole_messages_of_every_length_arrive_in_order(run: Callable[[Work], Device], trouble: Trouble | None) -> None:
    """Below the messages: what the carrier is given comes out, or nothing does; never something else."""
    lengths = [1, 2, 14, 15, 18, 19, 20, 37, 181, 239, 240, 253, 254, 255, 256, 481, 508, 509, 511, 512]
    sent = [bytes([number]) * length for number, length in enumerate(lengths, start=1)]
    clean = trouble is None or not (trouble.loss or trouble.repeat)

    async def work(device: Device) -> None:
        up: list[bytes] = []
        device.received.clear()
        device.act = lambda _step: None  # type: ignore[method-assign] - these are no messages of the protocol
        transport = device.carrier.transport()
        await transport.open(on_message=up.append, on_lost=lambda: None)
        for message in sent:
            await transport.send(message)
            device.carrier.send(message)
        async with asyncio.timeout(10):
            while not (up[-1:] == sent[-1:] and device.received[-1:] == sent[-1:]):
                await asyncio.sleep(0.002 if clean else 0.05)
                if not clean:  # the last one may be the lost one
                    await transport.send(sent[-1])
                    device.carrier.send(sent[-1])
        await transport.close()
        for arrived in (up, device.received):
            if clean:
                assert arrived == sent
            assert [sent.index(message) for message in arrived] == sorted(sent.index(message) for message in arrived)

    run(work)


@pytest.mark.parametrize(("kind", "trouble", "mtu"), GOOD_LINES)
def test_notices_arrive_unasked(run: Callable[[Work], Device]) -> None:
    async def work(device: Device) -> None:
        async with connected(device) as office:
            await office.ask(HelloRequest(), Hello)
            challenge = await office.ask(ChallengeRequest(), Challenge)
            await office.ask(TokenRequest(token=device.world.token(nonce=challenge.nonce)), Granted)
            await office.hear(State.GRANTED)
            device.lay()
            await office.ask(CaptureRequest(), Captured, slow=True)
            notice = await office.hear(State.PAGE_SEEN)
            assert notice.status.page_present
            device.act(lambda: device.world.device.cover_moved(closed=False))
            await office.hear(State.TAMPERED)

    run(work)


@pytest.mark.parametrize(("kind", "trouble", "mtu"), GOOD_LINES)
def test_opening_and_closing_change_no_lock_state(run: Callable[[Work], Device]) -> None:
    async def work(device: Device) -> None:
        async with connected(device) as office:
            challenge = await office.ask(ChallengeRequest(), Challenge)
            await office.ask(TokenRequest(token=device.world.token(nonce=challenge.nonce)), Granted)
            device.lay()
            seen = await office.ask(CaptureRequest(), Captured, slow=True)
            permit = PermitRequest(permit=device.world.permit(seen))
            await office.ask(permit, Unlocked, slow=True)
        for _ in range(3):
            before = device.look()
            async with connected(device) as office:
                assert (await office.ask(HelloRequest(), Hello)).last_seq == before.last_seq
            assert device.look() == before
            assert before.state is State.UNLOCKED
            assert device.world.shaft.free

    run(work)


@pytest.mark.parametrize(("kind", "trouble", "mtu"), GOOD_LINES)
def test_one_gateway_at_a_time(run: Callable[[Work], Device]) -> None:
    async def work(device: Device) -> None:
        async with connected(device) as office:
            second = device.carrier.transport()
            if isinstance(second, BleTransport):
                second._scan_s = 0.1  # it does not advertise while it is connected
            with pytest.raises(DeviceUnreachable, match="stays locked"):
                await second.open(on_message=print, on_lost=print)
            await office.ask(HelloRequest(), Hello)
        async with connected(device) as office:
            await office.ask(HelloRequest(), Hello)

    run(work)


@pytest.mark.parametrize(("kind", "trouble", "mtu"), GOOD_LINES)
def test_a_link_lost_in_the_middle_comes_back_and_the_token_is_granted_once(run: Callable[[Work], Device]) -> None:
    async def work(device: Device) -> None:
        async with connected(device) as office:
            challenge = await office.ask(ChallengeRequest(), Challenge)
            token = device.world.token(nonce=challenge.nonce)
            device.carrier, carrier = None, device.carrier  # it acts, and its answer is lost
            asking = asyncio.create_task(office.ask(TokenRequest(token=token), Granted))
            async with asyncio.timeout(10):
                while device.look().state is not State.GRANTED:  # noqa: ASYNC110 - it may live in another thread
                    await asyncio.sleep(0.001)
            await carrier.unplug()
            with pytest.raises(DeviceUnreachable):
                await asking
            assert office.link.lost.is_set()
            with pytest.raises(DeviceUnreachable):
                await office.ask(StatusRequest(), Status)
        device.carrier = carrier
        await carrier.plug_in()
        async with connected(device) as office:
            await office.ask(HelloRequest(), Hello)
            assert (await office.ask(TokenRequest(token=token), Granted)).strokes_left == 2

    bodies = run(work).world.bodies()
    assert sum(isinstance(body, events.Grant) for body in bodies) == 1


@pytest.mark.parametrize("kind", ["serial", "ble"])
def test_two_devices_at_once_do_not_hear_each_other(kind: str, tmp_path: Path, rng: random.Random) -> None:
    async def both() -> None:
        devices = [Device(), Device()]
        air = Air()
        for number, device in enumerate(devices):
            folder = tmp_path / str(number)
            folder.mkdir()
            if kind == "serial":
                device.carrier = Cable(folder, device.take, None, rng)
            else:
                device.carrier = InTheAir(air, device.take, None, rng, name=f"CB-TEST000{number}")
                if number == 1:  # one gateway, one adapter, two devices
                    device.carrier.radio = devices[0].carrier.radio
            await device.carrier.plug_in()

        async def day(device: Device) -> None:
            async with connected(device) as office:
                await stamp_twice(device, office)
                assert len(device.received) == office.asked

        await asyncio.gather(*(day(device) for device in devices))
        for device in devices:
            await device.carrier.close()
            assert device.world.shaft.count == 2

    asyncio.run(both())


def test_a_serial_line_recovers_from_garbage_at_once(tmp_path: Path, rng: random.Random) -> None:
    async def work() -> None:
        async with linked("serial", tmp_path, rng, Trouble(), BIG_MTU) as device, connected(device) as office:
            cable = device.carrier.bad
            assert isinstance(cable, BadCable)
            for size in (1, 3, 100, 600, 2000):
                for to_device in (True, False):
                    cable.inject(rng.randbytes(size), to_device=to_device)
                await office.ask(HelloRequest(), Hello)
            assert len(device.received) == office.asked  # nothing had to go out twice

    asyncio.run(work())


def test_a_peripheral_recovers_from_stray_fragments_at_once(tmp_path: Path, rng: random.Random) -> None:
    async def work() -> None:
        async with linked("ble", tmp_path, rng, Trouble(), 23) as device, connected(device) as office:
            assert isinstance(device.carrier.bad, BadAir)
            for stray in (b"\x00", b"\x05abc", b"\x85abc", b"\x00begun", b"\xff", b"\x80" + bytes(19)):
                device.carrier.peripheral._written(None, stray)
                await office.ask(HelloRequest(), Hello)
            assert len(device.received) == office.asked

    asyncio.run(work())


def test_two_halves_from_two_connections_are_no_message(tmp_path: Path, rng: random.Random) -> None:
    halves = cut(messages.encode(HelloRequest(), msg_id=0xFFFF), size=8)
    assert len(halves) == 2

    async def work() -> None:
        async with linked("ble", tmp_path, rng, None, 23) as device:
            for half in halves:
                async with connected(device) as office:
                    client = office.link._transport._client  # type: ignore[attr-defined]
                    await client.write_gatt_char(WRITE_UUID, half, response=True)
            assert device.received == []

    asyncio.run(work())
