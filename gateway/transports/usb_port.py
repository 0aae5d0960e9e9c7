"""Which serial port a USB device has now. Its path may change with every plug; what it says of itself does not."""

from collections.abc import Callable, Iterable
from typing import Protocol

from gateway.errors import DeviceUnreachable, TwoDevicesFit
from gateway.settings import UsbSettings


class Port(Protocol):
    """What serial.tools.list_ports says about one port."""

    device: str
    vid: int | None
    pid: int | None
    serial_number: str | None
    location: str | None


PortLister = Callable[[], Iterable[Port]]


def find_port(usb: UsbSettings, lister: PortLister) -> str:
    """The path of its control port: of a device with several interfaces, the first.

    Raises: DeviceUnreachable, TwoDevicesFit.
    """
    fitting = [port for port in lister() if _fits(port, usb)]
    if not fitting:
        raise DeviceUnreachable(str(usb))
    if len({_device_of(port) for port in fitting}) > 1:
        raise TwoDevicesFit(str(usb))
    return min(fitting, key=_interface_of).device


def _fits(port: Port, usb: UsbSettings) -> bool:
    ids = (port.vid, port.pid) == (int(usb.vid, 16), int(usb.pid, 16))
    return ids and usb.serial in (None, port.serial_number)


def _device_of(port: Port) -> tuple[str | None, str]:
    """`location` is BUS-PORT.PORT:CONFIGURATION.INTERFACE on Linux, and only BUS-PORT elsewhere."""
    return port.serial_number, (port.location or "").partition(":")[0]


def _interface_of(port: Port) -> tuple[int, str]:
    digits = (port.location or "").rpartition(":")[2].rpartition(".")[2]
    return (int(digits) if digits.isdigit() else 0), port.device
