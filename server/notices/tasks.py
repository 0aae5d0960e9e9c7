"""Jobs of `server.notices`, done by the worker role."""

from typing import Any
from uuid import UUID

from server.core.runtime import Runtime
from server.events import changes
from server.events.spoiling import TELL
from server.jobs.service import handler
from server.notices import service


@handler(TELL)
def tell_spoiled(run: Runtime, payload: dict[str, Any]) -> None:
    """A sheet was cancelled: its approvers hear of it."""
    changes.watch(run)
    with run.db.write() as db:
        service.tell_spoiled(
            db,
            run,
            tenant_id=UUID(payload["tenant"]),
            token_id=bytes.fromhex(payload["token"]),
            stroke=payload["stroke"],
        )
