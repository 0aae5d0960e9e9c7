"""What a worker answers. Light to import: it does not load the vision libraries into the server's own processes."""

from dataclasses import dataclass
from typing import Any

from server.inspection.vision.finding import PageFinding


class PageNotPrepared(Exception):
    """The worker has not (or no longer) the approved page; call `prepare_page` and ask again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCheck:
    """A finding and, for each of its first differences, the pair of pictures (approved, photo) as JPEG."""

    finding: PageFinding
    crops: tuple[tuple[bytes, bytes], ...]
    strip: bytes | None  # what the light strip showed; None when it cannot be read


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoiledCheck:
    """What a cancelled sheet shows: whether it is marked as cancelled, and the payloads of all codes on it."""

    marked: bool
    codes: tuple[bytes, ...]
    strip: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ImprintCheck:
    """What the after-photo shows.

    `imprint` and `placement` hold the fields of `vision.ImprintFinding` and `vision.PlacementFinding`; `codes` the
    payloads of all codes on the photo: bytes that a stranger may have printed.
    """

    imprint: dict[str, Any]
    placement: dict[str, Any]
    codes: tuple[bytes, ...]
    strips: tuple[bytes | None, bytes | None]  # light strip of the photo before and of the photo after
