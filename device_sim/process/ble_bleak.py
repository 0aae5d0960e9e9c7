"""A bleak backend that stands in the virtual air, for tests and demos of a gateway without Bluetooth hardware.

Real stacks drop or cut what is too long without a word; this one raises.
"""

import asyncio
import contextlib
from collections.abc import Iterable, Iterator
from typing import Any, ClassVar, Final, Protocol

from bleak.args import SizedBuffer
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, AdvertisementDataCallback, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import BleakError
from bumble import hci
from bumble.core import AdvertisingData, BaseBumbleError
from bumble.device import Advertisement, Connection, Device, Peer
from bumble.gatt import Characteristic
from bumble.gatt_client import CharacteristicProxy
from bumble.host import Host

from device_sim.process.ble import DEFAULT_MTU
from firmware_protocol.fragments import room

ADDRESS: Final = "C0:FF:EE:00:00:01"
SCAN_MS: Final = 20.0


class Disturbance(Protocol):
    """What the air does to a fragment."""

    def __call__(self, fragment: bytes, *, to_device: bool) -> Iterable[tuple[float, bytes]]:
        """What arrives instead: each piece, and how many seconds after the one before."""
        ...


class Central:
    """One Bluetooth adapter of a gateway. `mtu` is the most it asks for."""

    def __init__(self, host: Host, *, mtu: int = DEFAULT_MTU, disturbance: Disturbance | None = None) -> None:
        self.mtu = mtu
        self.disturbance = disturbance
        self.device = Device(name="gateway", address=hci.Address(ADDRESS), host=host)
        self._on = False
        self._scanners = 0
        self._turn = asyncio.Lock()

    async def start(self) -> None:
        async with self._turn:
            if not self._on:
                await self.device.power_on()
                self._on = True

    async def scan(self) -> None:
        await self.start()
        async with self._turn:
            self._scanners += 1
            if self._scanners == 1:
                await self.device.start_scanning(scan_interval=SCAN_MS, scan_window=SCAN_MS)

    async def scan_no_more(self) -> None:
        async with self._turn:
            self._scanners -= 1
            if self._scanners == 0:
                await self.device.stop_scanning()

    async def close(self) -> None:
        for connection in list(self.device.connections.values()):
            await connection.disconnect()
        await self.device.power_off()

    def backends(self) -> tuple[type[BaseBleakClient], type[BaseBleakScanner]]:
        """For `backend=` of BleakClient and of BleakScanner."""

        class Client(AirClient):
            central = self

        class Scanner(AirScanner):
            central = self

        return Client, Scanner


class AirScanner(BaseBleakScanner):
    central: ClassVar[Central]

    def __init__(
        self,
        detection_callback: AdvertisementDataCallback | None,
        service_uuids: list[str] | None,
        _scanning_mode: str,
        **_platform: Any,  # noqa: ANN401 - arguments of other platforms
    ) -> None:
        super().__init__(detection_callback, service_uuids)

    async def start(self) -> None:
        self.seen_devices = {}
        self.central.device.on(Device.EVENT_ADVERTISEMENT, self._heard)
        await self.central.scan()

    async def stop(self) -> None:
        self.central.device.remove_listener(Device.EVENT_ADVERTISEMENT, self._heard)
        await self.central.scan_no_more()

    def _heard(self, advertisement: Advertisement) -> None:
        said = advertisement.data
        name = said.get(AdvertisingData.Type.COMPLETE_LOCAL_NAME)
        services = said.get(AdvertisingData.Type.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS) or []
        address = advertisement.address.to_string(with_type_qualifier=False)
        data = AdvertisementData(
            local_name=name,
            manufacturer_data={},
            service_data={},
            service_uuids=[service.to_hex_str("-").lower() for service in services],
            tx_power=None,
            rssi=advertisement.rssi,
            platform_data=(),
        )
        if self.is_allowed_uuid(data.service_uuids):
            device = self.create_or_update_device(address, address, name, advertisement.address, data)
            self.call_detection_callbacks(device, data)


class AirClient(BaseBleakClient):
    central: ClassVar[Central]

    def __init__(self, address_or_ble_device: BLEDevice | str, **arguments: Any) -> None:  # noqa: ANN401 - bleak's own
        super().__init__(address_or_ble_device, **arguments)
        self._connection: Connection | None = None
        self._pumps: list[asyncio.Task[None]] = []

    @property
    def name(self) -> str:
        return self.address

    @property
    def mtu_size(self) -> int:
        return self._alive().att_mtu

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    async def connect(self, pair: bool, **_kwargs: Any) -> None:  # noqa: ANN401, ARG002, FBT001 - bleak's signature
        await self.central.start()
        with _translated():
            async with asyncio.timeout(self._timeout):
                connection = await self.central.device.connect(hci.Address(self.address), timeout=None)
                self._connection = connection
                connection.on(Connection.EVENT_DISCONNECTION, self._lost)
                peer = Peer(connection)
                await peer.request_mtu(self.central.mtu)
                await peer.discover_all()  # type: ignore[no-untyped-call]
        self.services = self._described(peer)

    def _described(self, peer: Peer) -> BleakGATTServiceCollection:
        found = BleakGATTServiceCollection()
        for service in peer.services:
            described = BleakGATTService(service, service.handle, service.uuid.to_hex_str("-").lower())
            found.add_service(described)
            for one in service.characteristics:
                uuid = one.uuid.to_hex_str("-").lower()
                properties = _properties(one)
                found.add_characteristic(
                    BleakGATTCharacteristic(one, one.handle, uuid, properties, lambda: room(self.mtu_size), described)
                )
        return found

    async def disconnect(self) -> None:
        if self._connection is not None:
            with _translated():
                await self._connection.disconnect()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    async def pair(self, *_args: Any, **_kwargs: Any) -> None:  # noqa: ANN401 - bleak's signature
        """Nothing here depends on bonding."""

    async def unpair(self) -> None:
        """As `pair`."""

    async def read_gatt_char(
        self,
        characteristic: BleakGATTCharacteristic,
        *,
        use_cached: bool = False,  # noqa: ARG002 - nothing is cached
        **_kwargs: Any,  # noqa: ANN401
    ) -> bytearray:
        self._alive()
        with _translated():
            return bytearray(await characteristic.obj.read_value())

    async def read_gatt_descriptor(
        self,
        descriptor: BleakGATTDescriptor,
        *,
        use_cached: bool = False,  # noqa: ARG002 - nothing is cached
        **_kwargs: Any,  # noqa: ANN401
    ) -> bytearray:
        self._alive()
        with _translated():
            return bytearray(await descriptor.obj.read_value())

    async def write_gatt_char(
        self,
        characteristic: BleakGATTCharacteristic,
        data: SizedBuffer,
        response: bool,  # noqa: FBT001 - bleak's signature
    ) -> None:
        fragment, most = bytes(data), room(self._alive().att_mtu)
        if len(fragment) > most:
            raise BleakError(f"{len(fragment)} bytes in one packet, at MTU {self.mtu_size} it holds {most}")
        disturbance = self.central.disturbance
        for delay_s, piece in disturbance(fragment, to_device=True) if disturbance else [(0.0, fragment)]:
            await asyncio.sleep(delay_s)
            self._alive()
            with _translated():
                await characteristic.obj.write_value(piece, with_response=response)

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: SizedBuffer) -> None:
        self._alive()
        with _translated():
            await descriptor.obj.write_value(bytes(data), with_response=True)

    async def start_notify(
        self,
        characteristic: BleakGATTCharacteristic,
        callback: NotifyCallback,
        **_kwargs: Any,  # noqa: ANN401
    ) -> None:
        self._alive()
        arrived: asyncio.Queue[bytes] = asyncio.Queue()
        self._pumps.append(asyncio.create_task(self._pump(arrived, callback)))
        with _translated():
            await characteristic.obj.subscribe(arrived.put_nowait)

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        self._alive()
        with _translated():
            await characteristic.obj.unsubscribe()

    async def _pump(self, arrived: "asyncio.Queue[bytes]", callback: NotifyCallback) -> None:
        """In order, each with its own delay."""
        while True:
            fragment = await arrived.get()
            disturbance = self.central.disturbance
            for delay_s, piece in disturbance(fragment, to_device=False) if disturbance else [(0.0, fragment)]:
                if delay_s:
                    await asyncio.sleep(delay_s)
                callback(bytearray(piece))

    def _alive(self) -> Connection:
        if self._connection is None:
            raise BleakError("not connected")
        return self._connection

    def _lost(self, _reason: int) -> None:
        self._connection = None
        for pump in self._pumps:
            pump.cancel()
        if self._disconnected_callback is not None:
            self._disconnected_callback()


def _properties(characteristic: CharacteristicProxy[Any]) -> list[Any]:
    """As bleak names them."""
    return [
        str(flag.name).lower().replace("_", "-")
        for flag in Characteristic.Properties
        if flag in characteristic.properties
    ]


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    """The errors of bumble as bleak's. bumble cancels whoever waits for an answer when the link is lost."""
    try:
        yield
    except (BaseBumbleError, TimeoutError) as error:
        raise BleakError(str(error)) from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise BleakError("the link was lost") from error
