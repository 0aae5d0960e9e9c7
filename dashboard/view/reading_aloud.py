"""The text layer of a document as lines, for people who do not look at pictures."""

from functools import lru_cache
from typing import Final

from server.core.runtime import Workers

TIMEOUT_S: Final = 20.0


def page_texts(workers: Workers, data: bytes, *, pages: int) -> list[list[str]]:
    """Lines of each page; an empty list for a page without text.

    Raises: WorkerTimeout, WorkerCrashed.
    """
    return [_lines_of(workers, data, page) for page in range(pages)]


@lru_cache(maxsize=64)
def _lines_of(workers: Workers, data: bytes, page: int) -> list[str]:
    lines: list[str] = workers.call("server.eseals.pages:page_lines", data, page, timeout_s=TIMEOUT_S)  # type: ignore[arg-type]
    return lines
