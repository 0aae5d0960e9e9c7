"""Seals: registering them, their heads, their state and their approval rule. Each step is an entry in the ledger."""

import hashlib
from typing import Final
from uuid import UUID

from sqlmodel import Session

from firmware_protocol import cbor
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.identity import entries
from server.identity import service as identity
from server.identity.entries import EntryType
from server.jobs import service as jobs
from server.seals import store
from server.seals.errors import HeadTaken, NoSuchHead, NoSuchSeal, NotAPicture, SealDestroyed, SealNotActive
from server.seals.models import Head, Seal
from server.seals.schemas import ApprovalRule, HeadRead, SealRead, SealState

MAX_ARTWORK: Final = 4_000_000
RULE_JOB: Final = "seals.rule_set"
"""The job that tells devices of a new rule: devices are a matter of an upper slice. `tenant` and `seal` as UUIDs."""
_PNG: Final = b"\x89PNG\r\n\x1a\n"


def register_seal(
    db: Session,
    run: Runtime,
    scope: Scope,
    *,
    name: str,
    legal_name: str,
    branch_path: str,
    artwork_png: bytes,
    diameter_mm: float,
    rule: ApprovalRule,
) -> SealRead:
    """A new active seal with its specimen. Raises: NoSuchBranch, NotAPicture."""
    identity.check_branch(db, scope, branch_path)
    if not artwork_png.startswith(_PNG) or len(artwork_png) > MAX_ARTWORK:
        raise NotAPicture
    row = Seal(
        id=run.new_id(),
        created_at=run.now(),
        tenant_id=scope.tenant_id,
        branch_path=branch_path,
        name=name,
        legal_name=legal_name,
        artwork_digest=run.blobs.put(db, artwork_png, "image/png", scope=scope),
        diameter_mm=diameter_mm,
        state=SealState.ACTIVE.value,
        rule=rule.to_json(),
    )
    db.add(row)
    db.flush()
    _record(
        db,
        run,
        row,
        EntryType.SEAL_REGISTERED,
        public={
            "form": "round",
            "artwork_digest": row.artwork_digest,
            "since_ms": row.created_at,
            "branch": branch_path,
            "tenant": row.tenant_id,
        },
        private={"name": name, "by": scope.person_id},
    )
    _record_rule(db, run, scope, row, rule)
    return read(row)


def set_rule(db: Session, run: Runtime, scope: Scope, *, seal_id: UUID, rule: ApprovalRule) -> SealRead:
    """The rule for requests submitted from now on; those under way keep theirs. Raises: NoSuchSeal."""
    row = _seal(db, scope, seal_id, lock=True)
    row.rule, row.rule_version = rule.to_json(), row.rule_version + 1
    db.add(row)
    db.flush()
    _record_rule(db, run, scope, row, rule)
    jobs.enqueue(db, RULE_JOB, {"tenant": str(row.tenant_id), "seal": str(row.id)}, now=run.now())
    return read(row)


def set_state(db: Session, run: Runtime, scope: Scope, *, seal_id: UUID, state: SealState, reason: str) -> SealRead:
    """Raises: NoSuchSeal, SealDestroyed."""
    row = _seal(db, scope, seal_id, lock=True)
    if row.state == SealState.DESTROYED.value:
        raise SealDestroyed
    row.state = state.value
    db.add(row)
    db.flush()
    _record(
        db,
        run,
        row,
        EntryType.SEAL_STATE,
        public={"state": state, "since_ms": run.now()},
        private={"reason": reason, "by": scope.person_id},
    )
    return read(row)


def register_head(db: Session, run: Runtime, scope: Scope, *, seal_id: UUID, head_id: bytes) -> HeadRead:
    """Raises: NoSuchSeal, HeadTaken."""
    row = _seal(db, scope, seal_id)
    if store.head(db, head_id) is not None or head_id == bytes(8):
        raise HeadTaken
    head = Head(
        id=run.new_id(),
        created_at=run.now(),
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        seal_id=row.id,
        head_id=head_id,
    )
    db.add(head)
    db.flush()
    _record(
        db,
        run,
        row,
        EntryType.HEAD_REGISTERED,
        public={"head_id": head_id, "diameter_mm": round(row.diameter_mm), "artwork_digest": row.artwork_digest},
        private={"by": scope.person_id},
        head_id=head_id,
    )
    return HeadRead.model_validate(head)


def seal(db: Session, scope: Scope, seal_id: UUID) -> SealRead:
    """Raises: NoSuchSeal."""
    return read(_seal(db, scope, seal_id))


def seals(db: Session, scope: Scope) -> list[SealRead]:
    return [read(row) for row in store.seals(db, scope)]


def usable_seals(db: Session, scope: Scope) -> list[SealRead]:
    """Active seals that a requester in this branch may ask for: its own and those of the branches above and below."""
    above = store.usable(db, scope.tenant_id, identity.ancestors(scope.branch_path))
    rows = {row.id: row for row in (*above, *store.seals(db, scope))}
    return [read(row) for row in rows.values() if row.state == SealState.ACTIVE.value]


def usable_seal(db: Session, scope: Scope, seal_id: UUID) -> SealRead:
    """Raises: NoSuchSeal, SealNotActive."""
    row = store.seal(db, Scope.system(scope.tenant_id), seal_id)
    if row is None or not (row.branch_path in identity.ancestors(scope.branch_path) or scope.covers(row.branch_path)):
        raise NoSuchSeal
    if row.state != SealState.ACTIVE.value:
        raise SealNotActive(state=row.state)
    return read(row)


def seal_of_head(db: Session, tenant_id: UUID, head_id: bytes) -> SealRead:
    """The seal whose imprint this head leaves. Raises: NoSuchHead."""
    head = store.head(db, head_id)
    if head is None or head.tenant_id != tenant_id:
        raise NoSuchHead
    return read(_seal(db, Scope.system(tenant_id), head.seal_id))


def head_known(db: Session, tenant_id: UUID, head_id: bytes) -> bool:
    head = store.head(db, head_id)
    return head is not None and head.tenant_id == tenant_id


def heads(db: Session, scope: Scope, seal_id: UUID) -> list[HeadRead]:
    return [HeadRead.model_validate(head) for head in store.heads(db, scope, seal_id)]


def specimen(db: Session, run: Runtime, scope: Scope, seal_id: UUID) -> bytes:
    """The artwork as PNG. Raises: NoSuchSeal."""
    row = _seal(db, scope, seal_id)
    return run.blobs.get(db, row.artwork_digest, scope=Scope.system(row.tenant_id))


def read(row: Seal) -> SealRead:
    return SealRead.model_validate(row)


def rule_digest(rule: ApprovalRule) -> bytes:
    """SHA-256 of the rule's deterministic CBOR; what the ledger shows of it, since it names people."""
    return hashlib.sha256(cbor.encode(rule.to_json())).digest()


def _seal(db: Session, scope: Scope, seal_id: UUID, *, lock: bool = False) -> Seal:
    row = store.seal(db, scope, seal_id, lock=lock)
    if row is None:
        raise NoSuchSeal
    return row


def _record_rule(db: Session, run: Runtime, scope: Scope, row: Seal, rule: ApprovalRule) -> None:
    _record(
        db,
        run,
        row,
        EntryType.APPROVAL_RULE_SET,
        public={
            "policy_version": row.rule_version,
            "stages": [stage.quorum for stage in rule.stages],
            "requester_may_keep": rule.requester_may_keep,
            "rule_digest": rule_digest(rule),
        },
        private={"rule": rule.to_json(), "by": scope.person_id},
    )


def _record(
    db: Session,
    run: Runtime,
    row: Seal,
    entry_type: EntryType,
    *,
    public: dict[str, object],
    private: dict[str, object] | None = None,
    head_id: bytes | None = None,
) -> None:
    entries.record(
        db,
        run,
        entry_type,
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        refs={"seal": str(row.id)} | ({"head": head_id.hex()} if head_id else {}),
        public=public,
        private=private,
    )
