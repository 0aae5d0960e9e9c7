"""What goes out of `server.notices`."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from server.identity.schemas import Out


class NoticeKind(StrEnum):
    SPOILED_SHEET = "spoiled_sheet"
    PAGE_WAITS = "page_waits"  # a keeper waits for an answer about a doubtful page, and says so


class NoticeRead(Out):
    """`text` is in the language of the reader; it names the request, nothing of its contents. `link`: where to look."""

    id: UUID
    kind: NoticeKind
    request_id: UUID
    short: str
    detail: dict[str, Any]
    text: str
    link: str
    created_at: datetime
    read_at: datetime | None


class RemindedOut(Out):
    """Who was reminded of a doubtful page, now or earlier; empty when there is nobody else who may answer."""

    names: tuple[str, ...]
