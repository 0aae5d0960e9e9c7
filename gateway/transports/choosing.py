"""Which carrier reaches a device, from its settings."""

from typing import TYPE_CHECKING

from serial.tools import list_ports

from gateway.settings import BleSettings, DeviceSettings
from gateway.transports.base import Transport
from gateway.transports.serial_port import SerialTransport
from gateway.transports.usb_port import PortLister, find_port

if TYPE_CHECKING:
    from gateway.transports.ble import Radio


def transport_for(
    settings: DeviceSettings, *, ports: PortLister = list_ports.comports, radio: "Radio | None" = None
) -> Transport:
    """`ports` and `radio` are this machine's own unless a test or a demo brings others."""
    usb = settings.usb
    if usb is not None:
        return SerialTransport(lambda: find_port(usb, ports), where=settings.where)
    if settings.ble is not None:
        return _over_the_air(settings.ble, radio)
    return SerialTransport(settings.where)


def _over_the_air(ble: BleSettings, radio: "Radio | None") -> Transport:
    from gateway.transports.ble import SYSTEM_RADIO, BleTransport  # most offices have no device in the air

    return BleTransport(ble, radio=radio or SYSTEM_RADIO)
