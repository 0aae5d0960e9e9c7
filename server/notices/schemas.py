"""What goes out of `server.notices`."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from server.identity.schemas import Out


class NoticeKind(StrEnum):
    SPOILED_SHEET = "spoiled_sheet"


class NoticeRead(Out):
    """`text` is in the language of the reader; it names the request, nothing of its contents."""

    id: UUID
    kind: NoticeKind
    request_id: UUID
    short: str
    detail: dict[str, Any]
    text: str
    created_at: datetime
    read_at: datetime | None
