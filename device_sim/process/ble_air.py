"""The virtual air: Bluetooth controllers that hear each other. No radio, no BlueZ, but real HCI, L2CAP, ATT and GATT.

Everything in it lives in one event loop; another process joins by TCP. ble_bleak.py puts bleak into it.
"""

import asyncio
import dataclasses
from typing import Final

from bumble import hci, ll
from bumble.controller import Controller
from bumble.host import Host
from bumble.link import LocalLink
from bumble.transport.common import AsyncPipeSink, StreamPacketSink, StreamPacketSource

DATA_LENGTH: Final = 251
"""Bytes in one link-layer packet (Data Length Extension, Bluetooth 4.2)."""


class Adapter(Controller):
    """The controller of bumble never sends the scan response; here it travels with what is advertised."""

    def send_advertising_pdu(self, packet: ll.AdvertisingPdu) -> None:
        if isinstance(packet, ll.AdvExtInd):
            for advertising in self.advertising_sets.values():
                if advertising.address == packet.advertiser_address:
                    packet = dataclasses.replace(packet, data=packet.data + bytes(advertising.scan_response_data))
        super().send_advertising_pdu(packet)


class Air:
    """Create it in a running event loop."""

    def __init__(self) -> None:
        self._link = LocalLink()  # type: ignore[no-untyped-call]
        self._count = 0
        self._servers: list[asyncio.Server] = []
        self._remote: set[_RemoteHost] = set()

    def controller(self) -> Controller:
        """A new Bluetooth adapter in this air."""
        self._count += 1
        address = f"00:00:00:00:00:{self._count:02X}"
        controller = Adapter(f"adapter {self._count}", link=self._link, public_address=address)
        controller.le_acl_data_packet_length = DATA_LENGTH
        return controller

    def host(self) -> Host:
        """A new adapter and the host side of it, in this process."""
        controller = self.controller()
        return Host(controller, AsyncPipeSink(controller))

    async def listen(self) -> str:
        """Lets other processes in: an adapter for each connection. The bumble transport that brings them here."""
        server = await asyncio.get_running_loop().create_server(lambda: _RemoteHost(self), "127.0.0.1", 0)
        self._servers.append(server)
        return f"tcp-client:127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        for server in self._servers:
            server.close()
            await server.wait_closed()
        for remote in list(self._remote):
            remote.hang_up()

    def remove(self, controller: Controller) -> None:
        """Its host is gone: it falls silent, and whoever was connected with it notices a timeout."""
        controller.le_legacy_advertiser.stop()
        for advertising in controller.advertising_sets.values():
            advertising.stop()
        for connection in list(controller.le_connections.values()):
            reason = hci.HCI_ErrorCode.CONNECTION_TIMEOUT_ERROR
            controller.on_hci_packet(hci.HCI_Disconnect_Command(connection_handle=connection.handle, reason=reason))
        self._link.remove_controller(controller)

    def joined(self, remote: "_RemoteHost") -> None:
        self._remote.add(remote)

    def left(self, remote: "_RemoteHost") -> None:
        self._remote.discard(remote)


class _RemoteHost(StreamPacketSource):
    """HCI over one TCP connection."""

    def __init__(self, air: Air) -> None:
        super().__init__()
        self._air = air

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.WriteTransport)  # noqa: S101 - a TCP connection is one
        self._transport = transport
        self._controller = self._air.controller()
        self._controller.set_packet_sink(StreamPacketSink(transport))
        self.set_packet_sink(self._controller)
        self._air.joined(self)

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002 - an asyncio.Protocol's signature
        self._air.left(self)
        self._air.remove(self._controller)

    def hang_up(self) -> None:
        self._transport.abort()
