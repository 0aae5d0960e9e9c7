"""What goes in and out of the business step: an order, what was made of it, an electronic seal to read."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field, PlainSerializer

from server.identity.schemas import In, Out

HexBytes = Annotated[bytes, PlainSerializer(bytes.hex, return_type=str, when_used="json")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The facts of an approved request, told by whoever stands above and has checked that it is approved."""

    tenant_id: UUID
    branch_path: str
    request_id: UUID
    request_name: str  # SR-2026-0007, as people know it; readers of the PDF see it
    title: str
    seal_id: UUID
    document_digest: bytes
    page: int  # from 1
    x_mm: float  # middle of the seal from the page's top-left corner
    y_mm: float
    ordered_by: UUID | None  # None: the server itself


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A sealed file that is not on record yet. It leaves the process only after `keep`."""

    eseal_id: UUID
    order: Order
    data: bytes
    level: str
    certificate: bytes  # DER
    trace_code: bytes
    sealed_at: datetime


class EsealRead(Out):
    id: UUID
    tenant_id: UUID
    branch_path: str
    request_id: UUID
    seal_id: UUID
    document_digest: HexBytes
    sealed_digest: HexBytes
    level: str
    certificate_serial: str
    trace_code: HexBytes
    code_hash: HexBytes
    short_code: str
    sealed_at: datetime
    leaf_hash: HexBytes
    withdrawn_at: datetime | None
    withdrawn_because: str


class WithdrawIn(In):
    reason: str = Field(min_length=3, max_length=500)
