"""The one way a business step writes its entry into the ledger."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from sqlmodel import Session

from firmware_protocol.purposes import Purpose
from server.core.runtime import Runtime
from server.jobs import service as jobs
from server.ledger import service as ledger
from server.ledger.entry_codec import ref_strings
from server.ledger.entry_types import EntryType

__all__ = ["EntryType", "record", "ref_strings"]


_SHOWN: Final = frozenset(
    {EntryType.SEAL_REGISTERED, EntryType.SEAL_STATE, EntryType.ESEAL_ISSUED, EntryType.CODE_WITHDRAWN}
)
"""Entries that change what strangers see: the worker then writes a new snapshot for the public pages."""


def record(
    db: Session,
    run: Runtime,
    entry_type: EntryType,
    *,
    tenant_id: UUID,
    branch_path: str,
    refs: Mapping[str, object],
    public: Mapping[str, object] | None = None,
    private: Mapping[str, object] | None = None,
) -> bytes:
    """Sign and queue an entry in the caller's transaction; returns its leaf hash (32 bytes).

    `private` values become salted commitments: names, titles and amounts go there, never into `public`.
    """
    entry = ledger.record(
        db,
        key=run.keys.signer(Purpose.ENTRY),
        entry_type=entry_type,
        refs=refs,
        public=public or {},
        private=private or {},
        tenant_id=tenant_id,
        branch_path=branch_path,
        now=run.now(),
        rng=run.rng,
        clock=run.clock,
    )
    if entry_type in _SHOWN:
        jobs.enqueue(db, "public.snapshot", {}, now=run.now())
    return entry.leaf_hash
