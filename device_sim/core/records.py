"""The journal's file format, for another reader to follow (design: D5, "The count").

A file is records one after another, nothing between them. All numbers big-endian.

    offset  size  field
    0       1     type: 1 SNAPSHOT, 2 EVENT, 3 RECEIPT, 4 ROSTER
    1       4     len: length of the body in bytes, at most 262,144
    5       len   body
    5+len   8     the first 8 bytes of SHA-256 over the whole record before this one; in a file's first, 8 zero bytes
    13+len  4     CRC-32 (as in zip) over everything before it in this record

Bodies:
    SNAPSHOT  deterministic CBOR of the device's memory (memory.Memory) when the records before it were deleted; only
              ever the first record of a file
    EVENT     CBOR [signed event, attachment or null]. The attachment is what the event stands for and only names by
              digest: the token of GRANT, the terms of PAIRED (CBOR), the signed order of POLICY_SET
    RECEIPT   the signed receipt that the device accepted; events up to its sequence number may be deleted
    ROSTER    a signed part of the roster that the device accepted

Folding the records in order from an empty memory (folding.remember) gives the memory of the device. Nothing is ever
changed in place. A power cut can leave a prefix of the last append: its records are cut at the first that is not whole,
and the cut is reported by a SENSOR event. A broken record with whole ones after it is damage, not a power cut.
"""

import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

MAX_BODY: Final = 262_144
FIRST_LINK: Final = bytes(8)
_HEAD: Final = 5
_TAIL: Final = 12


class Kind(IntEnum):
    SNAPSHOT = 1
    EVENT = 2
    RECEIPT = 3
    ROSTER = 4


_KINDS: Final = frozenset(Kind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    kind: Kind
    body: bytes

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return _HEAD + len(self.body) + _TAIL


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a file holds. `torn`: bytes after the last whole record; `damaged`: there are whole records among them."""

    records: tuple[Record, ...]
    link: bytes  # what the next record carries
    torn: int
    damaged: bool


def write(records: Iterable[Record], *, link: bytes) -> tuple[bytes, bytes]:
    """The bytes of `records` behind one whose link is `link`, and the link for the next."""
    out = bytearray()
    for record in records:
        start = len(out)
        out += bytes([record.kind]) + len(record.body).to_bytes(4, "big") + record.body + link
        out += zlib.crc32(out[start:]).to_bytes(4, "big")
        link = hashlib.sha256(out[start:]).digest()[:8]
    return bytes(out), link


def read(data: bytes) -> Reading:
    """Never raises: what is not whole is counted."""
    records: list[Record] = []
    link = FIRST_LINK
    at = 0
    while at < len(data):
        record = _whole(data, at)
        if record is None or data[at + _HEAD + len(record.body) :][:8] != link:
            break
        if record.kind is Kind.SNAPSHOT and records:
            break
        records.append(record)
        link = hashlib.sha256(data[at : at + record.size]).digest()[:8]
        at += record.size
    damaged = any(_whole(data, later) is not None for later in range(at, len(data)))
    return Reading(records=tuple(records), link=link, torn=len(data) - at, damaged=damaged)


def _whole(data: bytes, at: int) -> Record | None:
    """The record at `at` when type, length and checksum fit; its link is the caller's to check."""
    if len(data) - at < _HEAD + _TAIL or data[at] not in _KINDS:
        return None
    length = int.from_bytes(data[at + 1 : at + _HEAD], "big")
    end = at + _HEAD + length + _TAIL
    if length > MAX_BODY or end > len(data):
        return None
    if zlib.crc32(data[at : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
        return None
    return Record(kind=Kind(data[at]), body=data[at + _HEAD : end - _TAIL])
