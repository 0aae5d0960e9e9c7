"""What goes in and out of `server.approvals`."""

from datetime import datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from pydantic import Field, SecretStr

from server.approvals.policy import Refusal, State
from server.devices.schemas import HexBytes
from server.identity.schemas import In, Out
from server.seals.schemas import ApprovalRule

MAX_STROKES: Final = 200
"""Imprints one request may ask for; a token counts up to 255 on the wire and a keeper's day is shorter."""


class PageCheckMode(StrEnum):
    BEFORE = "before"
    AFTER = "after"
    NONE = "none"


class Stamping(StrEnum):
    """How the paper is stamped. Approvers agree to it; it is part of the canonical request."""

    PAGE_BY_PAGE = "page_by_page"  # each page is compared before its imprint
    CONTINUOUS = "continuous"  # press after press without a comparison
    STRADDLE = "straddle"  # across the edges of fanned-out pages; the cover is compared first
    VOUCHER = "voucher"  # also while headquarters cannot be reached, then without a comparison


UNCHECKED: Final = frozenset({Stamping.CONTINUOUS, Stamping.VOUCHER})
"""Ways in which nothing is compared before the press: a person decides afterwards."""


class SealForm(StrEnum):
    """What the approvers agree to: imprints on paper, an electronic seal on the PDF, or both."""

    PAPER = "paper"
    ELECTRONIC = "electronic"
    BOTH = "both"


class PlaceIn(In):
    """The middle of the seal, from the page's top-left corner."""

    page: int = Field(ge=1)
    x_mm: float = Field(ge=0, le=1700)
    y_mm: float = Field(ge=0, le=1700)


class RequestIn(In):
    """What a requester fills in; the document came before."""

    seal_id: UUID
    title: str = Field(min_length=1, max_length=200)
    reason: str = Field(default="", max_length=1000)
    places: tuple[PlaceIn, ...] = Field(min_length=1, max_length=100)
    copies: int = Field(default=1, ge=1, le=50)
    spares: int = Field(default=1, ge=0, le=5)
    page_check: PageCheckMode = PageCheckMode.BEFORE
    stamping: Stamping = Stamping.PAGE_BY_PAGE
    first_page: int | None = Field(default=None, ge=1)  # of a straddle: the cover
    last_page: int | None = Field(default=None, ge=2)
    bound: bool = False  # stapled or bound: the page lies curled
    sweep: bool = False  # leaf through the whole document under the camera first
    form: SealForm = SealForm.PAPER  # an electronic seal stands at the first place
    not_before: datetime | None = None
    expires_at: datetime | None = None  # None: seven days from now
    device_id: str | None = Field(default=None, max_length=12)
    amount: str = Field(default="", max_length=60)
    counterparty: str = Field(default="", max_length=200)
    keeper_id: UUID | None = None


class DecisionIn(In):
    """`digest` is the request as the approver saw it; the password is typed again for this step."""

    approve: bool
    digest: str = Field(pattern="^[0-9a-f]{64}$")
    comment: str = Field(default="", max_length=1000)
    password: SecretStr = Field(max_length=200)


class ReasonIn(In):
    reason: str = Field(min_length=3, max_length=500)


class DocumentRead(Out):
    digest: HexBytes
    original_digest: HexBytes
    pages: int
    title: str
    has_text: bool
    sizes_mm: tuple[tuple[float, float], ...]
    warnings: tuple[str, ...]


class DecisionRead(Out):
    id: UUID
    revision: int
    approver_id: UUID
    approver_name: str
    stage: int
    approved: bool
    comment: str
    method: str
    created_at: datetime
    voided_at: datetime | None
    request_digest: HexBytes
    leaf_hash: HexBytes


class StageRead(Out):
    """One rung of the ladder: who has decided, and whether it is this stage's turn."""

    name: str
    quorum: int
    decided: int
    complete: bool
    open: bool


class RequestRead(Out):
    id: UUID
    tenant_id: UUID
    branch_path: str
    short: str  # SR-2026-0007
    state: State
    revision: int
    seal_id: UUID
    seal_name: str
    document_digest: HexBytes
    pages: int
    title: str
    reason: str
    places: tuple[PlaceIn, ...]
    copies: int
    spares: int
    strokes: int  # imprints asked for, without spares; none for an electronic seal alone
    page_check: PageCheckMode
    stamping: Stamping
    first_page: int | None
    last_page: int | None
    bound: bool
    sweep: bool  # asked by the requester
    leaf_through: bool  # asked, or required by the seal's rule
    form: SealForm
    not_before: datetime | None
    expires_at: datetime
    device_id: str | None
    amount: str
    counterparty: str
    requester_id: UUID
    requester_name: str
    keeper_id: UUID | None
    keeper_name: str | None
    policy_version: int | None
    rule: ApprovalRule | None
    digest: HexBytes | None
    created_at: datetime
    submitted_at: datetime | None
    approved_at: datetime | None
    closed_at: datetime | None
    closing_reason: str
    decisions: tuple[DecisionRead, ...] = ()
    stages: tuple[StageRead, ...] = ()


class MayDecideRead(Out):
    """Whether the person who looks may decide now; else why not."""

    allowed: bool
    stage: int | None = None
    refusal: Refusal | None = None


class Inbox(Out):
    needs_you: tuple[RequestRead, ...]
    waiting: tuple[RequestRead, ...]
    done: tuple[RequestRead, ...]


class ScanRead(Out):
    id: UUID
    device_id: str
    branch_path: str
    photo_digest: HexBytes
    created_at: datetime
    used_at: datetime | None


class ScanMade(Out):
    scan_id: UUID
