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
    SPOILED = "spoiled"  # pressed, then cancelled on paper: the place is free again, the use is gone


class CaseState(StrEnum):
    WAITING = "waiting"
    ANYWAY = "anyway"  # stamp it: a second person says why
    NO = "no"
    OVER = "over"  # the time ran out, or another photo took its place


class LabelOutcome(StrEnum):
    PRINTED = "printed"
    STUCK = "stuck"
    SPOILED = "spoiled"


class NoteKind(StrEnum):
    STOPPED = "stopped"  # why the job was stopped
    EXTRA_STROKE = "extra_stroke"  # what happened when there was an imprint that nobody approved
    KEPT_FAINT = "kept_faint"  # a poor imprint was kept
    LEFT_OVER = "left_over"  # somebody still has to deal with an imprint
    SETTLED = "settled"  # and did


class TokenIn(In):
    request_id: UUID
    nonce: Annotated[Hex, Field(min_length=32, max_length=32)]
    operator_id: UUID


class VoucherIn(In):
    request_id: UUID
    operator_id: UUID


class LabelIn(In):
    token_id: Annotated[Hex, Field(min_length=32, max_length=32)]
    stroke: int = Field(ge=1, le=255)
    label_id: str = Field(min_length=1, max_length=64)
    printer: str = Field(max_length=120)
    outcome: LabelOutcome


class NoteIn(In):
    note_id: UUID
    kind: NoteKind
    text: str = Field(min_length=1, max_length=600)
    at_ms: int = Field(ge=0, le=253_402_300_799_999)
    token_id: Annotated[Hex, Field(min_length=32, max_length=32)] | None = None
    stroke: int | None = Field(default=None, ge=1, le=65535)
    seq: int | None = Field(default=None, ge=1, le=2**32 - 1)
    operator_id: UUID | None = None


class NoteRead(Out):
    device_id: str
    kind: NoteKind
    text: str
    request_id: UUID | None
    stroke: int | None
    seq: int | None
    written_at: datetime
    created_at: datetime
    written_by: UUID | None
    by: str
    leaf_hash: HexBytes


class TokenOut(Out):
    token_id: HexBytes
    strokes: int
    window_s: int
    mode: str
    sweep_pages: int  # to be leafed through before the first imprint; 0: none


class JobPage(Out):
    stroke: int
    page: int
    copy_number: int = Field(serialization_alias="copy")
    mm: tuple[float, float] | None = None  # width and height of the approved page; None: not known


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
    mode: str  # single, batch, continuous, straddle, voucher
    page_check: str  # before, after, none
    sweep: bool
    bound: bool
    pages_total: int
    spares_left: int


class PermitDifference(Out):
    """`approved` and `photo` name the two enlarged pictures of `crops/{finding_id}/{name}`, where there are any."""

    kind: str
    box: tuple[float, float, float, float]
    text: str
    approved: str | None = None
    photo: str | None = None


class PermitOut(Out):
    """`answer`: match, doubtful or wrong. The permit itself goes down by MQTT.

    `case_id`: a second person looks at this doubtful page now. `stage` of a straddle says what this photo was taken
    as: the cover (a match: fan the pages out now, no permit yet) or the fan.
    """

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
    case_id: str = ""
    stage: str = ""


class CaseOut(Out):
    """A case as the gateway asks for it."""

    state: CaseState
    by: str
    reason: str
    asked_ms: int


class CaseRead(Out):
    id: UUID
    tenant_id: UUID
    branch_path: str
    request_id: UUID
    device_id: str
    token_id: HexBytes
    stroke: int
    page: int
    finding_id: UUID
    keeper_id: UUID
    state: CaseState
    created_at: datetime
    ends_at: datetime
    answered_at: datetime | None
    answered_by: UUID | None
    reason: str
    leaf_hash: HexBytes | None


class SweptOut(Out):
    """One leafed page: which page of the document it is (0: none), and what is still missing."""

    page: int
    answer: str
    reason: str
    text: str
    seen: int
    of: int
    missing: tuple[int, ...]


class SpoiledOut(Out):
    accepted: bool
    reason: str
    text: str
    strokes_left: int


class LabelRead(Out):
    token_id: HexBytes
    stroke: int
    label_id: str
    printer: str
    outcome: LabelOutcome
    created_at: datetime
    seen_at: datetime | None


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
    mode: str
    first_page: int | None
    last_page: int | None
    sweep: bool
    voucher_counter: int | None
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
