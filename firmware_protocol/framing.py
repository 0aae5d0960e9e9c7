"""Serial frames: 00 COBS(message || CRC32 little-endian) 00 (docs/protocol.md, "Serial link")."""

import zlib
from dataclasses import dataclass
from typing import Final

from firmware_protocol.errors import BadFrame, FrameTooLong

MAX_MESSAGE: Final = 512
"""Longest message in bytes: two BLE packets at MTU 247, 45 ms at 115,200 baud, and a buffer any microcontroller has."""

CRC_SIZE: Final = 4
MAX_FRAME: Final = MAX_MESSAGE + CRC_SIZE + (MAX_MESSAGE + CRC_SIZE) // 254 + 1
"""Longest COBS body between two delimiters."""


def encode_frame(message: bytes) -> bytes:
    """Raises: FrameTooLong."""
    if len(message) > MAX_MESSAGE:
        raise FrameTooLong(seen=len(message), limit=MAX_MESSAGE)
    return b"\x00" + cobs_encode(with_checksum(message)) + b"\x00"


def decode_body(body: bytes) -> bytes:
    """The message in a COBS body (without delimiters). Raises: BadFrame."""
    return without_checksum(cobs_decode(body))


def with_checksum(message: bytes) -> bytes:
    """`message || CRC-32 of message, little-endian`: what every carrier carries."""
    return message + zlib.crc32(message).to_bytes(CRC_SIZE, "little")


def without_checksum(plain: bytes) -> bytes:
    """The message. Raises: BadFrame."""
    if len(plain) <= CRC_SIZE:
        raise BadFrame("shorter than its checksum")
    message, crc = plain[:-CRC_SIZE], plain[-CRC_SIZE:]
    if zlib.crc32(message) != int.from_bytes(crc, "little"):
        raise BadFrame("checksum does not match")
    return message


def cobs_encode(data: bytes) -> bytes:
    """Consistent overhead byte stuffing (Cheshire and Baker 1999): no zero byte in the result."""
    out = bytearray()
    block = bytearray()
    for byte in data:
        if byte:
            block.append(byte)
            if len(block) == 254:
                out.append(255)
                out += block
                block.clear()
        else:
            out.append(len(block) + 1)
            out += block
            block.clear()
    out.append(len(block) + 1)
    out += block
    return bytes(out)


def cobs_decode(data: bytes) -> bytes:
    """Raises: BadFrame."""
    out = bytearray()
    at = 0
    while at < len(data):
        code = data[at]
        chunk = data[at + 1 : at + code]
        if code == 0 or len(chunk) != code - 1 or 0 in chunk:
            raise BadFrame("not COBS")
        out += chunk
        at += code
        if code < 255 and at < len(data):
            out.append(0)
    return bytes(out)


@dataclass(slots=True)
class FrameCounters:
    """What the line did to us; shown by `doctor` and in support bundles."""

    good: int = 0
    bad: int = 0
    too_long: int = 0


class FrameDecoder:
    """Bytes in, messages out. Noise costs at most the frame it hits; nothing longer than MAX_FRAME is buffered."""

    def __init__(self) -> None:
        self.counters = FrameCounters()
        self._buffer = bytearray()
        self._dropping = False

    def feed(self, data: bytes) -> list[bytes]:
        """Complete messages, in order. Broken frames are counted, never raised."""
        messages: list[bytes] = []
        *complete, rest = data.split(b"\x00")
        for piece in complete:
            self._keep(piece)
            message = self._close()
            if message is not None:
                messages.append(message)
        self._keep(rest)
        return messages

    def _keep(self, piece: bytes) -> None:
        if self._dropping:
            return
        if len(self._buffer) + len(piece) > MAX_FRAME:
            self.counters.too_long += 1
            self._buffer.clear()
            self._dropping = True
            return
        self._buffer += piece

    def _close(self) -> bytes | None:
        """A delimiter came: what the buffer holds is one frame, or nothing (two delimiters in a row)."""
        body = bytes(self._buffer)
        self._buffer.clear()
        if self._dropping or not body:
            self._dropping = False
            return None
        try:
            message = decode_body(body)
        except BadFrame:
            self.counters.bad += 1
            return None
        self.counters.good += 1
        return message
