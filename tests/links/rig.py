"""The real device core behind a real link, and the gateway's DeviceLink at the other end, in one process."""

import asyncio
import contextlib
import random
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

from device_sim.process.ble import Peripheral
from device_sim.process.ble_air import Air
from device_sim.process.ble_bleak import Central
from device_sim.process.control import ControlLink
from firmware_protocol import messages
from firmware_protocol.messages import Message, StatusNotice
from gateway.link import DeviceLink
from gateway.settings import BleSettings
from gateway.transports.base import ON_A_CABLE, OVER_THE_AIR, Patience, Transport
from gateway.transports.ble import BleTransport, Radio
from gateway.transports.serial_port import SerialTransport
from tests.device_sim.world import World
from tests.links.lines import BadAir, BadCable, Trouble

NAME = "CB-TEST0000"
HURRIED = Patience(reply_s=0.05, slow_s=0.05, tries=200)
"""For bad lines: the tests wait for no second, and no run of bad luck ends one."""
IMPATIENT = Patience(reply_s=0.03, slow_s=0.03, tries=500)
"""For slow lines: the question is out again before its answer is here."""


class Carrier(Protocol):
    """One end a device, the other end transports for a gateway."""

    def send(self, message: bytes) -> None: ...

    def transport(self) -> Transport: ...

    async def unplug(self) -> None: ...

    async def plug_in(self) -> None: ...


def _patience(trouble: Trouble | None) -> Patience:
    return IMPATIENT if trouble is not None and trouble.delay_s else HURRIED


class Cable:
    """A pty."""

    def __init__(
        self, folder: Path, on_message: Callable[[bytes], None], trouble: Trouble | None, rng: random.Random
    ) -> None:
        self.link = ControlLink(folder / "control", on_message)
        self._trouble = trouble
        self._rng = rng
        self.bad: BadCable | None = None

    def send(self, message: bytes) -> None:
        self.link.send(message)

    def transport(self) -> SerialTransport:
        if self.bad is not None:
            return SerialTransport(self.bad.path, patience=_patience(self._trouble))
        return SerialTransport(str(self.link.path), patience=ON_A_CABLE)

    async def plug_in(self) -> None:
        path = self.link.plug_in()
        if self._trouble is not None:
            self.bad = BadCable(path, self._trouble, self._rng)

    async def unplug(self) -> None:
        if self.bad is not None:
            self.bad.close()
            self.bad = None
        await asyncio.to_thread(self.link.unplug)

    async def close(self) -> None:
        await self.unplug()


class InTheAir:
    """A peripheral, and a gateway's adapter in the same virtual air."""

    def __init__(
        self,
        air: Air,
        on_message: Callable[[bytes], None],
        trouble: Trouble | None,
        rng: random.Random,
        *,
        name: str = NAME,
        mtu: int = 247,
    ) -> None:
        self.name = name
        self._patience = OVER_THE_AIR if trouble is None else _patience(trouble)
        self.bad = BadAir(trouble, rng) if trouble is not None else None
        self.peripheral = Peripheral(name=name, host=air.host(), on_message=on_message, mtu=517)
        self.central = Central(air.host(), mtu=mtu, disturbance=self.bad)
        client, scanner = self.central.backends()
        self.radio = Radio(client=client, scanner=scanner)
        self._on = False

    def send(self, message: bytes) -> None:
        self.peripheral.send(message)

    def transport(self) -> BleTransport:
        return BleTransport(BleSettings(name=self.name), radio=self.radio, patience=self._patience, scan_s=5.0)

    async def plug_in(self) -> None:
        if self._on:
            await self.peripheral.come_back()
        else:
            self._on = True
            await self.peripheral.power_on()

    async def unplug(self) -> None:
        await self.peripheral.go_away()

    async def close(self) -> None:
        await self.central.close()
        await self.peripheral.power_off()


class Device:
    """The core in its pure world. One step at a time, whichever thread it comes from."""

    def __init__(self) -> None:
        self.world = World()
        self.carrier: Any = None
        self.received: list[bytes] = []
        self._turn = threading.RLock()
        self.act(lambda: None)

    def take(self, message: bytes) -> None:
        self.received.append(message)
        self.act(lambda: self.world.device.receive(message))

    def act(self, step: Callable[[], Any]) -> None:
        """Something happens to the device; what it says goes out."""
        with self._turn:
            step()
            self.world.shutter()
            said = self.world.device.take_outgoing()
            if self.carrier is not None:
                for message in said:
                    self.carrier.send(message)

    def look(self) -> Any:
        """Status, once what is under way is done."""
        with self._turn:
            return self.world.device.status

    def lay(self) -> None:
        self.act(self.world.take_away)
        self.act(self.world.lay)

    def pull(self) -> None:
        def pull() -> None:
            assert self.world.shaft.pull()
            self.world.device.lever_pulled()

        self.act(pull)


class Office:
    """The gateway's end: questions, and what came unasked."""

    def __init__(self, transport: Transport) -> None:
        self.heard: list[Message] = []
        self._news = asyncio.Event()
        self.link = DeviceLink(transport, where="here", on_notice=self._notice)
        self.asked = 0

    def _notice(self, message: Message) -> None:
        self.heard.append(message)
        self._news.set()

    async def ask(self, request: Message, reply: type[Any], *, slow: bool = False) -> Any:
        self.asked += 1
        return await self.link.ask(request, reply, slow=slow)

    async def hear(self, state: messages.State) -> StatusNotice:
        """The notice that says so; it must come."""
        while True:
            for message in self.heard:
                if isinstance(message, StatusNotice) and message.status.state is state:
                    return message
            self._news.clear()
            async with asyncio.timeout(10):
                await self._news.wait()


@asynccontextmanager
async def connected(device: Device) -> AsyncIterator[Office]:
    office = Office(device.carrier.transport())
    await office.link.open()
    try:
        yield office
    finally:
        await office.link.close()


@asynccontextmanager
async def linked(
    kind: str, folder: Path, rng: random.Random, trouble: Trouble | None, mtu: int
) -> AsyncIterator[Device]:
    """A paired device, plugged in."""
    device = Device()
    if kind == "serial":
        device.carrier = Cable(folder, device.take, trouble, rng)
    else:
        device.carrier = InTheAir(Air(), device.take, trouble, rng, mtu=mtu)
    await device.carrier.plug_in()
    try:
        yield device
    finally:
        with contextlib.suppress(OSError):
            await device.carrier.close()
