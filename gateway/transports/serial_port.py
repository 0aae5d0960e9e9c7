"""Serial link: pyserial behind `Transport`. 115,200 baud, exclusive, DTR and RTS off (they reset some boards)."""

import asyncio
import threading
from collections.abc import Callable
from typing import Final

import serial

from firmware_protocol.framing import FrameCounters, FrameDecoder, encode_frame
from gateway.errors import DeviceUnreachable
from gateway.transports.base import ON_A_CABLE, OnLost, OnMessage, Patience

BAUD: Final = 115_200
READ_TIMEOUT_S: Final = 0.2
"""How soon the reading thread notices that it should stop; data wakes it at once."""


class SerialTransport:
    """Reads in a thread of its own, since pyserial blocks; every callback runs in the event loop.

    `path` may be a function that looks for the port on every `open`: a device that comes back has another path.
    """

    def __init__(
        self, path: str | Callable[[], str], *, where: str | None = None, patience: Patience = ON_A_CABLE
    ) -> None:
        self._path = path
        self._where = where or str(path)
        self.patience = patience
        self._port: serial.Serial | None = None
        self._thread: threading.Thread | None = None
        self._decoder = FrameDecoder()

    @property
    def counters(self) -> FrameCounters:
        return self._decoder.counters

    async def open(self, *, on_message: OnMessage, on_lost: OnLost) -> None:
        loop = asyncio.get_running_loop()
        port = await asyncio.to_thread(_open_port, self._path)
        self._port = port
        self._decoder = FrameDecoder()
        arguments = (port, self._decoder, loop, on_message, on_lost)
        self._thread = threading.Thread(target=_read_forever, args=arguments, name=f"serial {port.port}", daemon=True)
        self._thread.start()

    async def send(self, message: bytes) -> None:
        port = self._port
        if port is None:
            raise DeviceUnreachable(self._where)
        try:
            await asyncio.to_thread(port.write, encode_frame(message))
        except (serial.SerialException, OSError, TypeError) as error:  # TypeError: the port was closed meanwhile
            raise DeviceUnreachable(self._where) from error

    async def close(self) -> None:
        port, self._port = self._port, None
        thread, self._thread = self._thread, None
        if port is not None:
            await asyncio.to_thread(_close_port, port)
        if thread is not None:
            await asyncio.to_thread(thread.join)


def _open_port(found: str | Callable[[], str]) -> serial.Serial:
    path = found if isinstance(found, str) else found()
    port = serial.Serial(baudrate=BAUD, timeout=READ_TIMEOUT_S, write_timeout=2, exclusive=True)
    port.dtr = False
    port.rts = False
    port.port = path
    try:
        port.open()
    except (serial.SerialException, OSError, ValueError) as error:
        raise DeviceUnreachable(path) from error
    return port


def _close_port(port: serial.Serial) -> None:
    try:
        port.cancel_read()
        port.close()
    except (serial.SerialException, OSError, AttributeError):
        return  # it is gone already, which is what was wanted


def _read_forever(
    port: serial.Serial,
    decoder: FrameDecoder,
    loop: asyncio.AbstractEventLoop,
    on_message: OnMessage,
    on_lost: OnLost,
) -> None:
    while port.is_open:
        try:
            data = port.read(max(1, port.in_waiting))
        except (serial.SerialException, OSError, TypeError, AttributeError):
            break
        for message in decoder.feed(data):
            _call_in(loop, on_message, message)
    _call_in(loop, on_lost)


def _call_in(loop: asyncio.AbstractEventLoop, callback: Callable[..., None], *arguments: bytes) -> None:
    try:
        loop.call_soon_threadsafe(callback, *arguments)
    except RuntimeError:
        return  # the loop is closed: the process is going down
