"""The label as the printer is about to make it, for the keeper who looks for it and sticks it on. Pure."""

from gateway.labels.errors import LabelUnprintable
from gateway.labels.label import Label
from gateway.labels.layout import (
    BAR_DOTS,
    CANCELLED,
    DOTS_PER_MODULE,
    HEIGHT_DOTS,
    LINE_DOTS,
    MARK_FROM_DOTS,
    MARK_TO_DOTS,
    WIDTH_DOTS,
    Layout,
    lay_out,
)
from gateway.session_page.screen import Preview
from gateway.session_page.translation import Translate


def preview(label: Label, _: Translate) -> Preview | None:
    """None for a label that no printer could print. A second print says so on itself; this shows the first."""
    try:
        layout = lay_out(label, print_number=1)
    except LabelUnprintable:
        return None
    middle = layout.text_dots // 2
    lines = tuple(
        (middle, layout.text_from + round((number + 0.8) * LINE_DOTS), line) for number, line in enumerate(layout.lines)
    )
    beside = ((MARK_FROM_DOTS + BAR_DOTS + MARK_TO_DOTS - BAR_DOTS) // 2, HEIGHT_DOTS // 2, CANCELLED)
    return Preview(
        width=WIDTH_DOTS,
        height=HEIGHT_DOTS,
        path=_path(layout),
        lines=lines,
        beside=beside if label.cancelled else None,
        words=_("The label: a QR code, and below it %(code)s") % {"code": label.short_code},
    )


def _path(layout: Layout) -> str:
    """One square for each dark module, and the bars."""
    left, top = layout.code_at
    squares = [
        f"M{left + column * DOTS_PER_MODULE} {top + row * DOTS_PER_MODULE}h{DOTS_PER_MODULE}v{DOTS_PER_MODULE}"
        f"h-{DOTS_PER_MODULE}z"
        for row, modules in enumerate(layout.modules)
        for column, dark in enumerate(modules)
        if dark
    ]
    bars = [f"M{x} {y}h{wide}v{high}h-{wide}z" for x, y, wide, high in layout.bars]
    return "".join(squares + bars)
