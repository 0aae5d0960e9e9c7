"""What goes out of `server.events`."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from server.approvals.schemas import RequestRead
from server.devices.schemas import HexBytes
from server.identity.schemas import Out
from server.inspection.schemas import FindingRead
from server.tokens.schemas import LeaseRead


class StrokeRead(Out):
    id: UUID
    request_id: UUID
    device_id: str
    token_id: HexBytes
    stroke: int
    plan_index: int
    copy_number: int
    page: int
    page_check: str
    state: str
    counter: int | None
    seen_ms: int | None
    intent_ms: int | None
    done_ms: int | None
    before_preview: HexBytes | None
    before_photo: HexBytes | None
    after_preview: HexBytes | None
    after_photo: HexBytes | None
    label_photo: HexBytes | None
    trace_code: HexBytes | None
    short_code: str | None
    seen_leaf: HexBytes | None
    intent_leaf: HexBytes | None
    done_leaf: HexBytes | None


class StrokeView(Out):
    """A stroke with what inspection saw and which of its photos have arrived."""

    stroke: StrokeRead
    page_finding: FindingRead | None
    imprint_finding: FindingRead | None
    photos_stored: frozenset[str]  # hex digests
    label_code: str | None = None  # short form: the label on its sheet, which may stand for several imprints


class ImprintOut(Out):
    """`state`: pending, agrees, look_here. `grade`: clear, faint, cut_off, missing, unclear; empty while pending."""

    state: str
    reason: str
    text: str
    grade: str


class PhotosWanted(Out):
    """`digests`: hex SHA-256, in no order."""

    digests: list[str]


class AlarmRead(Out):
    id: UUID
    device_id: str
    kind: str
    request_id: UUID | None
    leaf_hash: HexBytes
    detail: dict[str, Any]
    created_at: datetime


class Progress(StrEnum):
    """The one status a request shows on screens, from its state and its strokes."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    APPROVED = "approved"
    UNLOCKED = "unlocked"
    STAMPED = "stamped"
    MATCHED = "matched"
    LOOK_HERE = "look_here"
    OVER = "over"  # rejected, withdrawn, void, expired


class TimelineRead(Out):
    request: RequestRead
    progress: Progress
    stamped: int
    total: int
    strokes: tuple[StrokeView, ...]
    refused_pages: tuple[FindingRead, ...]  # before-photos that got no permit
    leases: tuple[LeaseRead, ...]
    alarms: tuple[AlarmRead, ...]


class ChangeRead(Out):
    id: int
    topic: str
    at: datetime
