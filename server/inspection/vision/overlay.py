"""Laying the specimen over an imprint by a similarity, and measuring what its parts do then."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from server.inspection.vision.align import Matrix, subpixel_peak
from server.inspection.vision.artwork import Artwork
from server.inspection.vision.ink import Density

_WINDOW_MM: Final = 4.0
_STRIDE_MM: Final = 2.6
_REACH_MM: Final = (1.4, 0.9, 0.7, 0.7)
"""Search of each round of the fit; re-engravings shift parts by 0.3 mm and more."""
_ANGLES: Final = 720
_AGREES: Final = 0.45
_SPREAD_MM: Final = 0.3
_INKED: Final = 0.25
_CORNER: Final = 0.12
"""A part whose structure runs in one direction only says nothing about shifts along it (a piece of the ring)."""


_COVERED: Final = 0.04
"""Share of a part under black print from which on it is left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """`centre_mm` within the view, the specimen's `rotation_deg`, `scale`; the rest as in `ImprintFinding`.

    `beside`: red ink inside the imprint's circle but away from the specimen's lines, as a share of the ink on them.
    """

    centre_mm: tuple[float, float]
    rotation_deg: float
    scale: float
    score: float
    weakest: float
    agreeing: float
    displacement_mm: float
    beside: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    places: Matrix
    shifts: Matrix
    peaks: NDArray[np.float64]
    corner: NDArray[np.bool_]


def fit(art: Artwork, red: Density, black: Density, *, px_mm: float) -> Fit:
    """The best similarity of the specimen on the new red ink `red` (S, S), which is centred on the imprint.

    Parts over `black` print (S, S) say nothing: red ink does not show on it.
    """
    side = red.shape[0]
    view = np.asarray(cv2.GaussianBlur(red, (0, 0), 0.6), np.float32)
    middle = np.array([(side - 1) / 2, (side - 1) / 2])
    best = max(_turns(art, view, px_mm), key=lambda turn: _likeness(art, view, px_mm, middle, turn))
    centre, turn, parts = _refined(art, view, black, middle, best, px_mm=px_mm)
    angle = float(np.degrees(np.arctan2(turn[1, 0], turn[0, 0])))
    place = ((float(centre[0]) + 0.5) / px_mm, (float(centre[1]) + 0.5) / px_mm)
    scale = float(np.hypot(turn[0, 0], turn[1, 0]))
    if len(parts.peaks) == 0:
        return Fit(
            centre_mm=place,
            rotation_deg=angle,
            scale=scale,
            score=0.0,
            weakest=0.0,
            agreeing=0.0,
            displacement_mm=9.0,
            beside=0.0,
        )
    clear = parts.corner & (parts.peaks > _AGREES)
    far = np.hypot(parts.shifts[clear, 0], parts.shifts[clear, 1]) / px_mm
    return Fit(
        centre_mm=place,
        rotation_deg=angle,
        scale=scale,
        score=float(np.median(parts.peaks)),
        weakest=float(np.sort(parts.peaks)[:2].mean()),
        agreeing=float((parts.peaks > _AGREES).mean()),
        displacement_mm=float(np.sqrt((far**2).mean())) if len(far) >= 4 else 9.0,
        beside=_beside(art.drawn(px_mm, side_px=side, centre=centre, turn=turn), view, px_mm),
    )


def _beside(drawn: Density, view: Density, px_mm: float) -> float:
    """Ink of a second stroke on the same place: further from the specimen's lines than ink spreads."""
    reach = 2 * round(_SPREAD_MM * px_mm) + 1
    near = cv2.dilate((drawn > 0.5).astype(np.uint8), np.ones((reach, reach), np.uint8)) > 0
    inked = view > _INKED
    on = np.count_nonzero(inked & near)
    return float(np.count_nonzero(inked & ~near)) / on if on else 0.0


def _turns(art: Artwork, view: Density, px_mm: float) -> list[Matrix]:
    """The three likeliest rotations, from the circular correlation of both in polar form."""
    side = view.shape[0]
    centre = ((side - 1) / 2, (side - 1) / 2)
    radius = art.diameter_mm / 2 * px_mm
    home = art.drawn(px_mm, side_px=side, centre=np.array(centre), turn=np.eye(2))
    ours, theirs = (
        cv2.warpPolar(v, (round(radius), _ANGLES), centre, radius, cv2.WARP_POLAR_LINEAR)[:, round(radius * 0.15) :]
        for v in (home, view)
    )
    ours, theirs = ours - ours.mean(axis=0), theirs - theirs.mean(axis=0)
    product = np.conj(np.fft.rfft(ours, axis=0)) * np.fft.rfft(theirs, axis=0)
    curve = np.fft.irfft(product.sum(axis=1), n=_ANGLES)
    turns = []
    for _ in range(3):
        best = int(np.argmax(curve))
        angle = 2 * np.pi * best / _ANGLES
        turns.append(np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]))
        curve[np.arange(best - 12, best + 13) % _ANGLES] = -np.inf
    return turns


def _likeness(art: Artwork, view: Density, px_mm: float, centre: Matrix, turn: Matrix) -> float:
    """Correlation over the whole imprint, both softened so that a millimetre of shift does not matter."""
    drawn = cv2.GaussianBlur(art.drawn(px_mm, side_px=view.shape[0], centre=centre, turn=turn), (0, 0), 0.5 * px_mm)
    reach = round(px_mm)
    inner = np.ascontiguousarray(drawn[reach:-reach:2, reach:-reach:2])
    soft = cv2.GaussianBlur(view, (0, 0), 0.5 * px_mm)[::2, ::2]
    return float(cv2.matchTemplate(np.ascontiguousarray(soft), inner, cv2.TM_CCOEFF_NORMED).max())


def _refined(
    art: Artwork, view: Density, black: Density, centre: Matrix, turn: Matrix, *, px_mm: float
) -> tuple[Matrix, Matrix, _Parts]:
    """Centre, turn and the parts as they lie after the last round."""
    parts = _Parts(places=np.zeros((0, 2)), shifts=np.zeros((0, 2)), peaks=np.zeros(0), corner=np.zeros(0, bool))
    for round_, reach in enumerate(_REACH_MM):
        drawn = art.drawn(px_mm, side_px=view.shape[0], centre=centre, turn=turn)
        parts = _measured(drawn, view, black, px_mm, round(reach * px_mm))
        good = parts.corner & (parts.peaks > (0.25 if round_ == 0 else 0.35))
        if round_ == len(_REACH_MM) - 1 or np.count_nonzero(good) < 6:
            break
        move, shift = _similarity(parts.places[good], parts.shifts[good], parts.peaks[good])
        centre = move @ centre + shift
        turn = move @ turn
        scale = float(np.hypot(turn[0, 0], turn[1, 0]))
        turn = turn * (float(np.clip(scale, 0.95, 1.05)) / scale)
    return centre, turn, parts


def _measured(drawn: Density, view: Density, black: Density, px_mm: float, reach: int) -> _Parts:
    half, stride = round(_WINDOW_MM * px_mm / 2), round(_STRIDE_MM * px_mm)
    grad_x, grad_y = cv2.Sobel(drawn, cv2.CV_32F, 1, 0), cv2.Sobel(drawn, cv2.CV_32F, 0, 1)
    rows: list[tuple[float, ...]] = []
    edge = half + reach
    for y in range(edge, drawn.shape[0] - edge, stride):
        for x in range(edge, drawn.shape[1] - edge, stride):
            cut = (slice(y - half, y + half), slice(x - half, x + half))
            part = drawn[cut]
            if not 0.06 < float(part.mean()) < 0.9 or float(part.std()) < 0.12 or float(black[cut].mean()) > _COVERED:
                continue
            around = view[y - edge : y + edge, x - edge : x + edge]
            dx, dy, peak = subpixel_peak(cv2.matchTemplate(around, part, cv2.TM_CCOEFF_NORMED))
            corner = _isotropy(grad_x[cut], grad_y[cut]) > _CORNER
            rows.append((x - 0.5, y - 0.5, dx - reach, dy - reach, peak, corner))
    table = np.array(rows, np.float64).reshape(-1, 6)
    return _Parts(places=table[:, :2], shifts=table[:, 2:4], peaks=table[:, 4], corner=table[:, 5] > 0)


def _isotropy(grad_x: cv2.typing.MatLike, grad_y: cv2.typing.MatLike) -> float:
    """Smaller over larger eigenvalue of the structure tensor: 0 for a straight edge, 1 for a corner."""
    xx, yy, xy = float((grad_x**2).sum()), float((grad_y**2).sum()), float((grad_x * grad_y).sum())
    root = np.sqrt((xx - yy) ** 2 + 4 * xy * xy)
    return float((xx + yy - root) / (xx + yy + root + 1e-9))


def _similarity(places: Matrix, shifts: Matrix, weights: NDArray[np.float64]) -> tuple[Matrix, Matrix]:
    """(2, 2) rotation times scale and (2,) shift that move `places` by `shifts`, outliers weighed down."""
    keep = weights.copy()
    ones, zeros = np.ones(len(places)), np.zeros(len(places))
    left = np.concatenate(
        [
            np.stack([places[:, 0], -places[:, 1], ones, zeros], axis=1),
            np.stack([places[:, 1], places[:, 0], zeros, ones], axis=1),
        ]
    )
    target = (places + shifts).T.reshape(-1)
    a, b, c, d = 1.0, 0.0, 0.0, 0.0
    for _ in range(5):
        weight = np.sqrt(np.r_[keep, keep])
        a, b, c, d = np.linalg.lstsq(left * weight[:, None], target * weight, rcond=None)[0]
        error = np.hypot(*(left @ np.array([a, b, c, d]) - target).reshape(2, -1))
        keep = weights / np.maximum(1.0, error / max(0.4, float(np.median(error)) * 1.5)) ** 2
    return np.array([[a, -b], [b, a]]), np.array([c, d])
