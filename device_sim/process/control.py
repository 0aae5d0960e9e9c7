"""The control link: a pty that a gateway opens as it would a serial port."""

import contextlib
import os
import queue
import select
import termios
import threading
import tty
from collections.abc import Callable
from pathlib import Path

from firmware_protocol.framing import FrameDecoder, encode_frame

WAITING_FRAMES = 256
"""Frames kept for a gateway that does not read; what comes after is dropped, a retry asks again."""
WRITE_PATIENCE_S = 0.5


class ControlLink:
    """One cable. `on_message` is called from the link's own thread; `send` never blocks."""

    def __init__(self, symlink: Path, on_message: Callable[[bytes], None]) -> None:
        self._symlink = symlink
        self._on_message = on_message
        self._cable: _Cable | None = None
        self._last_path: str | None = None

    @property
    def path(self) -> str | None:
        """Of the port, None while it is unplugged."""
        return self._cable.path if self._cable else None

    def plug_in(self) -> str:
        """A port appears, under another path than the last one; its path, which `symlink` also shows."""
        self.unplug()
        self._cable = self._another_cable()
        self._last_path = self._cable.path
        pointer = self._symlink.with_name(self._symlink.name + ".new")
        pointer.unlink(missing_ok=True)
        pointer.symlink_to(self._cable.path)
        pointer.replace(self._symlink)
        return self._cable.path

    def unplug(self) -> None:
        """The port is gone, also in the middle of a frame."""
        if self._cable:
            self._symlink.unlink(missing_ok=True)
            self._cable.close()
            self._cable = None

    def close(self) -> None:
        """Switched off for good."""
        self.unplug()

    def _another_cable(self) -> "_Cable":
        """The kernel likes to give a free number again at once; a port that was plugged in anew often gets another."""
        first = _Cable(self._on_message)
        if first.path != self._last_path:
            return first
        second = _Cable(self._on_message)
        first.close()
        return second

    def send(self, message: bytes) -> None:
        cable = self._cable
        if cable:
            cable.send(message)

    def forget_old_bytes(self) -> None:
        """A gateway says HELLO: what was sent before it listened is worth nothing."""
        cable = self._cable
        if cable:
            cable.flush()


class _Cable:
    """A pty pair and its two threads. The slave end stays open here, so that its raw mode lasts."""

    def __init__(self, on_message: Callable[[bytes], None]) -> None:
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)
        self._on_message = on_message
        self._outbox: queue.Queue[bytes | None] = queue.Queue(WAITING_FRAMES)
        self._stalled = False
        self._wake_read, self._wake_write = os.pipe()
        self._threads = [threading.Thread(target=work, daemon=True) for work in (self._read, self._write)]
        for thread in self._threads:
            thread.start()

    def send(self, message: bytes) -> None:
        try:
            self._outbox.put_nowait(encode_frame(message))
        except queue.Full:
            self._stalled = True

    def flush(self) -> None:
        """Only after nobody read for a while; in a lively session no notice is lost."""
        if not self._stalled:
            return
        self._stalled = False
        self._drop_waiting()
        termios.tcflush(self._slave, termios.TCIFLUSH)

    def close(self) -> None:
        """May be called from the reader itself."""
        os.write(self._wake_write, b"x")
        self._drop_waiting()
        self._outbox.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()
        for descriptor in (self._master, self._slave, self._wake_read, self._wake_write):
            os.close(descriptor)

    def _drop_waiting(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                self._outbox.get_nowait()

    def _read(self) -> None:
        decoder = FrameDecoder()
        while True:
            ready, _, _ = select.select([self._master, self._wake_read], [], [])
            if self._wake_read in ready:
                return
            for message in decoder.feed(os.read(self._master, 4096)):
                self._on_message(message)

    def _write(self) -> None:
        while (frame := self._outbox.get()) is not None:
            self._write_frame(frame)

    def _write_frame(self, frame: bytes) -> None:
        """Gives up on a frame when nobody reads; the next frame's delimiter ends what was begun."""
        while frame:
            _, writable, _ = select.select([], [self._master], [], WRITE_PATIENCE_S)
            if not writable:
                self._stalled = True
                return
            try:
                frame = frame[os.write(self._master, frame) :]
            except BlockingIOError:
                continue
