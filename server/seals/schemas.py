"""What goes in and out of `server.seals`."""

from datetime import datetime
from enum import StrEnum
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, field_serializer, model_validator

from server.core.scope import Role
from server.identity.schemas import BranchPath, In, Out


class SealState(StrEnum):
    ACTIVE = "active"
    SUSPENDED = "suspended"
    DISPUTED = "disputed"
    DESTROYED = "destroyed"


class Stage(BaseModel):
    """One step of the approval: `quorum` different people, from `people` or from all who hold `role` in the branch."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, max_length=80)
    role: Role = Role.APPROVER
    people: tuple[UUID, ...] = ()
    quorum: int = Field(default=1, ge=1, le=20)

    @model_validator(mode="after")
    def _quorum_can_be_met(self) -> Self:
        if self.people and self.quorum > len(set(self.people)):
            raise ValueError("more decisions are asked for than there are people to decide")
        return self


class ApprovalRule(BaseModel):
    """The stages in order, whether the requester may also hold the paper, and what stamping with this seal needs."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    stages: tuple[Stage, ...] = Field(min_length=1, max_length=8)
    requester_may_keep: bool = False
    max_offline_strokes: int = Field(default=0, ge=0, le=20)  # without headquarters; 0: never
    sweep_required: bool = False  # every document is leafed through under the camera first
    sweep_from_pages: int = Field(default=0, ge=0, le=1000)  # documents this long are; 0: none for their length

    def needs_sweep(self, pages: int) -> bool:
        return self.sweep_required or 0 < self.sweep_from_pages <= pages

    def to_json(self) -> dict[str, Any]:
        return self.model_dump(mode="json")


class SealIn(In):
    name: str = Field(min_length=1, max_length=80)
    legal_name: str = Field(min_length=1, max_length=200)
    branch_path: BranchPath
    diameter_mm: float = Field(gt=5, le=80)
    rule: ApprovalRule


class StateIn(In):
    state: SealState
    reason: str = Field(min_length=3, max_length=500)


class HeadIn(In):
    head_id: str = Field(pattern="^[0-9a-f]{16}$")


class SealRead(Out):
    id: UUID
    tenant_id: UUID
    branch_path: str
    name: str
    legal_name: str
    artwork_digest: bytes
    diameter_mm: float
    state: SealState
    rule: ApprovalRule
    rule_version: int
    created_at: datetime

    @field_serializer("artwork_digest", when_used="json")
    def _hex(self, digest: bytes) -> str:
        return digest.hex()


class HeadRead(Out):
    seal_id: UUID
    head_id: bytes
    branch_path: str

    @field_serializer("head_id", when_used="json")
    def _hex(self, head_id: bytes) -> str:
        return head_id.hex()
