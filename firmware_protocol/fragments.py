"""BLE link: `message || CRC32`, cut into writes and notifications (docs/protocol.md, "BLE link").

Fragment = 1-byte header (bit 7: last, bits 0 to 6: index from 0) + data.
"""

from typing import Final

from firmware_protocol.errors import BadFrame, FrameTooLong
from firmware_protocol.framing import CRC_SIZE, MAX_MESSAGE, FrameCounters, with_checksum, without_checksum

SERVICE_UUID: Final = "5ea10001-7d3c-4f52-9b1e-c8a2d06f4e19"
"""The one service; every seal device advertises it."""
WRITE_UUID: Final = "5ea10002-7d3c-4f52-9b1e-c8a2d06f4e19"
"""Gateway -> device: write and write without response."""
NOTIFY_UUID: Final = "5ea10003-7d3c-4f52-9b1e-c8a2d06f4e19"
"""Device -> gateway: notify."""

MIN_MTU: Final = 23
"""Bluetooth Core 5.4, Vol 3, Part F, 5.2.1: what every link starts with."""
ATT_HEADER: Final = 3
"""Opcode and handle of a write or a notification."""
MAX_VALUE: Final = 512
"""Longest attribute value (Vol 3, Part F, 3.2.9); real stacks drop more without a word."""
LAST: Final = 0x80
INDEX: Final = 0x7F
_MAX_PLAIN: Final = MAX_MESSAGE + CRC_SIZE


def room(mtu: int) -> int:
    """Bytes of one fragment, header included, at a negotiated MTU."""
    return min(mtu - ATT_HEADER, MAX_VALUE)


def cut(message: bytes, *, size: int) -> list[bytes]:
    """Fragments of at most `size` bytes, from `room`. Raises: FrameTooLong."""
    if len(message) > MAX_MESSAGE:
        raise FrameTooLong(seen=len(message), limit=MAX_MESSAGE)
    plain = with_checksum(message)
    pieces = [plain[at : at + size - 1] for at in range(0, len(plain), size - 1)]
    last = len(pieces) - 1
    return [bytes([index | (LAST if index == last else 0)]) + piece for index, piece in enumerate(pieces)]


class FragmentAssembler:
    """Fragments in, messages out. A wrong index costs the message it hits; the next index 0 begins another."""

    def __init__(self) -> None:
        self.counters = FrameCounters()
        self._buffer = bytearray()
        self._expected = 0
        self._dropping = False

    def feed(self, fragment: bytes) -> bytes | None:
        """The message that this fragment completes. Broken ones are counted, never raised."""
        if not fragment:
            self._drop()
            return None
        index = fragment[0] & INDEX
        if index == 0:
            self.forget()
        elif self._dropping or index != self._expected:
            self._drop()
            return None
        if len(self._buffer) + len(fragment) - 1 > _MAX_PLAIN:
            self.counters.too_long += 1
            self._buffer.clear()
            self._dropping = True
            return None
        self._buffer += fragment[1:]
        self._expected = index + 1
        return self._close() if fragment[0] & LAST else None

    def forget(self) -> None:
        """The link is new, or a message begins: what came before it can't end any more."""
        if self._buffer:
            self.counters.bad += 1
        self._buffer.clear()
        self._expected = 0
        self._dropping = False

    def _drop(self) -> None:
        """Once for each message that is lost, however many of its fragments still come."""
        if not self._dropping:
            self.counters.bad += 1
        self._buffer.clear()
        self._dropping = True

    def _close(self) -> bytes | None:
        plain = bytes(self._buffer)
        self._buffer.clear()
        self._expected = 0
        try:
            message = without_checksum(plain)
        except BadFrame:
            self.counters.bad += 1
            return None
        self.counters.good += 1
        return message
