"""What goes in and out of `server.tokens`."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

from pydantic import Field

from server.devices.schemas import Hex, HexBytes
from server.identity.schemas import In, Out


class StrokeState(StrEnum):
    INTENT = "intent"  # the latch was freed; nothing heard since
    DONE = "done"
    RETURNED = "returned"  # cancelled, the mechanical counter did not move, the use came back
    CANCELLED = "cancelled"  # cancelled, the use stays consumed
    ABORTED = "aborted"  # settled at boot: it was not pressed
    UNKNOWN = "unknown"  # settled at boot: press not confirmed; counts as used


class TokenIn(In):
    request_id: UUID
    nonce: Annotated[Hex, Field(min_length=32, max_length=32)]
    operator_id: UUID


class TokenOut(Out):
    token_id: HexBytes
    strokes: int
    window_s: int


class JobPage(Out):
    stroke: int
    page: int
    copy_number: int = Field(serialization_alias="copy")


class JobRead(Out):
    request_id: UUID
    title: str
    short: str
    seal_name: str
    strokes_left: int
    strokes_total: int
    pages: tuple[JobPage, ...]
    expires_ms: int
    mine: bool


class PermitDifference(Out):
    kind: str
    box: tuple[float, float, float, float]
    text: str


class PermitOut(Out):
    """`answer`: match, doubtful or wrong. The permit itself goes down by MQTT."""

    answer: str
    reason: str
    stroke: int
    page: int
    permit_sent: bool
    differences: tuple[PermitDifference, ...]
    finding_id: UUID
    text: str  # the three below in one
    happened: str
    safe: str
    next: str


class LeaseRead(Out):
    """Up to `strokes` imprints until `until`: what a device may still do, whatever is revoked here."""

    request_id: UUID
    device_id: str
    strokes: int
    until: datetime


class TokenRead(Out):
    token_id: HexBytes
    request_id: UUID
    device_id: str
    operator_id: UUID
    strokes: int
    plan: tuple[int, ...]
    page_check: str
    head_id: HexBytes
    seal_id: UUID
    branch_path: str
    document_digest: HexBytes
    tenant_id: UUID
    created_at: datetime
    lease_until: datetime
    granted_at: datetime | None
    closed_at: datetime | None
    closed_used: int | None
    leaf_hash: HexBytes
    signed: HexBytes
