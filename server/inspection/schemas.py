"""What goes out of `server.inspection`."""

from datetime import datetime
from typing import Any
from uuid import UUID

from server.devices.schemas import HexBytes
from server.identity.schemas import Out


class DifferenceRead(Out):
    """One place that differs. `approved` and `photo` are digests of the two enlarged pictures, where there are any."""

    kind: str
    box: tuple[float, float, float, float]  # pixels of the approved page at 200 dpi
    box_photo: tuple[float, float, float, float]
    text: str
    score: float
    approved: str | None = None
    photo: str | None = None


class ReasonText(Out):
    """A reason in the words of the current language: what happened, is my work safe, what next."""

    happened: str
    safe: str
    next: str


class FindingRead(Out):
    id: UUID
    tenant_id: UUID
    branch_path: str
    kind: str
    request_id: UUID
    device_id: str
    token_id: HexBytes
    stroke: int
    page: int
    answer: str
    reason: str
    photo_digest: HexBytes
    created_at: datetime
    differences: tuple[DifferenceRead, ...]
    report: dict[str, Any]
    leaf_hash: HexBytes
    text: ReasonText
