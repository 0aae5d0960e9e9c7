"""Why a seal could not be set; one error tree, with the texts of `server.core.errors.ServerError`."""

from typing import ClassVar

from server.core.i18n import N_


class SealingFailed(Exception):
    """No seal was set and no file was changed. Survives pickling."""

    code: ClassVar[str] = "sealing_failed"
    status: ClassVar[int] = 409
    happened: ClassVar[str] = N_("The document could not be sealed.")
    safe: ClassVar[str] = N_("The document is unchanged and no seal was issued.")
    next_step: ClassVar[str] = N_("Upload the PDF again; if that fails too, tell your administrator.")

    def __init__(self, **facts: float | str) -> None:
        self.facts = facts
        super().__init__(f"{self.happened} {self.safe} {self.next_step}" % facts)

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self.facts)


def _rebuild(kind: type[SealingFailed], facts: dict[str, float | str]) -> SealingFailed:
    return kind(**facts)


class PlaceOutsidePage(SealingFailed):
    code = "place_outside_page"
    happened = N_("A seal of %(diameter_mm)s mm and its code do not fit on the page at this place.")
    next_step = N_("Choose a place further from the edge.")


class BadArtwork(SealingFailed):
    code = "bad_artwork"
    happened = N_("The registered picture of this seal cannot be read.")
    next_step = N_("Ask an administrator to upload the picture of the seal again as PNG.")


class TimestampRefused(SealingFailed):
    code = "timestamp_refused"
    status = 503
    happened = N_("The time-stamp service did not answer as it should.")
    next_step = N_("Try again in a minute.")
