"""The text layer of a document as lines, for people who do not look at pictures."""

from typing import Any, Final

from server.core.runtime import Workers

TIMEOUT_S: Final = 20.0


def page_texts(workers: Workers, data: bytes, *, pages: int) -> list[list[str]]:
    """Lines of each page; an empty list for a page without text.

    Raises: WorkerTimeout, WorkerCrashed.
    """
    function: Any = "server.eseals.pages:page_lines"  # by name: the web process need not load PDFium
    return [workers.call(function, data, page, timeout_s=TIMEOUT_S) for page in range(pages)]
