"""How fast the two control links carry messages of 512 bytes from a device to its gateway, all through shipped code.

Serial: a pty, which knows no baud rate, so this is what framing and threads cost. BLE: virtual controllers at MTU 247,
which know no connection interval, so this is what fragments, ATT and the event loop cost; a radio adds its own.
"""

import asyncio
import tempfile
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Final

from firmware_protocol.framing import MAX_MESSAGE

if TYPE_CHECKING:  # a server alone has neither gateway nor device installed
    from gateway.transports.base import Transport

MESSAGES: Final = 4_000
BURST: Final = 128
"""Sent before the gateway has them: half of what a device keeps for a gateway that does not read."""
PATIENCE_S: Final = 60.0


async def serial_mb_s(messages: int = MESSAGES) -> float:
    """Megabytes of messages per second. Raises: DeviceUnreachable, TimeoutError."""
    from device_sim.process.control import ControlLink
    from gateway.transports.serial_port import SerialTransport

    with tempfile.TemporaryDirectory(prefix="cinnabar-bench-") as folder:
        link = ControlLink(Path(folder) / "control", lambda _message: None)
        try:
            return await _bytes_per_s(SerialTransport(link.plug_in()), link.send, messages) / 1e6
        finally:
            await asyncio.to_thread(link.close)


async def ble_kb_s(messages: int = MESSAGES) -> float:
    """Kilobytes of messages per second at MTU 247. Raises: DeviceUnreachable, TimeoutError."""
    from device_sim.process.ble import DEFAULT_MTU, Peripheral
    from device_sim.process.ble_air import Air
    from device_sim.process.ble_bleak import Central
    from gateway.settings import BleSettings
    from gateway.transports.ble import BleTransport, Radio

    air = Air()
    peripheral = Peripheral(name="CB-BENCH", host=air.host(), on_message=lambda _message: None)
    central = Central(air.host(), mtu=DEFAULT_MTU)
    client, scanner = central.backends()
    await peripheral.power_on()
    try:
        radio = Radio(client=client, scanner=scanner)
        return (
            await _bytes_per_s(BleTransport(BleSettings(name="CB-BENCH"), radio=radio), peripheral.send, messages) / 1e3
        )
    finally:
        await central.close()
        await peripheral.power_off()


async def _bytes_per_s(transport: "Transport", send: Callable[[bytes], None], messages: int) -> float:
    arrived = 0
    enough = asyncio.Event()

    def count(message: bytes) -> None:
        nonlocal arrived
        arrived += len(message)
        if arrived % (BURST * MAX_MESSAGE) == 0:
            enough.set()

    await transport.open(on_message=count, on_lost=lambda: None)
    try:
        message = bytes(range(256)) * (MAX_MESSAGE // 256)
        begun = perf_counter()
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(-(-messages // BURST)):
                enough.clear()
                for _ in range(BURST):
                    send(message)
                await enough.wait()
        return arrived / (perf_counter() - begun)
    finally:
        await transport.close()
