"""Jobs of `server.archive`, done by the worker role."""

import contextlib
from typing import Any, Final
from uuid import UUID

from server.archive import service
from server.archive.errors import NotFinished
from server.core.runtime import Runtime
from server.jobs.service import handler

FILE: Final = "archive.file"


@handler(FILE)
def file_request(run: Runtime, payload: dict[str, Any]) -> None:
    """A stroke was looked at: {"tenant", "request"} as UUIDs. Does nothing while strokes are missing."""
    with contextlib.suppress(NotFinished):
        service.file_request(run, tenant_id=UUID(payload["tenant"]), request_id=UUID(payload["request"]))
