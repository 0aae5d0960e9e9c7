"""The bulk link: photos by digest, resumable, beside the control link (docs/protocol.md, "Bulk link").

Each side sends a 2-byte big-endian length and that many bytes of CBOR; a reply is followed by `length` raw bytes.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from firmware_protocol import cbor
from firmware_protocol.errors import Malformed
from firmware_protocol.labelled import from_map, label, to_map

MAX_HEADER: Final = 128
MAX_CHUNK: Final = 65_536
MAX_PHOTO: Final = 8_388_608
"""Longest photo in bytes that a device may announce; an A4 page at 300 dpi in JPEG stays below 4 MiB."""
MAX_LOOK: Final = 20_480
"""Longest picture of the tray for LookRequest, bytes."""


class BulkStatus(IntEnum):
    OK = 0
    UNKNOWN_DIGEST = 1
    BAD_OFFSET = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkRequest:
    digest: bytes = label(1, size=32)
    offset: int = label(2)
    length: int = label(3)  # at most MAX_CHUNK


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkReply:
    status: BulkStatus = label(1)
    total: int = label(2)
    length: int = label(3)  # raw bytes that follow


def encode_header(message: BulkRequest | BulkReply) -> bytes:
    body = cbor.encode(to_map(message))
    return len(body).to_bytes(2, "big") + body


def header_length(prefix: bytes) -> int:
    """Raises: Malformed, before one byte of the header is read."""
    length = int.from_bytes(prefix, "big")
    if not 0 < length <= MAX_HEADER:
        raise Malformed(f"bulk header of {length} bytes, at most {MAX_HEADER}")
    return length


def decode_request(body: bytes) -> BulkRequest:
    """Raises: Malformed."""
    request = from_map(BulkRequest, cbor.decode_map(body))
    if request.length > MAX_CHUNK:
        raise Malformed(f"chunk of {request.length} bytes, at most {MAX_CHUNK}")
    return request


def decode_reply(body: bytes) -> BulkReply:
    """Raises: Malformed."""
    reply = from_map(BulkReply, cbor.decode_map(body))
    if reply.length > MAX_CHUNK or reply.total > MAX_PHOTO:
        raise Malformed("bulk reply announces more than a photo may hold")
    return reply
