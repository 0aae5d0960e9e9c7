"""A finding on record: its entry in the ledger and its row."""

import hashlib
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlmodel import Session

from firmware_protocol import cbor
from server.core.runtime import Runtime
from server.identity import entries
from server.identity.entries import EntryType
from server.inspection.models import Finding
from server.inspection.schemas import DifferenceRead, FindingRead
from server.inspection.words import text_of


@dataclass(frozen=True, slots=True, kw_only=True)
class StrokeAt:
    """Which stroke a photo belongs to, as the token's plan says."""

    tenant_id: UUID
    branch_path: str
    request_id: UUID
    seal_id: UUID
    device_id: str
    token_id: bytes
    stroke: int
    page: int
    document_digest: bytes

    @property
    def refs(self) -> dict[str, object]:
        return {
            "request": self.request_id,
            "seal": self.seal_id,
            "device": self.device_id,
            "token": self.token_id,
            "document": self.document_digest,
        }


def keep(
    db: Session,
    run: Runtime,
    at: StrokeAt,
    *,
    kind: str,
    answer: str,
    reason: str,
    photo_digest: bytes,
    event: bytes,
    report: dict[str, Any],
    differences: list[dict[str, Any]],
) -> FindingRead:
    finding_id = run.new_id()
    report, differences = _jsonable(report), _jsonable(differences)
    evidence = cbor.encode(_whole_numbers([report, differences]))
    public: dict[str, object] = {
        "stroke": at.stroke,
        "page": at.page,
        "answer": answer,
        "reason": reason,
        "photo_digest": photo_digest,
        "report_digest": hashlib.sha256(evidence).digest(),
        "event": hashlib.sha256(event).digest(),
    }
    entry_type = EntryType.IMPRINT_FINDING if kind == "imprint" else EntryType.PAGE_FINDING
    leaf_hash = entries.record(
        db,
        run,
        entry_type,
        tenant_id=at.tenant_id,
        branch_path=at.branch_path,
        refs=at.refs | {"finding": finding_id, "photo": photo_digest},
        public=public,
        private={"report": evidence},
    )
    row = Finding(
        id=finding_id,
        created_at=run.now(),
        tenant_id=at.tenant_id,
        branch_path=at.branch_path,
        kind=kind,
        request_id=at.request_id,
        device_id=at.device_id,
        token_id=at.token_id,
        stroke=at.stroke,
        page=at.page,
        answer=answer,
        reason=reason,
        photo_digest=photo_digest,
        event_digest=hashlib.sha256(event).digest(),
        report=report,
        differences=differences,
        leaf_hash=leaf_hash,
    )
    db.add(row)
    db.flush()
    return read(row)


def _jsonable(value: Any) -> Any:  # noqa: ANN401 - any report
    match value:
        case dict():
            return {str(key): _jsonable(item) for key, item in value.items()}
        case list() | tuple():
            return [_jsonable(item) for item in value]
        case float():
            return round(value, 4)
        case bytes():
            return value.hex()
        case str():
            return str(value)
        case _:
            return value


def _whole_numbers(value: Any) -> Any:  # noqa: ANN401 - any report
    """Entries hold no floats: ten-thousandths instead."""
    match value:
        case dict():
            return {key: _whole_numbers(item) for key, item in value.items()}
        case list():
            return [_whole_numbers(item) for item in value]
        case float():
            return round(value * 10_000)
        case _:
            return value


def read(row: Finding) -> FindingRead:
    names = [name for name in FindingRead.model_fields if name not in {"differences", "text"}]
    return FindingRead(
        **{name: getattr(row, name) for name in names},
        differences=tuple(DifferenceRead.model_validate(difference) for difference in row.differences),
        text=text_of(row.reason),
    )
