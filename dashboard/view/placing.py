"""Where the seal goes on a page: taps on a picture to millimetres and back. Pure."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from server.approvals.schemas import PlaceIn, RequestRead
from server.core.errors import BadInput
from server.core.i18n import N_

SHOWN_PX: Final = 340
"""Width at which a page is shown for placing, in CSS pixels: a tap on `<input type=image>` is counted in these."""
_USUAL: Final = (0.714, 0.791)
"""Share of width and height where a company seal usually goes: beside the signatures at the foot of the last page."""

Sizes = Sequence[tuple[float, float]]


class BadTap(BadInput):
    title = N_("The place was not understood")
    happened = N_("The place must be a point on one of the pages.")
    safe = N_("Your draft is unchanged.")
    next_step = N_("Tap the page where the seal should go, or type millimetres from its top-left corner.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    number: int  # from 1, in the order of the request
    x_mm: float
    y_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One page with the seals asked for on it."""

    page: int
    width_mm: float
    height_mm: float
    radius_mm: float
    marks: tuple[Mark, ...]

    @property
    def height_px(self) -> int:
        return round(SHOWN_PX * self.height_mm / self.width_mm)


def usual_place(sizes: Sizes, *, page: int | None = None) -> PlaceIn:
    """On the last page, or on `page` where the document has it."""
    at = page if page is not None and page <= len(sizes) else len(sizes)
    width, height = sizes[at - 1]
    return PlaceIn(page=at, x_mm=round(width * _USUAL[0], 1), y_mm=round(height * _USUAL[1], 1))


def sheets(request: RequestRead, sizes: Sizes, *, diameter_mm: float) -> list[Sheet]:
    return [
        Sheet(
            page=page,
            width_mm=width,
            height_mm=height,
            radius_mm=diameter_mm / 2,
            marks=tuple(
                Mark(number=number, x_mm=place.x_mm, y_mm=place.y_mm)
                for number, place in enumerate(request.places, start=1)
                if place.page == page
            ),
        )
        for page, (width, height) in enumerate(sizes, start=1)
    ]


def moved(places: Sequence[PlaceIn], fields: Mapping[str, str], sizes: Sizes) -> tuple[PlaceIn, ...]:
    """The places after one tap: one seal a page; a tap on a page puts it there or moves it, `remove` takes it off.

    Raises: BadTap.
    """
    page = _number(fields, "page")
    if page != int(page) or not 1 <= page <= len(sizes):
        raise BadTap
    others = [place for place in places if place.page != page]
    if "remove" in fields:
        return tuple(others) or tuple(places)
    width, height = sizes[int(page) - 1]
    if "at.x" in fields:
        scale = width / SHOWN_PX
        x_mm, y_mm = _number(fields, "at.x") * scale, _number(fields, "at.y") * scale
    else:
        x_mm, y_mm = _number(fields, "x_mm"), _number(fields, "y_mm")
    if not (0 <= x_mm <= width and 0 <= y_mm <= height):
        raise BadTap
    here = PlaceIn(page=int(page), x_mm=round(x_mm, 1), y_mm=round(y_mm, 1))
    return tuple(sorted([*others, here], key=lambda place: place.page))


def _number(fields: Mapping[str, str], name: str) -> float:
    try:
        number = float(fields[name].replace(",", "."))
    except (KeyError, ValueError) as error:
        raise BadTap from error
    if not math.isfinite(number):
        raise BadTap
    return number
