"""Seals and strokes for the inspection tests: artwork drawn from a name, pressed on a page with uneven red ink."""

from typing import Any

import cv2
import numpy as np
import segno
from numpy.typing import NDArray

from tests.inspection.paper import DPI, MM

Image = NDArray[np.uint8]
DIAMETER_MM = 40.0
_SIZE = 800


def artwork(
    name: str = "ALDERETE INDUSTRIAL SA", *, star: float = 1.0, spread_deg: float = 300.0, radius: float = 0.76
) -> Image:
    """A round company seal (800, 800), black on white: two rings, the name along the rim, a star, a number."""
    image = np.full((_SIZE, _SIZE), 255, np.uint8)
    centre = _SIZE // 2
    cv2.circle(image, (centre, centre), centre - 14, 0, 22, cv2.LINE_AA)
    cv2.circle(image, (centre, centre), round(centre * 0.56), 0, 6, cv2.LINE_AA)
    for i, letter in enumerate(name):
        turn = np.deg2rad(-spread_deg / 2 + spread_deg * (i + 0.5) / len(name))
        _letter(image, letter, centre, radius * centre, turn)
    points = [
        (
            centre + star * 130 * (1 if k % 2 == 0 else 0.42) * np.sin(np.pi * k / 5),
            centre - 20 - star * 130 * (1 if k % 2 == 0 else 0.42) * np.cos(np.pi * k / 5),
        )
        for k in range(10)
    ]
    cv2.fillPoly(image, [np.array(points, np.int32)], 0, cv2.LINE_AA)
    cv2.putText(image, "No 0713", (centre - 105, centre + 165), cv2.FONT_HERSHEY_SIMPLEX, 1.7, 0, 6, cv2.LINE_AA)
    return image


def _letter(image: Image, letter: str, centre: int, radius: float, turn: float) -> None:
    tile = np.full((140, 140), 255, np.uint8)
    (width, height), _ = cv2.getTextSize(letter, cv2.FONT_HERSHEY_DUPLEX, 2.6, 7)
    cv2.putText(tile, letter, (70 - width // 2, 70 + height // 2), cv2.FONT_HERSHEY_DUPLEX, 2.6, 0, 7, cv2.LINE_AA)
    matrix = cv2.getRotationMatrix2D((70, 70), -np.degrees(turn), 1.0)
    matrix[:, 2] += [centre + radius * np.sin(turn) - 70, centre - radius * np.cos(turn) - 70]
    laid = cv2.warpAffine(tile, matrix, (_SIZE, _SIZE), borderValue=255)
    np.minimum(image, laid, out=image)


def press(
    sheet: Image,
    art: Image,
    *,
    at_mm: tuple[float, float],
    turn_deg: float,
    seed: int,
    diameter_mm: float = DIAMETER_MM,
) -> Image:
    """`sheet` (BGR at `DPI`) with a red imprint multiplied on: ink gain, uneven pressure, mottling, speckle."""
    rng = np.random.default_rng(seed)
    side = round(diameter_mm * 1.1 * MM)
    x, y = round(at_mm[0] * MM - side / 2), round(at_mm[1] * MM - side / 2)
    scale = diameter_mm * MM / _SIZE
    matrix = cv2.getRotationMatrix2D((_SIZE / 2, _SIZE / 2), -turn_deg, scale)
    matrix[:, 2] += [at_mm[0] * MM - x - _SIZE / 2, at_mm[1] * MM - y - _SIZE / 2]
    ink = 1 - art.astype(np.float32) / 255
    ink = cv2.warpAffine(cv2.GaussianBlur(ink, (0, 0), 0.6 / scale), matrix, (side, side))
    ink = np.clip((ink - 0.5) * 2.2 + 0.5 + rng.uniform(-0.1, 0.2), 0, 1)
    ys, xs = (np.mgrid[0:side, 0:side].astype(np.float32) - side / 2) / side
    angle = rng.uniform(0, 2 * np.pi)
    ink *= np.clip(0.85 + 0.35 * (xs * np.cos(angle) + ys * np.sin(angle)), 0.3, 1.0)
    ink *= 0.7 + 0.3 * cv2.resize(rng.random((side // 6, side // 6)).astype(np.float32), (side, side))
    ink *= cv2.resize((rng.random((side // 2, side // 2)) > 0.04).astype(np.float32), (side, side))
    colour = np.array([70, 50, 215], np.float32) / 255
    out = sheet.copy()
    place = out[y : y + side, x : x + side]
    place[:] = np.clip(place * (1 - ink[..., None] * (1 - colour)), 0, 255)
    return out


def print_code(sheet: Image, payload: str | bytes, *, at_mm: tuple[float, float], module_mm: float = 0.42) -> Image:
    """`sheet` with a black QR code on it, as the coder prints it."""
    code: Any = segno.make(payload, error="m", micro=False)
    cells = np.array([[not cell for cell in row] for row in code.matrix_iter(border=4)], np.uint8) * 255
    side = round(len(cells) * module_mm * DPI / 25.4)
    out = sheet.copy()
    x, y = round(at_mm[0] * MM), round(at_mm[1] * MM)
    laid = cv2.resize(cells, (side, side), interpolation=cv2.INTER_AREA)
    target = out[y : y + side, x : x + side]
    np.minimum(target, laid if target.ndim == 2 else laid[..., None], out=target)
    return out
