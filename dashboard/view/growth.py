"""How the ledger grew, as a picture: bars for entries a day, a line for the size of the tree. Pure geometry."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from server.ledger.browsing import Day

WIDTH: Final = 720
HEIGHT: Final = 260
LEFT: Final = 64
RIGHT: Final = 64
TOP: Final = 16
BOTTOM: Final = 32
"""Of the SVG's own units; margins hold the numbers of the axes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    day: date
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """`line`: points of the tree's size; `most` and `low`..`high` are the ends of the two scales."""

    bars: tuple[Bar, ...]
    line: str
    most: int
    low: int
    high: int
    busiest: Day

    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = WIDTH - RIGHT
    top: int = TOP
    foot: int = HEIGHT - BOTTOM


def plot(days: Sequence[Day]) -> Plot:
    """`days`: at least one, oldest first."""
    most = max(1, *(day.added for day in days))
    low, high = days[0].size - days[0].added, max(days[-1].size, 1)
    step = (WIDTH - LEFT - RIGHT) / len(days)
    tall = HEIGHT - TOP - BOTTOM
    bars = []
    points = []
    for number, day in enumerate(days):
        height = tall * day.added / most
        x = LEFT + step * number
        bars.append(
            Bar(
                day=day.day,
                x=round(x + step * 0.12, 1),
                y=round(TOP + tall - height, 1),
                width=round(step * 0.76, 1),
                height=round(height, 1),
            )
        )
        share = (day.size - low) / max(1, high - low)
        points.append(f"{x + step / 2:.1f},{TOP + tall * (1 - share):.1f}")
    busiest = max(days, key=lambda day: day.added)
    return Plot(bars=tuple(bars), line=" ".join(points), most=most, low=low, high=high, busiest=busiest)
