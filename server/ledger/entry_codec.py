"""A business entry as bytes: COSE_Sign1 with purpose `seal/1/entry`, personal data only as salted commitments.

Payload, deterministic CBOR: {1 type, 2 version, 3 id, 4 time in ms, 5 refs, 6 commitments, 7 public fields}; the form
is in entries.cddl.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final
from uuid import UUID

from firmware_protocol import cbor, cose
from firmware_protocol.cose import SigningKey
from firmware_protocol.errors import Malformed
from firmware_protocol.purposes import Purpose
from server.ledger.entry_types import EntryType

MAX_LEAF: Final = 65_535
"""A tlog-tiles entry bundle gives each entry a 16-bit length (c2sp.org/tlog-tiles, "Log entries")."""
SALT_SIZE: Final = 16
COMMITMENT_SIZE: Final = 32
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What a business step put on record."""

    entry_type: EntryType
    version: int
    entry_id: UUID
    time_ms: int
    refs: dict[str, str | bytes | list[str | bytes]]
    commitments: dict[str, bytes]
    public: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Opening:
    """What turns a commitment back into its value; erased with the personal data."""

    salt: bytes
    value: bytes  # deterministic CBOR

    def commitment(self) -> bytes:
        return hashlib.sha256(self.salt + self.value).digest()


def opening(value: object, *, salt: bytes) -> Opening:
    """Raises: ValueError for a salt of another size, Malformed for a value CBOR entries cannot hold."""
    if len(salt) != SALT_SIZE:
        raise ValueError(f"a salt has {SALT_SIZE} bytes")
    encoded = cbor.encode(plain(value))
    cbor.decode(encoded)
    return Opening(salt, encoded)


def sign(entry: Entry, *, key: SigningKey) -> bytes:
    """The leaf. Raises: Malformed, when a field is of a kind entries do not hold or the leaf is too long."""
    payload = cbor.encode(
        {
            1: int(entry.entry_type),
            2: entry.version,
            3: entry.entry_id.bytes,
            4: entry.time_ms,
            5: plain(entry.refs),
            6: dict(entry.commitments),
            7: plain(entry.public),
        }
    )
    read(payload)
    leaf = cose.sign1(payload, key=key, purpose=Purpose.ENTRY)
    if len(leaf) > MAX_LEAF:
        raise Malformed(f"an entry of {len(leaf)} bytes, at most {MAX_LEAF}")
    return leaf


def verify(leaf: bytes, *, keys: Mapping[bytes, bytes]) -> Entry:
    """Raises: Malformed, WrongAlgorithm, UnknownKey, BadSignature."""
    return read(cose.verify1(leaf, keys=keys, purpose=Purpose.ENTRY))


def peek(leaf: bytes) -> Entry:
    """The entry in a leaf, without trust. Raises: Malformed, WrongAlgorithm."""
    return read(cose.parse1(leaf).payload)


def read(payload: bytes) -> Entry:
    """The entry in a COSE payload, without trust. Raises: Malformed."""
    match cbor.decode_map(payload):
        case {
            1: int() as number,
            2: int() as version,
            3: bytes() as entry_id,
            4: int() as time_ms,
            5: dict() as refs,
            6: dict() as commitments,
            7: dict() as public,
            **rest,
        } if not rest and version >= 1 and len(entry_id) == 16 and time_ms >= 0:
            pass
        case _:
            raise Malformed("an entry has labels 1 to 7 and no other")
    if number not in EntryType.__members__.values():
        raise Malformed(f"no entry type {number}")
    if not all(isinstance(name, str) for name in (*refs, *commitments, *public)):
        raise Malformed("references, commitments and fields have text names")
    if not all(isinstance(value, bytes) and len(value) == COMMITMENT_SIZE for value in commitments.values()):
        raise Malformed(f"a commitment has {COMMITMENT_SIZE} bytes")
    for value in refs.values():
        items = value if isinstance(value, list) else [value]
        if not all(isinstance(item, str | bytes) for item in items):
            raise Malformed("a reference is text or bytes, or a list of them")
    return Entry(
        entry_type=EntryType(number),
        version=version,
        entry_id=UUID(bytes=entry_id),
        time_ms=time_ms,
        refs=refs,
        commitments=commitments,
        public=public,
    )


def ref_strings(refs: Mapping[str, Any]) -> tuple[str, ...]:
    """References as the index holds them: `kind:value`, bytes in lowercase hex."""
    pairs = [
        (kind, item) for kind, value in plain(refs).items() for item in (value if isinstance(value, list) else [value])
    ]
    return tuple(f"{kind}:{item.hex() if isinstance(item, bytes) else item}" for kind, item in pairs)


def plain(value: Any) -> Any:  # noqa: ANN401 - any value a business step holds
    """`value` in the kinds entries hold: UUIDs as text, times as milliseconds since 1970, enums as their value."""
    match value:
        case Enum():
            return plain(value.value)
        case UUID():
            return str(value)
        case datetime():
            return milliseconds(value)
        case Mapping():
            return {name: plain(item) for name, item in value.items()}
        case tuple() | list():
            return [plain(item) for item in value]
        case _:
            return value


def milliseconds(moment: datetime) -> int:
    """Milliseconds since 1970 of an aware time."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)
