"""Where things lie. Points are (x, y) in mm, y down; a positive angle turns clockwise as seen by the camera."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, hypot, radians, sin

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Pose:
    """How a sheet lies on the tray: turned by `rotation_deg`, its top left corner at `origin_mm`."""

    rotation_deg: float
    origin_mm: tuple[float, float]

    def to_tray(self, point: tuple[float, float]) -> tuple[float, float]:
        c, s = cos(radians(self.rotation_deg)), sin(radians(self.rotation_deg))
        x, y = point
        return self.origin_mm[0] + c * x - s * y, self.origin_mm[1] + s * x + c * y

    def to_sheet(self, point: tuple[float, float]) -> tuple[float, float]:
        c, s = cos(radians(self.rotation_deg)), sin(radians(self.rotation_deg))
        x, y = point[0] - self.origin_mm[0], point[1] - self.origin_mm[1]
        return c * x + s * y, -s * x + c * y

    def matrix(self) -> NDArray[np.float64]:
        """Sheet mm to tray mm, shape (3, 3)."""
        c, s = cos(radians(self.rotation_deg)), sin(radians(self.rotation_deg))
        return np.array([[c, -s, self.origin_mm[0]], [s, c, self.origin_mm[1]], [0.0, 0.0, 1.0]])

    def turned_about(
        self, pivot_tray: tuple[float, float], rotation_deg: float, *, dx: float = 0, dy: float = 0
    ) -> "Pose":
        """The same sheet turned further about a point of the tray, then shifted."""
        fixed = self.to_sheet(pivot_tray)
        turned = Pose(rotation_deg=self.rotation_deg + rotation_deg, origin_mm=(0.0, 0.0)).to_tray(fixed)
        return Pose(
            rotation_deg=self.rotation_deg + rotation_deg,
            origin_mm=(pivot_tray[0] - turned[0] + dx, pivot_tray[1] - turned[1] + dy),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """An upright rectangle on the tray, mm."""

    left: float
    top: float
    width: float
    height: float

    @property
    def centre(self) -> tuple[float, float]:
        return self.left + self.width / 2, self.top + self.height / 2

    def corners(self) -> list[tuple[float, float]]:
        right, bottom = self.left + self.width, self.top + self.height
        return [(self.left, self.top), (right, self.top), (right, bottom), (self.left, bottom)]

    def distance_to(self, point: tuple[float, float]) -> float:
        """Shortest way from `point` to the box; 0 inside."""
        dx = max(self.left - point[0], 0.0, point[0] - self.left - self.width)
        dy = max(self.top - point[1], 0.0, point[1] - self.top - self.height)
        return hypot(dx, dy)


def all_inside(points: Sequence[tuple[float, float]], *, size_mm: tuple[float, float], margin_mm: float) -> bool:
    """Whether every point keeps `margin_mm` from the edges of a rectangle from (0, 0) to `size_mm`."""
    width, height = size_mm
    return all(margin_mm <= x <= width - margin_mm and margin_mm <= y <= height - margin_mm for x, y in points)
