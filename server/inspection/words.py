"""Each reason of a finding in words: what happened, is my work safe, what next. Never more than was seen."""

from typing import Final

from server.core.i18n import N_, _
from server.inspection.schemas import ReasonText

_LOCKED: Final = N_("The device stays locked; nothing was stamped and no imprint was used up.")
_RECORDED: Final = N_("The imprint is on record with both photos.")
_AGAIN: Final = N_("Lay the page flat and whole on the tray and take your hand away; the device tries again.")
_LOOK: Final = N_("A person must look at the two photos.")

_WORDS: Final[dict[str, tuple[str, str, str]]] = {
    "ok": (N_("The photo agrees with the approved page."), N_("Nothing differs."), N_("Press the lever.")),
    "blank_page": (
        N_("The sheet on the tray is blank."),
        _LOCKED,
        N_("Lay the approved page on the tray, with its print up."),
    ),
    "no_page": (N_("There is no page on the tray."), _LOCKED, N_("Lay the page that is asked for on the tray.")),
    "not_this_page": (
        N_("This is not the page that was approved."),
        _LOCKED,
        N_("Lay the right page on the tray. If it is the right one, print it again from the approved file."),
    ),
    "text_differs": (
        N_("Text on this page differs from what was approved."),
        _LOCKED,
        N_("Do not stamp it. Compare the marked places, and print the page again from the approved file."),
    ),
    "extra_ink": (
        N_("Something was added to this page after it was approved."),
        _LOCKED,
        N_("Compare the marked places. If it belongs there, have the page approved as it is now."),
    ),
    "missing_ink": (
        N_("Something that was approved is missing on this page."),
        _LOCKED,
        N_("Compare the marked places, and print the page again from the approved file."),
    ),
    "too_blurred": (N_("The photo is not sharp enough to compare the page."), _LOCKED, _AGAIN),
    "cut_off": (N_("Part of the page lies outside the photo."), _LOCKED, _AGAIN),
    "glare": (N_("Light is reflected on the page, so part of it cannot be read."), _LOCKED, _AGAIN),
    "low_resolution": (N_("The photo shows too little detail to compare the page."), _LOCKED, _AGAIN),
    "undecodable": (
        N_("The photo cannot be read."),
        _LOCKED,
        N_("Try again. If it happens again, have the camera checked."),
    ),
    "no_strip": (
        N_("The light strip of the device cannot be read on the photo, so it may be an old one."),
        _LOCKED,
        N_("Uncover the strip at the tray's lower edge; the device tries again."),
    ),
    "old_photo": (
        N_("This is not a photo of now: the light strip on it shows an earlier moment."),
        N_("Nothing is permitted with this photo. An alarm was raised."),
        N_("Stop, and call your security: somebody may have sent an old photo again."),
    ),
    "fan": (
        N_("The cover agrees with the approved page; the fanned-out pages are photographed, not compared."),
        N_("Nothing differs."),
        N_("Press the lever."),
    ),
    "fan_without_cover": (
        N_("The approved cover cannot be found on the fanned-out pages."),
        _LOCKED,
        N_("Fan the pages out with the cover on top, whole and face up."),
    ),
    "photo_agrees": (N_("Photo agrees: the imprint and its code are as expected."), _RECORDED, N_("Nothing to do.")),
    "no_imprint": (N_("The photo shows no new imprint."), _RECORDED, _LOOK),
    "extra_imprint": (N_("The photo shows more than one new imprint."), _RECORDED, _LOOK),
    "other_imprint": (N_("The imprint does not look like the registered seal."), _RECORDED, _LOOK),
    "unclear_imprint": (N_("The imprint is too faint or unclear to compare it."), _RECORDED, _LOOK),
    "no_code": (N_("The code beside the imprint cannot be read on the photo."), _RECORDED, _LOOK),
    "other_code": (N_("The code beside the imprint is not the one the device signed for."), _RECORDED, _LOOK),
    "page_moved": (N_("The page moved, or another page was laid, between the two photos."), _RECORDED, _LOOK),
    "no_photo": (N_("The photos of this imprint have not arrived yet."), _RECORDED, N_("Wait for the photos.")),
}
_UNKNOWN: Final = (N_("The page could not be compared."), _LOCKED, _AGAIN)


def text_of(reason: str) -> ReasonText:
    happened, safe, next_step = _WORDS.get(reason, _UNKNOWN)
    return ReasonText(happened=_(happened), safe=_(safe), next=_(next_step))
