"""What the tray camera of the simulated device sees: at most one sheet, and what was done to it."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from device_sim.scene.camera import Camera, Photo
from device_sim.scene.coder import choose_place, code_pattern
from device_sim.scene.errors import NoSheet, PageTooLarge, VolumeImpossible
from device_sim.scene.geometry import Pose, all_inside
from device_sim.scene.head import HeadArtwork
from device_sim.scene.ink import CODER_BLACK, SEAL_RED, coder_ink, lay_ink, seal_ink
from device_sim.scene.settings import SHEET_PX_PER_MM, SceneSettings
from device_sim.scene.sheet import Imprint, Sheet, print_sheet
from device_sim.scene.sticker import LABEL_BGR, cancelled_pattern, label_pattern
from device_sim.scene.volume import MAX_CURL_MM, Curl, drive_staple, fan_out

__all__ = ["HeadArtwork", "Photo", "Scene", "SceneSettings"]

EDGE_MM = 4.0
"""A sheet that is laid keeps this distance from the tray's edges, so that the camera sees all of it."""
STAMP_RADIUS_MM = 20.0
"""The room that the coder leaves for the stamp when nothing was pressed on this sheet yet."""

FAN_MM = 26.0
"""From the first sheet's edge to the last one's in a fan: narrower than a seal, so that one imprint meets them all."""
FAN_STAMP_MM = 7.0
"""How far right of the first sheet's edge the stamp comes down."""
MAX_FAN = 24


class Scene:
    """What the tray camera sees. One sheet at most lies on the tray; all chance comes from `rng`."""

    def __init__(self, *, settings: SceneSettings, rng: np.random.Generator) -> None:
        self._settings = settings
        self._rng = rng
        self._camera = Camera(settings=settings, rng=rng)
        self._sheet: Sheet | None = None
        self._in_hand: Sheet | None = None
        self._token = 0
        self._pressed_at: tuple[tuple[float, float], float] | None = None
        self._composed: NDArray[np.uint8] | None = None

    @property
    def sheet_present(self) -> bool:
        return self._sheet is not None

    @property
    def page_token(self) -> int:
        """A number that changes whenever a sheet is laid, moved or taken away: the tray's motion sensor."""
        return self._token

    def lay_page(
        self,
        page: NDArray[np.uint8] | None,
        *,
        page_mm: tuple[float, float] = (210, 297),
        curl_mm: float = 0.0,
        staple: bool = False,
    ) -> None:
        """Lay a printed sheet under the stamp, a little crooked. `page` is RGB or grey, >= 200 dpi; None: blank.

        The keeper puts the sheet to the stops and the place below the stamp stays put, so the sheet turns about it.
        A sheet wider than high is laid turned a quarter clockwise. `curl_mm`: a page of a bound volume, whose spine
        stands so high at the left edge. `staple`: a stapled document, opened at this page.

        Raises: PageImageInvalid, PageTooLarge, VolumeImpossible.
        """
        if not 0.0 <= curl_mm <= MAX_CURL_MM:
            raise VolumeImpossible(f"a spine stands 0 to {MAX_CURL_MM} mm high, not {curl_mm}")
        if page_mm[0] > page_mm[1]:
            turned = None if page is None else np.ascontiguousarray(np.rot90(page, -1))
            self.lay_page(turned, page_mm=(page_mm[1], page_mm[0]), curl_mm=curl_mm, staple=staple)
            return
        sheet = print_sheet(page, size_mm=page_mm, pose=self._random_pose(page_mm), rng=self._rng)
        if staple:
            drive_staple(sheet.image)
        sheet.curl = Curl(height_mm=curl_mm) if curl_mm else None
        self._lay(sheet)

    def lay_fan(self, pages: Sequence[NDArray[np.uint8] | None], *, page_mm: tuple[float, float] = (210, 297)) -> None:
        """Lay the sheets of a document over each other, the first on top, their right edges in steps below the stamp.

        Raises: PageImageInvalid, PageTooLarge, VolumeImpossible.
        """
        if not 2 <= len(pages) <= MAX_FAN:
            raise VolumeImpossible(f"a fan has 2 to {MAX_FAN} sheets, not {len(pages)}")
        step = FAN_MM / (len(pages) - 1)
        turn = float(self._rng.uniform(-0.5, 0.5))
        flat = Pose(rotation_deg=0.0, origin_mm=self._settings.page_origin_mm)
        sheets = [print_sheet(page, size_mm=page_mm, pose=flat, rng=self._rng) for page in pages]
        stamp, top = self._settings.stamp_at_mm, self._settings.page_origin_mm[1]
        pose = Pose(rotation_deg=0.0, origin_mm=(stamp[0] - page_mm[0] - FAN_STAMP_MM, top)).turned_about(stamp, turn)
        if top + page_mm[1] > self._settings.tray_mm[1] - EDGE_MM:
            raise PageTooLarge(page_mm=page_mm, room_mm=self._settings.tray_mm)
        image = fan_out([sheet.image for sheet in sheets], step_mm=step)
        self._lay(Sheet(image=image, size_mm=(page_mm[0] + FAN_MM, page_mm[1]), pose=pose, is_fan=True))

    def lay_again(self) -> None:
        """Lay the sheet that was taken away last back on the tray, with all that is on it. Raises: NoSheet."""
        if self._in_hand is None:
            raise NoSheet("there is no sheet in hand")
        sheet, self._in_hand = self._in_hand, None
        if not sheet.is_fan:
            sheet.pose = self._random_pose(sheet.size_mm)
        self._lay(sheet)

    def take_away(self) -> None:
        """Clear the tray; no sheet is no mistake."""
        self._in_hand = self._sheet or self._in_hand
        self._sheet = None
        self._pressed_at = None
        self._changed(moved=True)

    def move_page(self, *, dx_mm: float, dy_mm: float, rotation_deg: float) -> None:
        """Nudge the sheet: turn it about its centre, then shift it. It may end up partly beside the tray.

        Raises: NoSheet.
        """
        sheet = self._needed()
        centre = sheet.pose.to_tray((sheet.size_mm[0] / 2, sheet.size_mm[1] / 2))
        sheet.pose = sheet.pose.turned_about(centre, rotation_deg, dx=dx_mm, dy=dy_mm)
        self._changed(moved=True)

    def press(
        self,
        head: HeadArtwork,
        *,
        at_mm: tuple[float, float] | None = None,
        ink: float = 1.0,
        touching: float = 1.0,
    ) -> None:
        """Press the head at its place over the tray (`at_mm` for another); without a sheet nothing takes the ink.

        `ink`: 1 is a fresh pad, 0 a dry one. `touching`: how much of the head's width meets the paper.
        """
        if self._sheet is None:
            return
        place = at_mm or self._settings.stamp_at_mm
        engraving = head.at_scale(SHEET_PX_PER_MM)
        margin = round(SHEET_PX_PER_MM)
        padded = np.pad(engraving, margin)
        inked = seal_ink(padded, rng=self._rng, ink=ink, px_per_mm=SHEET_PX_PER_MM)
        inked[:, round(touching * inked.shape[1]) :] = 0.0
        play_deg = float(self._rng.uniform(-1.0, 1.0))
        found = self._sheet.region(inked, at_tray_mm=place, turn_deg=play_deg)
        if found is not None:
            lay_ink(*found, rgb=SEAL_RED)
        radius = head.diameter_mm / 2
        self._sheet.imprints.append(Imprint(centre_mm=self._sheet.pose.to_sheet(place), radius_mm=radius))
        self._pressed_at = place, radius
        self._changed()

    def print_code(self, payload: str, *, short_code: str) -> bool:
        """Print the trace code beside the imprint. False: no sheet, or no place for it that is free of imprints.

        Raises: CodeTooLong.
        """
        pattern = code_pattern(payload, short_code=short_code)
        if self._sheet is None:
            return False
        beside, radius = self._last_imprint()
        box = choose_place(self._sheet, pattern, beside=beside, radius_mm=radius)
        if box is None:
            return False
        found = self._sheet.region(coder_ink(pattern, rng=self._rng), at_tray_mm=box.centre)
        if found is not None:
            lay_ink(*found, rgb=CODER_BLACK)
        self._changed()
        return True

    def stick_label(self, url: str, *, short_code: str, line: str, cancelled: bool = False) -> bool:
        """Stick a printed label beside the imprint, by hand and not quite straight. False: no sheet, or no place.

        `cancelled`: the label that spoils the sheet.

        Raises: CodeTooLong.
        """
        ink = label_pattern(url, short_code=short_code, line=line, cancelled=cancelled)
        if self._sheet is None:
            return False
        beside, radius = self._last_imprint()
        box = choose_place(self._sheet, ink, beside=beside, radius_mm=radius)
        if box is None:
            return False
        turn = float(self._rng.uniform(-2.0, 2.0))
        covered = self._sheet.region(np.ones_like(ink), at_tray_mm=box.centre, turn_deg=turn)
        printed = self._sheet.region(coder_ink(ink, rng=self._rng), at_tray_mm=box.centre, turn_deg=turn)
        if covered is not None and printed is not None:
            paper, there = covered
            paper[there > 0.5] = LABEL_BGR
            lay_ink(*printed, rgb=CODER_BLACK)
        self._changed()
        return True

    def print_cancelled(self) -> bool:
        """The coder's word CANCELLED across the last imprint, clear of the trace code. False: no sheet."""
        if self._sheet is None:
            return False
        found = self._sheet.region(coder_ink(cancelled_pattern(), rng=self._rng), at_tray_mm=self._last_imprint()[0])
        if found is not None:
            lay_ink(*found, rgb=CODER_BLACK)
        self._changed()
        return True

    def photograph(self, strip: bytes = b"") -> Photo:
        """Take one photo; `strip` is what the light strip shows meanwhile (at most 33 bytes)."""
        return self._camera.shoot(self._frame(), strip)

    def look(self) -> tuple[bytes, tuple[int, ...]]:
        """A small colour JPEG without the strip, and where an A4 sheet at the stops lies in it (messages.Looked)."""
        return self._camera.glance(self._frame()), self._camera.place_of_page()

    def _frame(self) -> NDArray[np.uint8]:
        """What falls on the sensor, composed once until something changes."""
        if self._composed is None:
            self._composed = self._camera.compose(self._sheet)
        return self._composed

    def sheet_image(self) -> NDArray[np.uint8]:
        """The sheet as a flat-bed scanner sees it: RGB at 300 dpi, a copy. The one on the tray, else the one in hand.

        Raises: NoSheet.
        """
        sheet = self._sheet or self._in_hand or self._needed()
        return np.asarray(cv2.cvtColor(sheet.image, cv2.COLOR_BGR2RGB), np.uint8)

    def to_sheet_mm(self, tray_mm: tuple[float, float]) -> tuple[float, float]:
        """Where on the sheet a point of the tray is, mm from the sheet's top left corner.

        Raises: NoSheet.
        """
        return self._needed().pose.to_sheet(tray_mm)

    def to_tray_mm(self, sheet_mm: tuple[float, float]) -> tuple[float, float]:
        """Where over the tray a point of the sheet lies: where to press so as to hit it.

        Raises: NoSheet.
        """
        return self._needed().pose.to_tray(sheet_mm)

    def _lay(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._pressed_at = None
        self._changed(moved=True)

    def _last_imprint(self) -> tuple[tuple[float, float], float]:
        """Centre on the tray and radius, mm; of the stamp's place while this sheet carries none."""
        if self._pressed_at is not None:
            return self._pressed_at
        if self._sheet is not None and self._sheet.imprints:
            last = self._sheet.imprints[-1]
            return self._sheet.pose.to_tray(last.centre_mm), last.radius_mm
        return self._settings.stamp_at_mm, STAMP_RADIUS_MM

    def _needed(self) -> Sheet:
        if self._sheet is None:
            raise NoSheet("there is no sheet on the tray")
        return self._sheet

    def _changed(self, *, moved: bool = False) -> None:
        self._composed = None
        self._token += int(moved)

    def _random_pose(self, page_mm: tuple[float, float]) -> Pose:
        settings = self._settings
        straight = Pose(rotation_deg=0.0, origin_mm=settings.page_origin_mm)
        turn = float(self._rng.uniform(-1, 1)) * settings.max_rotation_deg
        dx, dy = (float(shift) * settings.max_shift_mm for shift in self._rng.uniform(-1, 1, 2))
        width, height = page_mm
        for calmer in (1.0, 0.7, 0.4, 0.2, 0.0):
            pose = straight.turned_about(settings.stamp_at_mm, turn * calmer, dx=dx * calmer, dy=dy * calmer)
            corners = [pose.to_tray(corner) for corner in ((0, 0), (width, 0), (width, height), (0, height))]
            if all_inside(corners, size_mm=settings.tray_mm, margin_mm=EDGE_MM):
                return pose
        room = settings.tray_mm[0] - settings.page_origin_mm[0], settings.tray_mm[1] - settings.page_origin_mm[1]
        raise PageTooLarge(page_mm=page_mm, room_mm=(room[0] - EDGE_MM, room[1] - EDGE_MM))
