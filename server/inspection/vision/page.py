"""Is this the approved page? A photo of the tray against the rendered original.

Rules: the page must be found (ORB, 50 key points in one plane), whole, sharp and large enough; then every glyph of the
text layer must correlate with the photo, no digit may fit better as another digit, and no ink may be added or gone.
Red ink counts as paper. What lies within 4 mm of the paper's edge is not searched for added ink.
We compare content: the finding says "same content", never "same sheet".
"""

import time
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from server.inspection.vision import gate
from server.inspection.vision.align import Matrix, Pairs, Warp, bent, cubic, features, matched, plane_of, project
from server.inspection.vision.approved import ApprovedPage, Grid, Mode, PreparedPage, WordBox, prepare
from server.inspection.vision.decode import decode, red_channel
from server.inspection.vision.differences import Spot, box_of, judge, of_ink, of_text
from server.inspection.vision.finding import Answer, Box, Difference, PageFinding, Reason
from server.inspection.vision.ink import EDGE_MM, Density, density
from server.inspection.vision.letters import Comparison, softened, softness, word_shifts
from server.inspection.vision.spine import unbent

__all__ = [
    "Answer",
    "ApprovedPage",
    "Difference",
    "PageFinding",
    "PreparedPage",
    "WordBox",
    "compare_page",
    "prepare",
]

MIN_INLIERS: Final = 50
"""Key points in one plane: 106 for the true page and 22 for the runner-up in the median of 26 queries of 100 pages."""
BINDING_MM: Final = 16.0
"""Wire, thread and holes lie in this inner strip of a bound page: ink that was added there is said to be not judged."""
CORNER_MM: Final = 20.0
"""A staple through the upper corner by the spine may cover print."""
_LEAST_INLIERS: Final = 16
_MOST_DIFFERENCES: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    matrix: Matrix
    pairs: Pairs
    inliers: int
    dpi: float
    turn: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Expected:
    """What the caller knows about the sheet."""

    marks: tuple[Box, ...]
    bound: bool


def compare_page(
    approved: ApprovedPage | PreparedPage,
    photo_jpeg: bytes,
    *,
    mode: Mode,
    known_marks: tuple[Box, ...] = (),
    bound: bool = False,
) -> PageFinding:
    """The finding for one photo (JPEG or PNG bytes, grey or colour, at 140 dpi or more on the paper).

    Pass a `PreparedPage` to spare the approved side's work. `known_marks` are boxes in approved pixels where added ink
    is expected, such as the trace code of an earlier stroke on this page. `bound`: the left edge is held by a spine or
    a staple, so the page's bend is undone, and what wire and thread can cover is said to be not judged. Never raises on
    bad bytes.
    """
    start = time.perf_counter()
    page = approved if isinstance(approved, PreparedPage) else prepare(approved, modes=(mode,))
    image = decode(photo_jpeg)
    if image is None:
        return _finding(Answer.DOUBTFUL, "undecodable", start)
    photo = red_channel(image)
    found, inliers = _locate(page, photo)
    if found is None:
        refusal = gate.unfound(photo)
        return _finding(refusal.answer, refusal.reason, start, inliers=inliers)
    return _compare(page.grids[mode], photo, found, _Expected(marks=known_marks, bound=bound), start)


def _locate(page: PreparedPage, photo: NDArray[np.uint8]) -> tuple[_Found | None, int]:
    seen = features(photo)
    pairs = matched(page.features, seen)
    matrix, inliers = plane_of(pairs, tolerance_px=max(1.5, 2.5 * max(photo.shape) / 1333))
    # A page with little print has few key points; a third of them must then agree.
    enough = max(_LEAST_INLIERS, min(MIN_INLIERS, len(page.features.points) // 3))
    shape = (page.approved.image.shape[0], page.approved.image.shape[1])
    if matrix is None or inliers < enough or not gate.plausible(matrix, shape):
        return None, inliers
    middle = np.array([[shape[1] / 2, shape[0] / 2], [shape[1] / 2 + 1, shape[0] / 2]])
    here, right = project(matrix, middle)
    turn = float(np.degrees(np.arctan2(right[1] - here[1], right[0] - here[0])))
    dpi = gate.resolution(matrix, shape, page.approved.dpi)
    return _Found(matrix=matrix, pairs=pairs, inliers=inliers, dpi=dpi, turn=turn), inliers


def _compare(grid: Grid, photo: NDArray[np.uint8], found: _Found, expected: _Expected, start: float) -> PageFinding:
    warp = _laid_over(grid, photo, found, bound=expected.bound)
    map_x, map_y = warp.maps()
    covered = gate.coverage(_photo_quads(grid.words, warp), (photo.shape[0], photo.shape[1]))
    flat = np.asarray(cv2.remap(photo, map_x, map_y, cv2.INTER_LINEAR), np.uint8)
    seen = density(flat, grid.dpi)
    refusal = _unusable(grid, found, covered, seen)
    if refusal is not None:
        return _finding(refusal.answer, refusal.reason, start, found=found, covered=covered)
    spots, unjudged = _spots(grid, seen, _inside(grid, map_x, map_y, photo.shape, expected.marks))
    hidden = [spot for spot in spots if expected.bound and _under_wire(spot, grid.dpi)]
    spots = [spot for spot in spots if spot not in hidden]
    answer, reason = judge(spots)
    if spots and _glare(spots, flat, grid.dpi):
        answer, reason = Answer.DOUBTFUL, "glare"
    spots.sort(key=lambda s: (s.strong, s.score), reverse=True)
    differences = tuple(_difference(s, warp, grid.scale) for s in spots[:_MOST_DIFFERENCES])
    dim = [spot.box for spot in hidden] + [box_of(grid.words[word]) for word in unjudged]
    boxes = tuple(_approved_box(box, grid.scale) for box in dim[:_MOST_DIFFERENCES])
    return _finding(answer, reason, start, found=found, covered=covered, differences=differences, unjudged=boxes)


def _laid_over(grid: Grid, photo: NDArray[np.uint8], found: _Found, *, bound: bool) -> Warp:
    """From the grid to the photo: by the plane and the paper's bend."""
    back = (1 / grid.scale - 1) / 2
    shrink = np.array([[1 / grid.scale, 0, back], [0, 1 / grid.scale, back], [0, 0, 1.0]])
    matrix = found.matrix @ shrink
    if not bound:
        return bent(matrix, grid.ink, photo, dpi=grid.dpi)
    here, there = found.pairs
    shape = (grid.ink.shape[0], grid.ink.shape[1])
    flat = Warp(matrix=matrix, shape=shape, bend=np.zeros((10, 2)), terms=cubic)
    return unbent(flat, ((here + 0.5) * grid.scale - 0.5, there), grid.ink, photo, dpi=grid.dpi)


def _unusable(grid: Grid, found: _Found, covered: float, seen: Density) -> gate.Refusal | None:
    if found.dpi < gate.MIN_DPI:
        return gate.Refusal(answer=Answer.DOUBTFUL, reason="low_resolution")
    if covered < 1.0:
        return gate.Refusal(answer=Answer.DOUBTFUL, reason="cut_off")
    if gate.sharpness(grid.ink, seen, grid.words) < gate.MIN_SHARPNESS:
        return gate.Refusal(answer=Answer.DOUBTFUL, reason="too_blurred")
    return None


def _spots(grid: Grid, seen: Density, inside: NDArray[np.uint8]) -> tuple[list[Spot], list[int]]:
    shifts, _ = word_shifts(softened(grid.ink, 0.6), seen, grid.words)
    soft = softened(grid.ink, softness(grid.ink, seen, grid.words))
    comparison = Comparison(soft, seen, grid.glyphs, grid.masks, shifts[grid.glyphs.word])
    spots, unjudged = of_text(grid, comparison, seen)
    extra = grid.extra_ink(seen, inside)
    missing = grid.missing_ink(seen, inside)
    spots += of_ink(missing, "missing", dpi=grid.dpi, known=spots)
    return spots + of_ink(extra, "extra", dpi=grid.dpi, known=[]), unjudged


def _under_wire(spot: Spot, dpi: int) -> bool:
    """Whether a difference lies where a bound page has its thread or its staple."""
    x0, y0, x1, y1 = (side / dpi * 25.4 for side in spot.box)
    in_corner = (x0 + x1) / 2 < CORNER_MM and (y0 + y1) / 2 < CORNER_MM
    return in_corner or (spot.kind == "extra" and x1 < BINDING_MM)


def _glare(spots: list[Spot], flat: NDArray[np.uint8], dpi: int) -> bool:
    """Whether all that is gone or differs lies where the light has burnt the photo out."""
    lost = [_whole(s.box) for s in spots if s.kind != "extra"]
    burnt = gate.burnt(flat, dpi) if lost else None
    return burnt is not None and all(float(burnt[y0:y1, x0:x1].mean()) > 0.15 for x0, y0, x1, y1 in lost)


def _inside(
    grid: Grid, map_x: NDArray[np.float32], map_y: NDArray[np.float32], shape: tuple[int, ...], marks: tuple[Box, ...]
) -> NDArray[np.uint8]:
    """255 where the grid may be searched for ink: in the photo, off the paper's edge, outside the known marks."""
    across = cv2.inRange(map_x, 1.0, float(shape[1] - 2))
    inside = np.asarray(cv2.bitwise_and(across, cv2.inRange(map_y, 1.0, float(shape[0] - 2))), np.uint8)
    edge = round(EDGE_MM / 25.4 * grid.dpi)
    inside[:edge] = inside[-edge:] = 0
    inside[:, :edge] = inside[:, -edge:] = 0
    for mark in marks:
        x0, y0, x1, y1 = (max(0, round(v * grid.scale)) for v in mark)
        inside[y0:y1, x0:x1] = 0
    return inside


def _photo_quads(words: NDArray[np.float64], warp: Warp) -> NDArray[np.float64]:
    corners = words[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 2)
    return warp.photo_points(corners).reshape(-1, 4, 2)


def _whole(box: Box) -> tuple[int, int, int, int]:
    return int(box[0]), int(box[1]), int(box[2]) + 1, int(box[3]) + 1


def _difference(spot: Spot, warp: Warp, scale: float) -> Difference:
    quad = _photo_quads(np.array([spot.box]), warp)[0]
    low, high = quad.min(axis=0), quad.max(axis=0)
    return Difference(
        kind=spot.kind,
        box=_approved_box(spot.box, scale),
        box_photo=(float(low[0]), float(low[1]), float(high[0]), float(high[1])),
        score=round(spot.score, 4),
        text=spot.text,
    )


def _approved_box(box: Box, scale: float) -> Box:
    x0, y0, x1, y1 = (v / scale for v in box)
    return x0, y0, x1, y1


def _finding(
    answer: Answer,
    reason: Reason,
    start: float,
    *,
    found: _Found | None = None,
    inliers: int = 0,
    covered: float = 0.0,
    differences: tuple[Difference, ...] = (),
    unjudged: tuple[Box, ...] = (),
) -> PageFinding:
    return PageFinding(
        answer=answer,
        reason=reason,
        inliers=found.inliers if found else inliers,
        coverage=covered,
        dpi=found.dpi if found else 0.0,
        orientation_deg=found.turn if found else 0.0,
        differences=differences,
        unjudged=unjudged,
        homography=found.matrix.tolist() if found else None,
        ms=(time.perf_counter() - start) * 1e3,
    )
