"""What the document gate found: crosses from the sandboxed worker to the server, which loads no PDF library for it."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["pdf", "jpeg", "png"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentInfo:
    """`page_sizes_mm` are (width, height) as seen, after rotation.

    `warnings` are codes: what normalising removes (see `ActiveContent`), `trailing_data`, `leading_data`, `repaired`.
    """

    kind: Kind
    pages: int
    title: str
    page_sizes_mm: tuple[tuple[float, float], ...]
    has_text: bool
    warnings: tuple[str, ...]
