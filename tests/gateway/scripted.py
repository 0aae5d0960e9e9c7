"""A device that answers from a script over a real pty, for tests of the link alone."""

import contextlib
import os
import threading
import tty
from collections.abc import Callable

from firmware_protocol import messages
from firmware_protocol.framing import FrameDecoder, encode_frame
from firmware_protocol.messages import Envelope, Message

Answer = Callable[[Envelope], Message | None]


class ScriptedDevice:
    """`answer` gets each request and returns the reply, or None to stay silent."""

    def __init__(self, answer: Answer, *, chop: int | None = None, noise: bytes = b"") -> None:
        self._answer = answer
        self._chop = chop
        self._noise = noise
        self.asked: list[Envelope] = []
        self._master, slave = os.openpty()
        tty.setraw(self._master)
        tty.setraw(slave)
        self.path = os.ttyname(slave)
        self._slave = slave
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def notice(self, message: Message) -> None:
        self._write(messages.encode(message, msg_id=0))

    def unplug(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._slave)
        with contextlib.suppress(OSError):
            os.close(self._master)

    def _serve(self) -> None:
        decoder = FrameDecoder()
        while True:
            try:
                data = os.read(self._master, 4096)
            except OSError:
                return
            for raw in decoder.feed(data):
                envelope = messages.decode(raw)
                self.asked.append(envelope)
                reply = self._answer(envelope)
                if reply is not None:
                    self._write(messages.encode(reply, msg_id=envelope.msg_id))

    def _write(self, raw: bytes) -> None:
        data = self._noise + encode_frame(raw)
        step = self._chop or len(data)
        for at in range(0, len(data), step):
            os.write(self._master, data[at : at + step])
