"""In the field: a device is found by what it says of itself, not by a path; also by real processes."""

import asyncio
import itertools
import json
import random
import signal
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from bleak.exc import BleakError
from pydantic import ValidationError

from device_sim import cli
from device_sim.process.ble_air import Air
from device_sim.process.ble_bleak import Central
from device_sim.process.control import ControlLink
from firmware_protocol import messages
from firmware_protocol.fragments import WRITE_UUID
from firmware_protocol.messages import Hello, HelloRequest
from gateway.errors import DeviceUnreachable, TwoDevicesFit
from gateway.link import DeviceLink
from gateway.settings import BleSettings, DeviceSettings, UsbSettings
from gateway.transports.base import ON_A_CABLE, OVER_THE_AIR
from gateway.transports.ble import BleTransport, Radio
from gateway.transports.choosing import transport_for
from gateway.transports.usb_port import find_port
from tests.links.rig import Device, connected, linked

USB = UsbSettings(vid="1209", pid="0001")


@dataclass
class FakePort:
    """As serial.tools.list_ports tells of one."""

    device: str
    vid: int | None = 0x1209
    pid: int | None = 0x0001
    serial_number: str | None = "CB-1"
    location: str | None = "1-1.2:1.0"


@pytest.mark.parametrize(
    ("ports", "found"),
    [
        pytest.param([FakePort("/dev/ttyACM3")], "/dev/ttyACM3", id="the only one"),
        pytest.param(
            [FakePort("/dev/ttyS0", vid=None, pid=None), FakePort("/dev/ttyACM1"), FakePort("/dev/ttyUSB0", pid=2)],
            "/dev/ttyACM1",
            id="among others",
        ),
        pytest.param(
            [FakePort("/dev/ttyACM0", location="1-1.2:1.10"), FakePort("/dev/ttyACM1", location="1-1.2:1.2")],
            "/dev/ttyACM1",
            id="first interface of one device",
        ),
    ],
)
def test_a_port_is_found_by_usb_id(ports: list[FakePort], found: str) -> None:
    assert find_port(USB, lambda: ports) == found


def test_of_two_devices_of_one_kind_the_serial_number_tells() -> None:
    ports = [FakePort("/dev/a", serial_number="CB-1"), FakePort("/dev/b", serial_number="CB-2", location="1-1.3:1.0")]
    with pytest.raises(TwoDevicesFit, match="serial number"):
        find_port(USB, lambda: ports)
    assert find_port(USB.model_copy(update={"serial": "CB-2"}), lambda: ports) == "/dev/b"
    with pytest.raises(DeviceUnreachable, match="USB 1209:0001 CB-3"):
        find_port(USB.model_copy(update={"serial": "CB-3"}), lambda: ports)


@pytest.mark.parametrize(
    "links",
    [
        {},
        {"control": "/dev/a", "ble": {"name": "x"}},
        {"ble": {}},
        {"ble": {"name": "x", "address": "y"}},
        {"usb": {"vid": "12", "pid": "0001"}},
    ],
)
def test_a_device_has_one_control_link(links: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        DeviceSettings.model_validate({"bulk": "127.0.0.1:1", **links})


def test_each_link_has_its_own_patience() -> None:
    cable = transport_for(DeviceSettings(control="/dev/a", bulk="h:1"))
    air = transport_for(DeviceSettings(ble=BleSettings(name="CB-1"), bulk="h:1"))
    assert isinstance(air, BleTransport)
    assert (cable.patience, air.patience) == (ON_A_CABLE, OVER_THE_AIR)
    assert (ON_A_CABLE.reply_s, OVER_THE_AIR.reply_s, ON_A_CABLE.tries) == (0.3, 1.0, 4)


def test_a_device_that_comes_back_under_another_path_is_found(tmp_path: Path) -> None:
    device = Device()
    device.carrier = port = ControlLink(tmp_path / "control", device.take)
    settings = DeviceSettings(usb=USB, bulk="h:1")
    transport = transport_for(settings, ports=lambda: [FakePort(port.path)] if port.path else [])

    async def work() -> None:
        paths = []
        for _ in range(3):
            paths.append(port.plug_in())
            link = DeviceLink(transport, where=settings.where, on_notice=lambda _message: None)
            await link.open()
            await link.ask(HelloRequest(), Hello)
            await asyncio.to_thread(port.unplug)
            async with asyncio.timeout(10):
                await link.lost.wait()
            with pytest.raises(DeviceUnreachable, match="USB 1209:0001"):
                await link.ask(HelloRequest(), Hello)
            await link.close()
            with pytest.raises(DeviceUnreachable):
                await transport.open(on_message=print, on_lost=print)
        assert all(before != after for before, after in itertools.pairwise(paths))

    asyncio.run(work())


def test_by_address_too(tmp_path: Path, rng: random.Random) -> None:
    async def work() -> None:
        async with linked("ble", tmp_path, rng, None, 247) as device:
            address = device.carrier.peripheral.address.lower()
            device.carrier.transport = lambda: BleTransport(BleSettings(address=address), radio=device.carrier.radio)
            async with connected(device) as office:
                await office.ask(HelloRequest(), Hello)

    asyncio.run(work())


def test_the_virtual_radio_refuses_what_a_real_one_would_drop(tmp_path: Path, rng: random.Random) -> None:
    async def work() -> None:
        async with linked("ble", tmp_path, rng, None, 185) as device, connected(device) as office:
            client = office.link._transport._client  # type: ignore[attr-defined]
            assert client.mtu_size == 185
            for response in (True, False):
                with pytest.raises(BleakError, match="at MTU 185 it holds 182"):
                    await client.write_gatt_char(WRITE_UUID, bytes(183), response=response)

    asyncio.run(work())


def test_without_bluetooth_a_gateway_says_that_the_device_is_not_reached() -> None:
    settings = DeviceSettings(ble=BleSettings(name="CB-1"), bulk="h:1")

    class NoRadio(Central):
        async def scan(self) -> None:
            raise FileNotFoundError("no D-Bus")

    async def work() -> None:
        client, scanner = NoRadio(Air().host()).backends()
        with pytest.raises(DeviceUnreachable, match="Bluetooth CB-1"):
            await transport_for(settings, radio=Radio(client=client, scanner=scanner)).open(
                on_message=print, on_lost=print
            )

    asyncio.run(work())


def test_a_device_process_speaks_ble_goes_out_of_reach_and_dies(tmp_path: Path) -> None:
    """The shipped process in one end of the air, the gateway's bleak client in the other; HCI over TCP between them."""

    async def work() -> None:
        air = Air()
        adapter = await air.listen()
        command = [
            sys.executable,
            "-m",
            "device_sim.cli",
            "run",
            "--home",
            str(tmp_path),
            "--dpi",
            "150",
            "--ble",
            adapter,
        ]
        process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE)
        assert process.stdout is not None
        ready = json.loads(await process.stdout.readline())

        def keeper(path: str, body: dict[str, Any]) -> None:
            urllib.request.urlopen(ready["keeper"] + path, data=json.dumps(body).encode(), timeout=10).close()

        client, scanner = Central(air.host()).backends()
        settings = DeviceSettings(ble=BleSettings(name=ready["device_id"]), bulk=ready["bulk"])
        assert ready["control"] == ready["device_id"]
        transport = transport_for(settings, radio=Radio(client=client, scanner=scanner))
        for _ in range(2):
            notices: list[messages.Message] = []
            news = asyncio.Event()

            def hear(
                message: messages.Message, kept: list[messages.Message] = notices, bell: asyncio.Event = news
            ) -> None:
                kept.append(message)
                bell.set()

            link = DeviceLink(transport, where=settings.where, on_notice=hear)
            await link.open()
            assert (await link.ask(HelloRequest(), Hello)).device_id == ready["device_id"]
            await asyncio.to_thread(keeper, "/pairing-button", {})
            async with asyncio.timeout(10):
                await news.wait()
            await asyncio.to_thread(keeper, "/fault", {"name": "unplug"})
            async with asyncio.timeout(10):
                await link.lost.wait()
            await link.close()
            await asyncio.to_thread(keeper, "/fault", {"name": "reappear"})
        link = DeviceLink(transport, where=settings.where, on_notice=print)
        await link.open()
        process.send_signal(signal.SIGKILL)
        async with asyncio.timeout(10):
            await link.lost.wait()
        await process.wait()
        await link.close()
        await air.close()

    asyncio.run(work())


def test_a_device_without_its_adapter_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["run", "--home", str(tmp_path), "--ble", "no-such:0"]) == cli.FAILED
    assert "no Bluetooth adapter no-such:0" in capsys.readouterr().err
