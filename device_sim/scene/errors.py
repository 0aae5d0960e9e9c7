class SceneError(Exception):
    """Root of what the scene of the simulated device can refuse."""


class PageUnreadable(SceneError):
    """The PDF page cannot be drawn: no PDF, encrypted, or no such page."""

    def __init__(self, *, page_index: int, reason: str) -> None:
        super().__init__(f"page {page_index + 1} cannot be drawn: {reason}")
        self.page_index = page_index


class PageImageInvalid(SceneError):
    """The picture of a page is not uint8, shape (height, width) or (height, width, 3)."""

    def __init__(self, *, shape: tuple[int, ...], dtype: str) -> None:
        super().__init__(f"a page picture is uint8 (height, width[, 3]), not {dtype} {shape}")
        self.shape = shape


class PageTooLarge(SceneError):
    """The sheet does not fit on the tray."""

    def __init__(self, *, page_mm: tuple[float, float], room_mm: tuple[float, float]) -> None:
        super().__init__(f"a sheet of {page_mm} mm does not fit on a tray for {room_mm} mm")
        self.page_mm = page_mm


class VolumeImpossible(SceneError):
    """Paper that does not go under the stamp: too thick a volume, a fan of fewer than two or too many sheets."""


class NoSheet(SceneError):
    """There is no sheet on the tray to move or to look at."""


class ArtworkInvalid(SceneError):
    """The artwork of a head is no picture, or shows no ink."""


class CodeTooLong(SceneError):
    """The trace code does not fit the coder: at most QR version 9-M, alphanumeric."""

    def __init__(self, *, length: int) -> None:
        super().__init__(f"the coder cannot print {length} characters as QR version 9-M or smaller")
        self.length = length


class StripUnreadable(SceneError):
    """The photo shows no light strip whose check value agrees."""
