"""What the ledger's service takes and gives."""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Final
from uuid import UUID

from firmware_protocol.events import EventType
from server.ledger.admission import KeyStatus, Reason
from server.ledger.entry_types import EntryType

INSTALLATION: Final = UUID(int=0)
"""Tenant of entries that concern the installation itself, or a device nobody enrolled."""


class LeafKind(StrEnum):
    """What signed the leaf's bytes, and for which purpose."""

    EVENT = "event"  # a device, seal/1/event
    TOKEN = "token"  # noqa: S105 - the issuer, seal/1/token
    PERMIT = "permit"  # the issuer, seal/1/permit
    ENTRY = "entry"  # the server, seal/1/entry


class Trouble(StrEnum):
    """Why a witness did not cosign the newest checkpoint."""

    AWAY = "away"  # no answer
    UNKNOWN = "unknown"  # it does not follow this log, or under another key
    REFUSED = "refused"  # it says that this log does not follow from what it saw
    AHEAD = "ahead"  # it says that it saw a larger log
    BROKEN = "broken"  # its answer is not what the protocol says


class PhotoState(IntEnum):
    NEW = 0  # no receipt was made since it came
    NAMED = 1  # a receipt that names it was sent at least once
    ACKED = 2  # the device acknowledged such a receipt


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRef:
    """What `record` made: the id inside the entry, and the leaf hash that finds it."""

    entry_id: UUID
    leaf_hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryRead:
    """One leaf of the tree as stored."""

    index: int
    leaf_hash: bytes
    kind: LeafKind
    leaf: bytes
    tenant_id: UUID
    branch_path: str
    admitted_at: datetime
    entry_type: EntryType | EventType | None
    device_id: str | None
    generation: int | None
    seq: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceHead:
    """How far a device's chain has come; receipts cover `prefix_seq`."""

    device_id: str
    generation: int
    status: KeyStatus
    last_seq: int
    prefix_seq: int
    acked_seq: int
    quarantined_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenGap:
    device_id: str
    generation: int
    first_seq: int
    last_seq: int  # included
    opened_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class SetAsideRead:
    """Something that arrived and was not admitted."""

    digest: bytes  # SHA-256 of what arrived
    reason: Reason
    detail: str
    source: str
    device_id: str | None
    generation: int | None
    seq: int | None
    size: int
    first_at: datetime
    last_at: datetime
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WitnessRead:
    """A configured witness, as it stands."""

    name: str
    vkey: str
    url: str
    own: bool
    size: int  # 0: it never cosigned
    seen_at: datetime | None
    asked_at: datetime | None
    trouble: Trouble | None
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AnchorRead:
    """A time stamp over the checkpoint of `size` entries."""

    size: int
    authority: str
    own: bool
    stamped_at: datetime
    answer: bytes  # DER TimeStampResp


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointRead:
    """A signed tree head with what others said about it."""

    size: int
    root: bytes
    note: str  # with the lines of witnesses
    made_at: datetime
    published_at: datetime | None
    cosigned_by: tuple[tuple[str, datetime], ...]  # names, own ones too, with the times they signed
    anchors: tuple[AnchorRead, ...]
