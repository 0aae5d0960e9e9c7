"""The camera over the tray: perspective, light, lens, sensor noise and JPEG."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from device_sim.scene.grain import NEUTRAL, add_grain, clouds, grain
from device_sim.scene.settings import SHEET_PX_PER_MM, SceneSettings
from device_sim.scene.sheet import Sheet
from device_sim.scene.strip import STRIP_MM, draw_strip, show_in_grey
from device_sim.scene.volume import draw_bent
from firmware_protocol.bulk import MAX_LOOK

TRAY_BGR: Final = (84, 80, 76)
"""The rubber mat of the tray: dark and neutral, so that paper stands out."""
GAIN_UNIT: Final = 200
"""The gain map holds 200 for 'as it is'; 8 bits keep the multiplication fast."""
RED: Final = 2
"""The channel that red ink does not darken."""
JITTER_PX: Final = 64
PREVIEW_QUALITIES: Final = (82, 74, 66, 58, 50, 42, 34, 26, 18, 10, 5)
LOOK_WIDTH: Final = 360
"""Of a look, pixels."""
LOOK_SKIPS: Final = 3
"""Every third pixel of the sensor is enough for a look."""
LOOK_QUALITIES: Final = (70, 50, 30, 10)
A4_MM: Final = (210.0, 297.0)
PREVIEW_BLURS: Final = (0.0, 1.5, 4.0, 12.0)
"""Tried in turn, pixels: after the last, hardly more than flat areas are left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Photo:
    """One shot: the colour JPEG, and a small grey preview of its red channel, from the same exposure."""

    full_jpeg: bytes
    preview_jpeg: bytes
    width: int
    height: int
    px_per_mm: float
    """Scale of the full photo at the plane of the page."""


class Camera:
    """Fixed over one tray: perspective, light and mat are drawn from `rng` once and stay."""

    def __init__(self, *, settings: SceneSettings, rng: np.random.Generator) -> None:
        self._settings = settings
        self._rng = rng
        scale = settings.px_per_mm
        self._width = round(settings.tray_mm[0] * scale)
        self._tray_height = round(settings.tray_mm[1] * scale)
        self._height = self._tray_height + round(STRIP_MM * scale)
        self._from_tray = self._perspective()
        self._empty = self._empty_tray()
        self._gain = self._light()
        self._noise = grain(
            rng, height=self._height + JITTER_PX, width=self._width + JITTER_PX, sigma=settings.noise_sigma
        )

    def compose(self, sheet: Sheet | None) -> NDArray[np.uint8]:
        """What falls on the sensor before noise: BGR, shape (height, width, 3)."""
        frame = self._empty.copy()
        if sheet is not None:
            self._cast_shadow(frame, sheet)
            self._draw(frame, sheet)
        frame = np.asarray(cv2.GaussianBlur(frame, (3, 3), 0.65), np.uint8)
        return np.asarray(cv2.multiply(frame, self._gain, scale=1 / GAIN_UNIT), np.uint8)

    def _draw(self, frame: NDArray[np.uint8], sheet: Sheet) -> None:
        to_frame = np.asarray(self._from_tray @ sheet.pose.matrix(), np.float64)
        if sheet.curl is not None:
            width, height = self._settings.tray_mm
            axis = sheet.pose.to_sheet((width / 2, height / 2))
            draw_bent(frame, sheet.image, curl=sheet.curl, to_frame=to_frame, axis=axis)
            return
        cv2.warpPerspective(
            sheet.image,
            to_frame @ np.diag([1 / SHEET_PX_PER_MM, 1 / SHEET_PX_PER_MM, 1.0]),
            (self._width, self._height),
            dst=frame,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_TRANSPARENT,
        )

    def shoot(self, composed: NDArray[np.uint8], strip: bytes) -> Photo:
        """Expose a composed frame; noise and exposure differ from shot to shot."""
        lit = composed.copy()
        draw_strip(lit, strip)
        x, y = (int(self._rng.integers(JITTER_PX)) for _ in range(2))
        noise = self._noise[y : y + self._height, x : x + self._width]
        frame = add_grain(lit, noise, exposure=float(self._rng.uniform(0.98, 1.02)))
        return Photo(
            full_jpeg=_jpeg(frame, self._settings.jpeg_quality),
            preview_jpeg=self._preview(frame),
            width=self._width,
            height=self._height,
            px_per_mm=self._settings.px_per_mm,
        )

    def glance(self, composed: NDArray[np.uint8]) -> bytes:
        """A look at a composed frame: no strip, no noise, so that the photos of a seed stay the same.

        Raises: ValueError beyond MAX_LOOK.
        """
        coarse = np.ascontiguousarray(composed[::LOOK_SKIPS, ::LOOK_SKIPS])
        size = (LOOK_WIDTH, round(LOOK_WIDTH * self._height / self._width))
        small = np.asarray(cv2.resize(coarse, size, interpolation=cv2.INTER_AREA), np.uint8)
        for quality in LOOK_QUALITIES:
            encoded = _jpeg(small, quality)
            if len(encoded) <= MAX_LOOK:
                return encoded
        raise ValueError(f"no picture of {size} pixels fits in {MAX_LOOK} bytes")

    def place_of_page(self) -> tuple[int, ...]:
        """Corners of an A4 sheet at both stops: x, y of each, in thousandths of the frame's width and height."""
        (left, top), (width, height) = self._settings.page_origin_mm, A4_MM
        sheet = [(left, top), (left + width, top), (left + width, top + height), (left, top + height)]
        corners = cv2.perspectiveTransform(np.array([sheet], np.float32), self._from_tray)[0]
        scaled = corners * 1000 / np.array([self._width, self._height], np.float32)
        return tuple(int(value) for value in np.clip(np.rint(scaled), 0, 1000).ravel())

    def _preview(self, frame: NDArray[np.uint8]) -> bytes:
        """Small, and grey as red light shows it, so that red ink leaves no mark that could hide print below.

        The light strip, which has no red, is put in by its own light.

        Quality falls until the picture fits; one that never fits so is blurred as well.

        Raises: ValueError if the settings leave too few bytes even for a picture without any detail.
        """
        grey = np.ascontiguousarray(frame[:, :, RED])
        show_in_grey(grey, frame)
        factor = min(1.0, self._settings.preview_dpi / self._settings.dpi)
        size = (round(self._width * factor), round(self._height * factor))
        small = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
        for sigma in PREVIEW_BLURS:
            soft = np.asarray(cv2.GaussianBlur(small, (0, 0), sigma), np.uint8) if sigma else small
            for quality in PREVIEW_QUALITIES:
                encoded = _jpeg(soft, quality)
                if len(encoded) <= self._settings.preview_limit_bytes:
                    return encoded
        raise ValueError(f"no preview of {size} pixels fits in {self._settings.preview_limit_bytes} bytes")

    def _perspective(self) -> NDArray[np.float64]:
        """Tray mm to frame pixels, shape (3, 3)."""
        width, height = self._settings.tray_mm
        corners = np.array([(0, 0), (width, 0), (width, height), (0, height)], np.float32)
        pulled = self._rng.uniform(-1, 1, (4, 2)) * self._settings.perspective * self._width
        target = corners * self._settings.px_per_mm + pulled
        return np.asarray(cv2.getPerspectiveTransform(corners, target.astype(np.float32)), np.float64)

    def _empty_tray(self) -> NDArray[np.uint8]:
        """The bare mat, with fine tooth, wear, and the two stops that a sheet touches."""
        mat = grain(self._rng, height=self._height, width=self._width, sigma=2.2, mean=TRAY_BGR)
        wear = clouds(self._rng, height=self._height, width=self._width, size_px=26 * self._settings.px_per_mm)
        worn = np.clip(NEUTRAL[0] + 2.5 * wear, 0, 255).astype(np.uint8)
        mat = add_grain(mat, cv2.merge([worn, worn, worn]).astype(np.uint8))
        left, top = self._settings.page_origin_mm
        for start, end in (
            ((left - 9, top - 13), (left + 52, top - 13)),
            ((left - 13, top - 9), (left - 13, top + 52)),
        ):
            ends = cv2.perspectiveTransform(np.array([[start, end]], np.float32), self._from_tray)[0]
            first, last = ((round(float(x)), round(float(y))) for x, y in ends)
            cv2.line(mat, first, last, (112, 108, 104), max(1, round(0.8 * self._settings.px_per_mm)), cv2.LINE_AA)
        return mat

    def _cast_shadow(self, frame: NDArray[np.uint8], sheet: Sheet) -> None:
        """A soft shadow on the mat below the sheet's edges, away from the lamp."""
        small = 0.125
        corners = np.array([sheet.corners_on_tray()], np.float32)
        outline = cv2.perspectiveTransform(corners, self._from_tray)[0] + 0.9 * self._settings.px_per_mm
        shape = (self._height, self._width)
        shade = np.zeros((round(shape[0] * small), round(shape[1] * small)), np.uint8)
        cv2.fillConvexPoly(shade, np.rint(outline * small).astype(np.int32), 90)
        soft = cv2.GaussianBlur(shade, (0, 0), 1.6 * self._settings.px_per_mm * small)
        full = 255 - cv2.resize(soft, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR)
        cv2.multiply(frame, cv2.cvtColor(full, cv2.COLOR_GRAY2BGR), dst=frame, scale=1 / 255)

    def _light(self) -> NDArray[np.uint8]:
        """One lamp at a side: brightest near it, `light_gradient` darker far from it, warmer as it fades."""
        lamp = self._rng.uniform(0.2, 0.8), self._rng.uniform(-0.2, 0.2)
        y, x = np.mgrid[0.0 : 1.35 : complex(0, 96), 0.0 : 1.0 : complex(0, 72)]
        far = np.hypot(x - lamp[0], y - lamp[1]) / 1.45
        fall = self._settings.light_gradient * np.clip(far, 0.0, 1.0)
        gain = np.stack([GAIN_UNIT * (1.0 - fall * tint) for tint in (1.12, 1.0, 0.92)], axis=2)
        coarse = np.rint(gain).astype(np.uint8)
        return np.asarray(cv2.resize(coarse, (self._width, self._height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _jpeg(image: NDArray[np.uint8], quality: int) -> bytes:
    done, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:  # pragma: no cover - OpenCV encodes every uint8 picture that has pixels
        raise ValueError("the picture could not be written as JPEG")
    return bytes(encoded)
