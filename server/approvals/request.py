"""The canonical request: the one byte string that stands for everything an approver agreed to.

Deterministic CBOR (RFC 8949 section 4.2.1) with numbered fields; docs/entries.md lists them. Change a field and the
digest changes, so every decision over it is void.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from firmware_protocol import cbor

REQUEST_TAG: Final = "seal/1/request"
DECISION_TAG: Final = "seal/1/decision"


@dataclass(frozen=True, slots=True, kw_only=True)
class CanonicalPlace:
    """One imprint on a page; the middle of the seal from the page's top-left corner, in tenths of a millimetre."""

    page: int
    x: int
    y: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Canonical:
    tenant_id: UUID
    request_id: UUID
    revision: int
    seal_id: UUID
    heads: tuple[bytes, ...]  # ids of the heads that may leave this imprint, sorted
    documents: tuple[bytes, ...]  # SHA-256 of each PDF as stored
    pages: int
    places: tuple[CanonicalPlace, ...]
    copies: int
    spares: int
    mode: str
    not_before: datetime | None
    expires_at: datetime
    place: str  # branch path, or the device asked for
    amount: str
    counterparty: str
    requester_id: UUID
    keeper_id: UUID | None
    policy_version: int
    title: str
    reason: str
    form: str  # paper, electronic, both
    stamping: str  # page_by_page, continuous, straddle, voucher
    first_page: int | None  # of a straddle
    last_page: int | None
    bound: bool
    sweep: bool  # the document must be leafed through first


def encode(request: Canonical) -> bytes:
    return cbor.encode(
        {
            0: REQUEST_TAG,
            1: request.tenant_id.bytes,
            2: request.request_id.bytes,
            3: request.revision,
            4: request.seal_id.bytes,
            5: list(request.heads),
            6: list(request.documents),
            7: request.pages,
            8: [[place.page, place.x, place.y] for place in request.places],
            9: request.copies,
            10: request.spares,
            11: request.mode,
            12: None if request.not_before is None else int(request.not_before.timestamp()),
            13: int(request.expires_at.timestamp()),
            14: request.place,
            15: request.amount,
            16: request.counterparty,
            17: request.requester_id.bytes,
            18: None if request.keeper_id is None else request.keeper_id.bytes,
            19: request.policy_version,
            20: request.title,
            21: request.reason,
            22: request.form,
            23: [request.stamping, request.first_page, request.last_page, request.bound, request.sweep],
        }
    )


def digest(canonical: bytes) -> bytes:
    """What a decision signs and a token's request is known by."""
    return hashlib.sha256(canonical).digest()


def decision_payload(*, request_digest: bytes, approver_id: UUID, stage: int, nonce: bytes, approved: bool) -> bytes:
    """What an approver says yes or no to. A passkey's challenge is the SHA-256 of this."""
    return cbor.encode([DECISION_TAG, request_digest, approver_id.bytes, stage, nonce, approved])


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedStroke:
    """One stroke of the plan; `index` counts from 0 over the whole request."""

    index: int
    copy: int
    page: int
    x_mm: float
    y_mm: float


def stroke_plan(places: Sequence[tuple[int, float, float]], copies: int) -> tuple[PlannedStroke, ...]:
    """Each copy in turn, and on each copy every place in the order given."""
    return tuple(
        PlannedStroke(index=(copy - 1) * len(places) + number, copy=copy, page=page, x_mm=x_mm, y_mm=y_mm)
        for copy in range(1, copies + 1)
        for number, (page, x_mm, y_mm) in enumerate(places)
    )
