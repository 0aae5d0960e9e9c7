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
