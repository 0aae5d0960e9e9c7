"""What stands where on a label of 40 x 36 mm: the QR, the short code, which imprint of how many, or how many it is for.

A label that cancels a spoiled sheet has the same code at its left and, from top to bottom beside it, the word CANCELLED
between two bars: headquarters looks for both on the photo (docs/protocol.md, section 6).
"""

from dataclasses import dataclass
from typing import Final

import segno
from segno.encoder import DataOverflowError

from gateway.labels.errors import LabelUnprintable
from gateway.labels.label import Label

DPI: Final = 300
DOTS_PER_MODULE: Final = 5
"""0.42 mm a module: what a phone reads at arm's length, and what the inline coder prints (docs/protocol.md)."""
QUIET_MODULES: Final = 4
"""White margin on each side; ISO/IEC 18004."""
LARGEST_VERSION: Final = 9
"""53 modules; with the margin 305 dots: 26 mm."""
WIDTH_DOTS: Final = 472
HEIGHT_DOTS: Final = 425
LINE_DOTS: Final = 40
"""Height of a line of text."""
ALPHANUMERIC: Final = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:")
"""What QR alphanumeric mode can hold; ISO/IEC 18004 table 5."""
TEXT: Final = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-")


CANCELLED: Final = "CANCELLED"
MARK_FROM_DOTS: Final = 376
"""31.8 mm: what lies nearer to the code than 7 mm is taken for a part of it."""
MARK_TO_DOTS: Final = 466
MARK_HEIGHT_DOTS: Final = 405
"""34 mm, from the label's upper edge."""
BAR_DOTS: Final = 14
MARK_TOP_DOTS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """`modules`: rows of 0 and 1, without margin. `lines`: text below, top to bottom. `cancelled`: the word beside."""

    modules: tuple[bytes, ...]
    lines: tuple[str, ...]
    cancelled: bool = False

    @property
    def text_dots(self) -> int:
        """Width that the code and the lines below it share."""
        return MARK_FROM_DOTS - BAR_DOTS if self.cancelled else WIDTH_DOTS

    @property
    def bars(self) -> tuple[tuple[int, int, int, int], ...]:
        """Left, top, width, height of each."""
        if not self.cancelled:
            return ()
        left = (MARK_FROM_DOTS, MARK_TO_DOTS - BAR_DOTS)
        return tuple((x, MARK_TOP_DOTS, BAR_DOTS, MARK_HEIGHT_DOTS) for x in left)

    @property
    def code_dots(self) -> int:
        """Side of the printed symbol."""
        return len(self.modules) * DOTS_PER_MODULE

    @property
    def code_at(self) -> tuple[int, int]:
        """Its top left corner, dots from the label's."""
        top = QUIET_MODULES * DOTS_PER_MODULE
        return (top if self.cancelled else (WIDTH_DOTS - self.code_dots) // 2), top

    @property
    def text_from(self) -> int:
        return self.code_at[1] + self.code_dots + QUIET_MODULES * DOTS_PER_MODULE


def lay_out(label: Label, *, print_number: int) -> Layout:
    """Raises: LabelUnprintable."""
    if not label.url or not ALPHANUMERIC.issuperset(label.url):
        raise LabelUnprintable("its address has characters that a QR code in alphanumeric mode has not")
    if not TEXT.issuperset(label.short_code):
        raise LabelUnprintable("its short code has characters that no short code has")
    try:
        symbol = segno.make_qr(label.url, error="m", mode="alphanumeric", boost_error=False)
    except DataOverflowError as error:
        raise LabelUnprintable("it is too long") from error
    if int(symbol.version) > LARGEST_VERSION:
        raise LabelUnprintable("it is too long")
    which = f"imprint {label.number} of {label.of}" if label.imprints == 1 else f"{label.imprints} imprints here"
    again = (f"PRINT {print_number}",) if print_number > 1 else ()
    return Layout(
        modules=tuple(bytes(row) for row in symbol.matrix),
        lines=(label.short_code, ", ".join((which, *again))),
        cancelled=label.cancelled,
    )
