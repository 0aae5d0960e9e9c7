"""What the tray camera of the simulated device sees: at most one sheet, and what was done to it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from device_sim.scene.camera import Camera, Photo
from device_sim.scene.coder import choose_place, code_pattern
from device_sim.scene.errors import NoSheet, PageTooLarge
from device_sim.scene.geometry import Pose, all_inside
from device_sim.scene.head import HeadArtwork
from device_sim.scene.ink import CODER_BLACK, SEAL_RED, coder_ink, lay_ink, seal_ink
from device_sim.scene.settings import SHEET_PX_PER_MM, SceneSettings
from device_sim.scene.sheet import Imprint, Sheet, print_sheet

__all__ = ["HeadArtwork", "Photo", "Scene", "SceneSettings"]

EDGE_MM = 4.0
"""A sheet that is laid keeps this distance from the tray's edges, so that the camera sees all of it."""
STAMP_RADIUS_MM = 20.0
"""The room that the coder leaves for the stamp when nothing was pressed on this sheet yet."""


class Scene:
    """What the tray camera sees. One sheet at most lies on the tray; all chance comes from `rng`."""

    def __init__(self, *, settings: SceneSettings, rng: np.random.Generator) -> None:
        self._settings = settings
        self._rng = rng
        self._camera = Camera(settings=settings, rng=rng)
        self._sheet: Sheet | None = None
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

    def lay_page(self, page: NDArray[np.uint8] | None, *, page_mm: tuple[float, float] = (210, 297)) -> None:
        """Lay a printed sheet under the stamp, a little crooked. `page` is RGB or grey, >= 200 dpi; None: blank.

        The keeper puts the sheet to the stops and the place below the stamp stays put, so the sheet turns about it.
        A sheet wider than high is laid turned a quarter clockwise.

        Raises: PageImageInvalid, PageTooLarge.
        """
        if page_mm[0] > page_mm[1]:
            turned = None if page is None else np.ascontiguousarray(np.rot90(page, -1))
            self.lay_page(turned, page_mm=(page_mm[1], page_mm[0]))
            return
        self._sheet = print_sheet(page, size_mm=page_mm, pose=self._random_pose(page_mm), rng=self._rng)
        self._pressed_at = None
        self._changed(moved=True)

    def take_away(self) -> None:
        """Clear the tray; no sheet is no mistake."""
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

    def press(self, head: HeadArtwork, *, at_mm: tuple[float, float] | None = None, ink: float = 1.0) -> None:
        """Press the head at its place over the tray (`at_mm` for another); without a sheet nothing takes the ink."""
        if self._sheet is None:
            return
        place = at_mm or self._settings.stamp_at_mm
        engraving = head.at_scale(SHEET_PX_PER_MM)
        margin = round(SHEET_PX_PER_MM)
        padded = np.pad(engraving, margin)
        inked = seal_ink(padded, rng=self._rng, ink=ink, px_per_mm=SHEET_PX_PER_MM)
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
        beside, radius = self._pressed_at or (self._settings.stamp_at_mm, STAMP_RADIUS_MM)
        box = choose_place(self._sheet, pattern, beside=beside, radius_mm=radius)
        if box is None:
            return False
        found = self._sheet.region(coder_ink(pattern, rng=self._rng), at_tray_mm=box.centre)
        if found is not None:
            lay_ink(*found, rgb=CODER_BLACK)
        self._changed()
        return True

    def photograph(self, strip: bytes = b"") -> Photo:
        """Take one photo; `strip` is what the light strip shows meanwhile (at most 33 bytes)."""
        if self._composed is None:
            self._composed = self._camera.compose(self._sheet)
        return self._camera.shoot(self._composed, strip)

    def sheet_image(self) -> NDArray[np.uint8]:
        """The sheet as a flat-bed scanner sees it: RGB at 300 dpi, a copy.

        Raises: NoSheet.
        """
        return np.asarray(cv2.cvtColor(self._needed().image, cv2.COLOR_BGR2RGB), np.uint8)

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
