"""The container of an evidence bundle: the one zip file that a set of members has (design: D10).

Sorted ASCII names, stored, dated 1980-01-01, no extra fields, comments, gaps or trailing bytes. So equal members are
equal bytes, nothing can hide between members, and any unzip opens it. Format: PKWARE APPNOTE 6.3.10, sections 4.3.7
(local header), 4.3.12 (central directory), 4.3.16 (end record).
"""

import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

MAX_BYTES: Final = 512 * 1024 * 1024
"""500 pages scanned in colour and two photos a stroke for 50 strokes stay below this."""
MAX_MEMBERS: Final = 20_000
NAME: Final = re.compile(r"(?:[A-Za-z0-9_-]+/)?[A-Za-z0-9_-]+(?:\.[a-z-]+)?")

_LOCAL: Final = struct.Struct("<IHHHHHIIIHH")
_CENTRAL: Final = struct.Struct("<IHHHHHHIIIHHHHHII")
_END: Final = struct.Struct("<IHHHHIIH")
_LOCAL_MARK: Final = 0x04034B50
_CENTRAL_MARK: Final = 0x02014B50
_END_MARK: Final = 0x06054B50
_VERSION: Final = 20  # 2.0: folders and stored members
_DATE: Final = 0x21  # 1980-01-01, the first that zip can say
_UNIX: Final = 3 << 8
_PLAIN_FILE: Final = 0o100644 << 16


class NotABundle(Exception):
    """The bytes are no zip container at all, or larger than a bundle may be."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a container is not the canonical one; `member` is empty when it is about the container itself."""

    member: str
    what: str


@dataclass(frozen=True, slots=True)
class _Place:
    """What the index says of a member; `at` is where its header stands."""

    name: str
    crc: int
    size: int
    at: int


def pack(members: Mapping[str, bytes]) -> bytes:
    """The one container of `members`. Raises: ValueError for a name or a size no bundle has."""
    if len(members) > MAX_MEMBERS or sum(map(len, members.values())) > MAX_BYTES:
        raise ValueError("more than a bundle may hold")
    out = bytearray()
    places = []
    for name in sorted(members):
        if not NAME.fullmatch(name):
            raise ValueError(f"no bundle member is called {name!r}")
        data = members[name]
        places.append(_Place(name, zlib.crc32(data), len(data), len(out)))
        out += _local(name, zlib.crc32(data), len(data)) + data
    return bytes(out) + _index(places, at=len(out))


def unpack(data: bytes) -> tuple[dict[str, bytes], list[Fault]]:
    """The members, as far as they can be read, and every way in which the container is not canonical.

    Raises: NotABundle.
    """
    if len(data) > MAX_BYTES + MAX_MEMBERS * 512 or data[:4] not in (b"PK\x03\x04", b"PK\x05\x06"):
        raise NotABundle("not an evidence bundle")
    members: dict[str, bytes] = {}
    faults: list[Fault] = []
    places: list[_Place] = []
    at, previous = 0, ""
    while data[at : at + 4] == _LOCAL_MARK.to_bytes(4, "little"):
        read = _read_local(data, at)
        if isinstance(read, Fault):
            return members, [*faults, read]
        name, crc, start, end = read
        content = data[start:end]
        places.append(_Place(name, crc, len(content), at))
        if data[at:start] != _local(name, crc, len(content)):
            faults.append(Fault(name, "its header in the container is not canonical"))
        if zlib.crc32(content) != crc:
            faults.append(Fault(name, "its bytes do not fit the checksum beside them"))
        if name <= previous or len(members) >= MAX_MEMBERS:
            faults.append(Fault(name, "it stands twice in the container, or not in order"))
            return members, faults
        members[name] = content
        at, previous = end, name
    if data[at:] != _index(places, at=at):
        faults.append(Fault("", "its index does not fit its members, or something stands between or behind them"))
    return members, faults


def _read_local(data: bytes, at: int) -> tuple[str, int, int, int] | Fault:
    """Name, checksum, start and end of the member whose header stands at `at`."""
    try:
        fields = _LOCAL.unpack_from(data, at)
    except struct.error:
        return Fault("", "it ends in the middle of a member")
    _mark, _version, flags, method, _time, _date, crc, packed, size, name_size, extra_size = fields
    start = at + _LOCAL.size + name_size + extra_size
    try:
        name = data[at + _LOCAL.size : at + _LOCAL.size + name_size].decode("ascii")
    except UnicodeDecodeError:
        name = ""
    if not NAME.fullmatch(name):
        return Fault("", f"it has a member with a name no bundle uses, at byte {at}")
    if method or flags or packed != size or extra_size:
        return Fault(name, "it is compressed, encrypted or carries extra fields; a bundle stores its members plainly")
    if start + size > len(data):
        return Fault(name, "it is cut short")
    return name, crc, start, start + size


def _local(name: str, crc: int, size: int) -> bytes:
    fields = (_LOCAL_MARK, _VERSION, 0, 0, 0, _DATE, crc, size, size, len(name), 0)
    return _LOCAL.pack(*fields) + name.encode("ascii")


def _index(places: list[_Place], *, at: int) -> bytes:
    """The central directory and the end record; they begin at byte `at`."""
    directory = b"".join(map(_central, places))
    return directory + _END.pack(_END_MARK, 0, 0, len(places), len(places), len(directory), at, 0)


def _central(place: _Place) -> bytes:
    head = (_CENTRAL_MARK, _UNIX | _VERSION, _VERSION, 0, 0, 0, _DATE, place.crc, place.size, place.size)
    return _CENTRAL.pack(*head, len(place.name), 0, 0, 0, 0, _PLAIN_FILE, place.at) + place.name.encode("ascii")
