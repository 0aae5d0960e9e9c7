"""The control link over BLE: a GATT server on a Bluetooth controller, real or virtual (bumble).

The same messages as on the pty of control.py, in fragments (docs/protocol.md, "BLE link").
"""

import asyncio
import contextlib
import hashlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Final

from bumble import data_types, hci
from bumble.core import UUID, AdvertisingData
from bumble.core import BaseBumbleError as BumbleError
from bumble.device import Connection, Device
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.host import Host
from bumble.transport import open_transport

from firmware_protocol.fragments import NOTIFY_UUID, SERVICE_UUID, WRITE_UUID, FragmentAssembler, cut, room

WAITING_MESSAGES: Final = 256
"""Kept while the air is busy; what comes after is dropped, a retry asks again."""
ADVERTISING_MS: Final = 20.0
DEFAULT_MTU: Final = 247
"""One link-layer packet of 251 bytes."""
READY_S: Final = 10.0


def address_of(name: str) -> str:
    """A static random address that stays with the device (Bluetooth Core 5.4, Vol 6, Part B, 1.3.2.1)."""
    raw = bytearray(hashlib.sha256(name.encode()).digest()[:6])
    raw[0] |= 0xC0
    return raw.hex(":").upper()


class Peripheral:
    """Lives in one event loop. Takes one gateway at a time: while one is connected it does not advertise."""

    def __init__(self, *, name: str, host: Host, on_message: Callable[[bytes], None], mtu: int = DEFAULT_MTU) -> None:
        self.name = name
        self.address = address_of(name)
        self._on_message = on_message
        self._assembler = FragmentAssembler()
        self._outbox: asyncio.Queue[bytes] = asyncio.Queue(WAITING_MESSAGES)
        self._connection: Connection | None = None
        self._sending: asyncio.Task[None] | None = None
        self._again: asyncio.Task[None] | None = None
        self._in_reach = False
        self._device = Device(name=name, address=hci.Address(self.address), host=host)
        self._device.gatt_server.max_mtu = mtu
        write = Characteristic.Properties.WRITE | Characteristic.Properties.WRITE_WITHOUT_RESPONSE
        self._incoming: Characteristic[bytes] = Characteristic(
            WRITE_UUID, write, Characteristic.WRITEABLE, CharacteristicValue(write=self._written)
        )
        self._outgoing: Characteristic[bytes] = Characteristic(
            NOTIFY_UUID, Characteristic.Properties.NOTIFY, Characteristic.READABLE, CharacteristicValue()
        )
        self._device.add_service(Service(SERVICE_UUID, [self._incoming, self._outgoing]))
        self._device.on(Device.EVENT_CONNECTION, self._connected)

    async def power_on(self) -> None:
        await self._device.power_on()
        self._sending = asyncio.create_task(self._send_forever())
        await self.come_back()

    async def power_off(self) -> None:
        await self.go_away()
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.gather(self._sending, return_exceptions=True)
        await self._device.power_off()

    async def come_back(self) -> None:
        """In reach: it advertises until a gateway connects."""
        self._in_reach = True
        await self._advertise()

    async def go_away(self) -> None:
        """Out of reach, also in the middle of a message."""
        self._in_reach = False
        if self._connection is not None:
            await self._connection.disconnect()
        if self._again is not None:
            await self._again
        if self._device.is_advertising:
            await self._device.stop_advertising()

    def send(self, message: bytes) -> None:
        """To a gateway that listens; to nobody otherwise."""
        with contextlib.suppress(asyncio.QueueFull):
            self._outbox.put_nowait(message)

    async def _advertise(self) -> None:
        name = AdvertisingData([data_types.CompleteLocalName(self.name)])
        service = AdvertisingData(
            [
                data_types.Flags(
                    AdvertisingData.LE_GENERAL_DISCOVERABLE_MODE_FLAG | AdvertisingData.BR_EDR_NOT_SUPPORTED_FLAG
                ),
                data_types.CompleteListOf128BitServiceUUIDs([UUID(SERVICE_UUID)]),
            ]
        )
        await self._device.start_advertising(
            advertising_data=bytes(service),
            scan_response_data=bytes(name),
            advertising_interval_min=ADVERTISING_MS,
            advertising_interval_max=ADVERTISING_MS,
        )

    def _connected(self, connection: Connection) -> None:
        self._connection = connection
        self._assembler.forget()
        while not self._outbox.empty():  # meant for the one before
            self._outbox.get_nowait()
        connection.on(Connection.EVENT_DISCONNECTION, self._disconnected)

    def _disconnected(self, _reason: int) -> None:
        self._connection = None
        if self._in_reach:
            self._again = asyncio.create_task(self._advertise())

    def _written(self, _connection: Connection | None, fragment: bytes) -> None:
        message = self._assembler.feed(fragment)
        if message is not None:
            self._on_message(message)

    async def _send_forever(self) -> None:
        while True:
            message = await self._outbox.get()
            connection = self._connection
            if connection is None:
                continue
            with contextlib.suppress(BumbleError):  # gone meanwhile; the gateway will ask again
                for fragment in cut(message, size=room(connection.att_mtu)):
                    await self._device.notify_subscriber(connection, self._outgoing, fragment)
                await connection.drain()


class BleLink:
    """A Peripheral in a thread of its own, with the face of control.ControlLink; unplugged means out of reach.

    `adapter` is a bumble transport: `usb:0` or `hci-socket:0` for a real dongle, `tcp-client:HOST:PORT` for a place in
    the virtual air of ble_air.py.
    """

    def __init__(self, adapter: str, *, name: str, on_message: Callable[[bytes], None]) -> None:
        self._adapter = adapter
        self._name = name
        self._on_message = on_message
        self._loop = asyncio.new_event_loop()
        self._thread: threading.Thread | None = None
        self._peripheral: Peripheral | None = None
        self._in_reach = False

    @property
    def path(self) -> str | None:
        """Its name in the air, None while it is out of reach."""
        return self._name if self._in_reach else None

    def plug_in(self) -> str:
        """It is in reach; its name. Raises: OSError, when the adapter is not there."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
            self._thread.start()
            self._wait(self._power_on())
        elif self._peripheral is not None:
            self.unplug()
            self._wait(self._peripheral.come_back())
        self._in_reach = True
        return self._name

    def unplug(self) -> None:
        """Out of reach, also in the middle of a message."""
        if self._in_reach and self._peripheral is not None:
            self._in_reach = False
            self._wait(self._peripheral.go_away())

    def send(self, message: bytes) -> None:
        if self._in_reach and self._peripheral is not None:
            self._loop.call_soon_threadsafe(self._peripheral.send, message)

    def forget_old_bytes(self) -> None:
        """Nothing is kept for a gateway that was not connected."""

    def close(self) -> None:
        """Switched off for good."""
        if self._thread is None:
            return
        self._in_reach = False
        self._wait(self._power_off())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._thread = None

    async def _power_on(self) -> None:
        try:
            transport = self._transport = await open_transport(self._adapter)
        except BumbleError as error:
            raise OSError(f"no Bluetooth adapter {self._adapter}: {error}") from error
        host = Host(controller_source=transport.source, controller_sink=transport.sink)
        self._peripheral = Peripheral(name=self._name, host=host, on_message=self._on_message)
        await self._peripheral.power_on()

    async def _power_off(self) -> None:
        if self._peripheral is not None:
            await self._peripheral.power_off()
        await self._transport.close()

    def _wait(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(READY_S)
