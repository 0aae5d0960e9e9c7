"""BLE link: bleak behind `Transport`. One service, one characteristic to write, one that notifies.

Security does not depend on this link: whatever widens a right is signed (docs/protocol.md).
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from bleak import BleakClient, BleakScanner
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, BaseBleakScanner
from bleak.exc import BleakError

from firmware_protocol.fragments import (
    ATT_HEADER,
    MIN_MTU,
    NOTIFY_UUID,
    SERVICE_UUID,
    WRITE_UUID,
    FragmentAssembler,
    cut,
    room,
)
from firmware_protocol.framing import FrameCounters
from gateway.errors import DeviceUnreachable
from gateway.settings import BleSettings
from gateway.transports.base import OVER_THE_AIR, OnLost, OnMessage, Patience

SCAN_S: Final = 5.0
"""A device advertises ten times a second; a keeper waits no longer for "not reached"."""
CONNECT_S: Final = 10.0
SEND_S: Final = 3.0
"""A stack that takes no packet for so long has lost the device without saying so."""

_BROKEN: Final = (BleakError, OSError, EOFError)
"""What bleak and the D-Bus below it raise; TimeoutError is an OSError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Radio:
    """This machine's Bluetooth. Backends replace the platform's own, through bleak's public `backend=`."""

    client: type[BaseBleakClient] | None = None
    scanner: type[BaseBleakScanner] | None = None
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One search and connect at a time: BlueZ refuses a second with "in progress"."""


SYSTEM_RADIO: Final = Radio()


class BleTransport:
    """Found by name or address on every `open`, so a device that comes back is found again."""

    def __init__(
        self, wanted: BleSettings, *, radio: Radio, patience: Patience = OVER_THE_AIR, scan_s: float = SCAN_S
    ) -> None:
        self._wanted = wanted
        self._radio = radio
        self._scan_s = scan_s
        self.patience = patience
        self._client: BleakClient | None = None
        self._assembler = FragmentAssembler()

    @property
    def counters(self) -> FrameCounters:
        return self._assembler.counters

    async def open(self, *, on_message: OnMessage, on_lost: OnLost) -> None:
        assembler = self._assembler = FragmentAssembler()

        def arrived(_characteristic: BleakGATTCharacteristic, data: bytearray) -> None:
            message = assembler.feed(bytes(data))
            if message is not None:
                on_message(message)

        async with self._radio.turn:
            with self._translated():
                device = await self._found()
                client = BleakClient(
                    device,
                    lambda _client: on_lost(),
                    services=[SERVICE_UUID],
                    timeout=CONNECT_S,
                    backend=self._radio.client,
                )
                async with _closed_on_failure(client):
                    await client.connect()
                    await client.start_notify(NOTIFY_UUID, arrived)
        self._client = client

    async def _found(self) -> BLEDevice:
        extra = BleakScanner.ExtraArgs(service_uuids=[SERVICE_UUID])
        if self._radio.scanner is not None:
            extra["backend"] = self._radio.scanner
        device = await BleakScanner.find_device_by_filter(self._fits, timeout=self._scan_s, **extra)
        if device is None:
            raise DeviceUnreachable(str(self._wanted))
        return device

    def _fits(self, device: BLEDevice, said: AdvertisementData) -> bool:
        if self._wanted.address is not None:
            return device.address.lower() == self._wanted.address.lower()
        return self._wanted.name in (said.local_name, device.name)

    async def send(self, message: bytes) -> None:
        """The last fragment is written with response: it says that the ones before it were taken too."""
        client = self._client
        if client is None:
            raise DeviceUnreachable(str(self._wanted))
        with self._translated():
            *body, last = cut(message, size=_room(client))
            async with asyncio.timeout(SEND_S):
                for fragment in body:
                    await client.write_gatt_char(WRITE_UUID, fragment, response=False)
                await client.write_gatt_char(WRITE_UUID, last, response=True)

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(*_BROKEN):
                async with asyncio.timeout(SEND_S):
                    await client.disconnect()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except _BROKEN as error:
            raise DeviceUnreachable(str(self._wanted)) from error


@asynccontextmanager
async def _closed_on_failure(client: BleakClient) -> AsyncIterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(*_BROKEN):
            await client.disconnect()
        raise


def _room(client: BleakClient) -> int:
    """Of one fragment, now: some stacks learn the MTU late.

    BlueZ tells it through the characteristic only, where it says 20 while it doesn't know; its `mtu_size` is always 23.
    """
    characteristic = client.services.get_characteristic(WRITE_UUID)
    told = characteristic.max_write_without_response_size if characteristic else 0
    return room(told + ATT_HEADER) if told > MIN_MTU - ATT_HEADER else room(client.mtu_size)
