"""The new imprint against the specimen: exactly one, and does it come from this head?

Only what is red after and was not red before is looked at, so an imprint that was printed on the page proves nothing.
The specimen is laid on by a similarity (shift, turn, one scale), never by a free warp: a re-engraved seal shows in the
shifts of its parts. A finding says "consistent with the specimen"; stroke width is out of scope, ink gain is as large.
"""

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from server.inspection.vision.align import Matrix, features, plane, project
from server.inspection.vision.artwork import Artwork, artwork
from server.inspection.vision.decode import decode, red_channel
from server.inspection.vision.finding import Box
from server.inspection.vision.grade import Grade, Inking, grade, inking
from server.inspection.vision.ink import Density, components, density
from server.inspection.vision.overlay import Fit, fit

Pixels = NDArray[np.uint8]

COARSE_PX_MM: Final = 3.0
FINE_PX_MM: Final = 8.0
_RED: Final = 0.12
_MISSING_SHARE: Final = 0.08
"""Less new red than this share of the specimen's ink is no imprint, unless it is a pale one (`_is_pale`)."""
_PALE_TONE: Final = 0.05
_PALE_SCORE: Final = 0.5
_PALE_AGREEING: Final = 0.6
"""A pale imprint all over the specimen still agrees with it part by part; empty paper and old imprints do not."""
_EXTRA_SHARE: Final = 0.12
"""More new red than this share outside the imprint's circle is a second imprint, whole or in part."""
_DOUBLE_INK: Final = 1.2
"""This much more ink inside one circle than the specimen, seen alike, has: two strokes over each other. With the
simulator's camera and three seals, single strokes measured 0.95 to 0.99, double ones 0.5 mm apart 1.30."""
_BESIDE_SHARE: Final = 0.12
"""More ink inside the circle but beside the specimen's lines than this share of them: two strokes over each other."""
_FAINT_SHARE: Final = 0.4
_UNLIKE: Final = 0.35
_LIKE: Final = 0.6
_FEW: Final = 0.4
_MOST: Final = 0.8
_SHIFTED_MM: Final = 0.23
_SHIFT_DOUBT_MM: Final = 0.14
"""Shifts of parts: genuine strokes measured 0.05 to 0.08 mm, re-engravings 0.25 to 0.6."""
_SCALE_DOUBT: Final = 0.035
_PART_DOUBT: Final = 0.2
"""One part that agrees this much less than the rest: one other letter measured 0.18 to 0.27, genuine up to 0.14."""


class ImprintAnswer(StrEnum):
    """What the after-photo shows, beside the before-photo and the specimen."""

    GENUINE = "genuine"
    DIFFERENT = "different"
    AMBIGUOUS = "ambiguous"
    MISSING = "missing"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImprintFinding:
    """`centre_mm` from the top left of the page (of the photo without a page homography); `rotation_deg` clockwise.

    `reason` is ok, undecodable, no_colour, no_imprint, extra_imprint, shape, shifted, size, part or faint. `score` is
    the median correlation of the specimen's parts, `weakest` that of the worst two, `agreeing` the share of parts that
    correlate, `scale` the imprint's size over the specimen's, `displacement_mm` the root mean square of the parts'
    shifts after the fit, `ink_share` the new red over the specimen's ink, `tone` and `coverage` how dark the ink is
    beside a fresh imprint and how much of the specimen has it, `box` the imprint in after-photo pixels, `grade` how it
    came out, for the keeper who may stamp again.
    """

    answer: ImprintAnswer
    reason: str
    new_imprints: int
    centre_mm: tuple[float, float]
    rotation_deg: float
    score: float
    weakest: float
    agreeing: float
    scale: float
    displacement_mm: float
    ink_share: float
    tone: float
    coverage: float
    box: Box | None
    grade: Grade
    ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Photos:
    """Both photos and the way from millimetres to the pixels of each."""

    before: Pixels
    after: Pixels
    to_before: Matrix
    to_after: Matrix
    size_mm: tuple[float, float]

    def new_red(self, px_mm: float, corner: tuple[float, float], size_mm: tuple[float, float]) -> Density:
        """Red ink that came between the photos, 0 to 1, over a rectangle of the page at `px_mm`."""
        size = (max(8, round(size_mm[0] * px_mm)), max(8, round(size_mm[1] * px_mm)))
        grid = np.array([[1 / px_mm, 0, corner[0]], [0, 1 / px_mm, corner[1]], [0, 0, 1.0]])
        was = _redness(self.before, self.to_before @ grid, size, px_mm)
        now = _redness(self.after, self.to_after @ grid, size, px_mm)
        reach = 2 * round(0.3 * px_mm) + 1
        return np.asarray(np.clip(now - cv2.dilate(was, np.ones((reach, reach), np.uint8)), 0, 1), np.float32)

    def black(self, px_mm: float, corner: tuple[float, float], size_mm: tuple[float, float]) -> Density:
        """Print that is dark in red light on the after-photo, 0 or 1, over a rectangle of the page at `px_mm`."""
        size = (max(8, round(size_mm[0] * px_mm)), max(8, round(size_mm[1] * px_mm)))
        grid = np.array([[1 / px_mm, 0, corner[0]], [0, 1 / px_mm, corner[1]], [0, 0, 1.0]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        view = cv2.warpPerspective(red_channel(self.after), self.to_after @ grid, size, flags=flags)
        return np.asarray(density(np.asarray(view, np.uint8), px_mm * 25.4) > 0.4, np.float32)


def check_imprint(
    *,
    specimen: Pixels,
    specimen_diameter_mm: float,
    before_jpeg: bytes,
    after_jpeg: bytes,
    px_per_mm: float,
    page_homography: list[list[float]] | None = None,
    page_dpi: float = 200.0,
    still: bool = False,
) -> ImprintFinding:
    """The finding for one stroke.

    `specimen` is the artwork, grey (H, W), BGR or BGRA, ink dark or coloured on white or transparent. `px_per_mm` is
    the photos' scale. With `page_homography` (approved pixels at `page_dpi` to before-photo pixels, a `PageFinding` has
    it) the perspective is taken out first and `centre_mm` is a place on the page. `still`: a clean sheet that was not
    touched between the photos; it has nothing to be aligned by. Never raises on bad photo bytes.
    """
    start = time.perf_counter()
    before, after = decode(before_jpeg), decode(after_jpeg)
    if before is None or after is None:
        return _finding(ImprintAnswer.AMBIGUOUS, "undecodable", start)
    if before.ndim != 3 or after.ndim != 3:
        return _finding(ImprintAnswer.AMBIGUOUS, "no_colour", start)
    photos = _placed(before, after, px_per_mm, page_homography, page_dpi, still=still)
    art = artwork(specimen, specimen_diameter_mm)
    coarse = photos.new_red(COARSE_PX_MM, (0.0, 0.0), photos.size_mm)
    count, centre, share = _count(coarse, art)
    found, seen, at = _laid_on(photos, art, centre)
    box = _box(photos.to_after, at, art.diameter_mm / 2)
    if count == 0:
        if not _is_pale(found, seen):
            return _finding(ImprintAnswer.MISSING, "no_imprint", start, ink_share=share)
        answer, reason, count = ImprintAnswer.AMBIGUOUS, "faint", 1
    else:
        answer, reason = _verdict(found, share)
        if count == 1 and answer is not ImprintAnswer.DIFFERENT and found.beside > _BESIDE_SHARE:
            count = 2
        if count > 1:
            answer, reason = ImprintAnswer.EXTRA, "extra_imprint"
    return _finding(answer, reason, start, count=count, at=at, found=found, ink_share=share, box=box, seen=seen)


def _laid_on(photos: _Photos, art: Artwork, centre: tuple[float, float]) -> tuple[Fit, Inking, tuple[float, float]]:
    """The specimen laid on the new ink around `centre` (mm), the ink there, and its centre on the page in mm."""
    side = 1.35 * art.diameter_mm
    corner = (centre[0] - side / 2, centre[1] - side / 2)
    red, black = (look(FINE_PX_MM, corner, (side, side)) for look in (photos.new_red, photos.black))
    found = fit(art, red, black, px_mm=FINE_PX_MM)
    turns = np.deg2rad(found.rotation_deg)
    turn = found.scale * np.array([[np.cos(turns), -np.sin(turns)], [np.sin(turns), np.cos(turns)]])
    seen = inking(art, red, black, px_mm=FINE_PX_MM, centre_mm=found.centre_mm, turn=turn)
    return found, seen, (corner[0] + found.centre_mm[0], corner[1] + found.centre_mm[1])


def _is_pale(found: Fit, seen: Inking) -> bool:
    """Too little ink to count as inked, and yet this seal."""
    return seen.tone > _PALE_TONE and found.score > _PALE_SCORE and found.agreeing > _PALE_AGREEING


def _placed(
    before: Pixels,
    after: Pixels,
    px_per_mm: float,
    homography: list[list[float]] | None,
    page_dpi: float,
    *,
    still: bool,
) -> _Photos:
    first, second = red_channel(before), red_channel(after)
    moved, inliers = None, 0
    if not still:
        tolerance = max(1.5, 2.0 * max(first.shape) / 1333)
        moved, inliers = plane(features(first), features(second), tolerance_px=tolerance)
    if moved is None or inliers < 30:
        moved = np.eye(3)  # a page with hardly any print, before a fixed camera
    if homography is None:
        to_before = np.diag([px_per_mm, px_per_mm, 1.0])
        size_mm = (first.shape[1] / px_per_mm, first.shape[0] / px_per_mm)
    else:
        page_px = page_dpi / 25.4
        to_before = np.array(homography, np.float64) @ np.diag([page_px, page_px, 1.0])
        corners = np.array([[0, 0], [first.shape[1], 0], [first.shape[1], first.shape[0]], [0, first.shape[0]]], float)
        far = project(np.asarray(np.linalg.inv(to_before), np.float64), corners).max(axis=0)
        size_mm = (float(np.clip(far[0], 20, 450)), float(np.clip(far[1], 20, 450)))
    return _Photos(before=before, after=after, to_before=to_before, to_after=moved @ to_before, size_mm=size_mm)


def _redness(photo: Pixels, grid: Matrix, size: tuple[int, int], px_mm: float) -> Density:
    """How much darker green and blue are than red, each against its own paper."""
    flags = cv2.INTER_AREA | cv2.WARP_INVERSE_MAP
    view = np.asarray(cv2.warpPerspective(photo, grid, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.uint8)
    cold = cv2.addWeighted(view[..., 0], 0.5, view[..., 1], 0.5, 0)
    dpi = px_mm * 25.4
    red = density(np.ascontiguousarray(view[..., 2]), dpi)
    return np.asarray(np.clip(density(np.asarray(cold, np.uint8), dpi) - red, 0, 1), np.float32)


def _count(red: Density, art: Artwork) -> tuple[int, tuple[float, float], float]:
    """(number of new imprints, centre of the best in mm, new red ink over the specimen's)."""
    px = COARSE_PX_MM
    wanted = art.inked_mm2(px, _RED)
    ink = cv2.morphologyEx((red > _RED).astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8))
    share = float(ink.sum()) / px**2 / wanted
    pattern = art.averaged(px)
    half = pattern.shape[0] // 2
    wide = cv2.copyMakeBorder(cv2.GaussianBlur(red, (0, 0), 1.0), half, half, half, half, cv2.BORDER_CONSTANT)
    # Not the normalised kind: it is undefined on empty paper.
    _, _, _, (x, y) = cv2.minMaxLoc(cv2.matchTemplate(wide, pattern, cv2.TM_CCOEFF))
    if share < _MISSING_SHARE:
        return 0, (x / px, y / px), share
    rest = ink.copy()
    cv2.circle(rest, (x, y), round(0.53 * art.diameter_mm * px), 0, -1)
    others, areas = components(_joined(rest, round(3 * px)), least_px=1)
    plenty = _EXTRA_SHARE * wanted * px**2
    further = sum(int(rest[y0:y1, x0:x1].sum()) > plenty for x0, y0, x1, y1 in others) if len(areas) else 0
    inside = (float(ink.sum()) - float(rest.sum())) / px**2 / wanted
    if further == 0 and inside > _DOUBLE_INK:
        further = 1
    return 1 + further, (x / px, y / px), share


def _joined(mask: NDArray[np.uint8] | cv2.typing.MatLike, reach: int) -> NDArray[np.bool_]:
    return np.asarray(cv2.dilate(mask, np.ones((reach, reach), np.uint8)) > 0)


def _verdict(found: Fit, share: float) -> tuple[ImprintAnswer, str]:
    faint = share < _FAINT_SHARE
    if found.score < _UNLIKE or found.agreeing < _FEW:
        return (ImprintAnswer.AMBIGUOUS, "faint") if faint else (ImprintAnswer.DIFFERENT, "shape")
    if found.displacement_mm > _SHIFTED_MM:
        return (ImprintAnswer.AMBIGUOUS if faint else ImprintAnswer.DIFFERENT), "shifted"
    doubts = (
        (found.displacement_mm > _SHIFT_DOUBT_MM, "shifted"),
        (abs(found.scale - 1) > _SCALE_DOUBT, "size"),
        (found.weakest < found.score - _PART_DOUBT, "part"),
        (faint or found.score < _LIKE or found.agreeing < _MOST, "faint"),
    )
    return next(((ImprintAnswer.AMBIGUOUS, why) for doubt, why in doubts if doubt), (ImprintAnswer.GENUINE, "ok"))


def _box(to_after: Matrix, centre: tuple[float, float], radius: float) -> Box:
    turns = np.linspace(0, 2 * np.pi, 24)
    ring = project(to_after, np.stack([centre[0] + radius * np.cos(turns), centre[1] + radius * np.sin(turns)], axis=1))
    low, high = ring.min(axis=0), ring.max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])


def _finding(
    answer: ImprintAnswer,
    reason: str,
    start: float,
    *,
    count: int = 0,
    at: tuple[float, float] = (0.0, 0.0),
    found: Fit | None = None,
    ink_share: float = 0.0,
    box: Box | None = None,
    seen: Inking = Inking(),  # noqa: B008 - frozen
) -> ImprintFinding:
    return ImprintFinding(
        answer=answer,
        reason=reason,
        new_imprints=count,
        centre_mm=at,
        rotation_deg=found.rotation_deg if found else 0.0,
        score=found.score if found else 0.0,
        weakest=found.weakest if found else 0.0,
        scale=found.scale if found else 0.0,
        agreeing=found.agreeing if found else 0.0,
        displacement_mm=found.displacement_mm if found else 0.0,
        ink_share=ink_share,
        tone=seen.tone,
        coverage=seen.coverage,
        box=box,
        grade=grade(answer=answer, seen=seen),
        ms=(time.perf_counter() - start) * 1e3,
    )
