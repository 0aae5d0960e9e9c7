"""The text layer of a document as lines, for people who do not look at pictures."""

from functools import lru_cache
from typing import Any, Final

from server.core.runtime import Workers

DPI: Final = 72
"""Words come with their boxes in pixels at this resolution: one pixel is one point."""
TIMEOUT_S: Final = 20.0


def page_texts(workers: Workers, data: bytes, *, pages: int) -> list[list[str]]:
    """Lines of each page, top to bottom; an empty list for a page without text.

    Raises: WorkerTimeout, WorkerCrashed.
    """
    return [_lines_of(workers, data, page) for page in range(pages)]


@lru_cache(maxsize=64)
def _lines_of(workers: Workers, data: bytes, page: int) -> list[str]:
    return lines(workers.call("server.eseals.pages:page_words", data, page, DPI, timeout_s=TIMEOUT_S))


def lines(words: list[Any]) -> list[str]:
    """Words that overlap in height stand on one line, left to right."""
    rows: list[list[Any]] = []
    for word in sorted(words, key=lambda word: (word[4] + word[2]) / 2):
        middle = (word[2] + word[4]) / 2
        if rows and rows[-1][0][2] <= middle <= rows[-1][0][4]:
            rows[-1].append(word)
        else:
            rows.append([word])
    return [" ".join(word[0] for word in sorted(row, key=lambda word: word[1])) for row in rows]
