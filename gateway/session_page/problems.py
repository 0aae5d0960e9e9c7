"""What went wrong, in words: what happened, whether the work is safe, what to do next."""

from typing import Final

from gateway.session_page.translation import N_

PROBLEMS: Final[dict[str, tuple[str, str, str]]] = {
    "blank_page": (
        N_("The sheet is blank."),
        N_("The device is locked and nothing was stamped."),
        N_("Lay the approved page with its print up."),
    ),
    "not_this_page": (
        N_("This is not the approved page."),
        N_("The device is locked and nothing was stamped."),
        N_("Lay the right page, or print it again from the approved file."),
    ),
    "text_differs": (
        N_("Text on this page differs from what was approved."),
        N_("The device is locked and nothing was stamped."),
        N_("Do not stamp it. Print the page again from the approved file."),
    ),
    "extra_ink": (
        N_("Something was added to this page."),
        N_("The device is locked and nothing was stamped."),
        N_("Lay a clean print of the approved file."),
    ),
    "missing_ink": (
        N_("Something is missing on this page."),
        N_("The device is locked and nothing was stamped."),
        N_("Lay a complete print of the approved file."),
    ),
    "no_page": (
        N_("There is no page on the tray."),
        N_("The device is locked and nothing was stamped."),
        N_("Lay the page that is asked for."),
    ),
    "cancelled_timed_out": (
        N_("The time for this press is over."),
        N_("The device is locked. The use was not lost."),
        N_("Lift the page and lay it again."),
    ),
    "cancelled_page_moved": (
        N_("The page moved before the press."),
        N_("The device is locked. The use was not lost."),
        N_("Lay the page again and take your hand away."),
    ),
    "cancelled_tampered": (
        N_("The device was opened or moved."),
        N_("The device is locked. What was stamped is on record."),
        N_("Do not leave. Call your administrator."),
    ),
    "closed_timed_out": (
        N_("The time for this job is over."),
        N_("What was stamped is on record."),
        N_("Pick the job again to go on."),
    ),
    "closed_reboot": (
        N_("The device was started again, so the job was closed."),
        N_("What was stamped is on record."),
        N_("Pick the job again to go on."),
    ),
    "closed_by_keeper": (
        N_("This job was closed at the device."),
        N_("What was stamped is on record."),
        N_("Pick the job again to go on."),
    ),
    "closed_tampered": (
        N_("The device was opened or moved."),
        N_("The device is locked. What was stamped is on record."),
        N_("Do not leave. Call your administrator."),
    ),
    "second_person_no": (
        N_("The second person said no."),
        N_("The device is locked and nothing was stamped."),
        N_("Lay another page, or stop the job."),
    ),
    "case_over": (
        N_("Nobody answered in time."),
        N_("The device is locked and nothing was stamped."),
        N_("Lift the page and lay it again to ask once more, or stop the job."),
    ),
    "camera_failed": (
        N_("The camera does not answer."),
        N_("The device is locked. The use was not lost."),
        N_("Lift the page and lay it again. If that does not help, call your administrator."),
    ),
    "page_moved": (
        N_("The page moved while it was photographed."),
        N_("The device is locked. The use was not lost."),
        N_("Lay the page again and take your hand away."),
    ),
    "wrong_page": (
        N_("This page is not one of the pages approved for this job."),
        N_("The device is locked and nothing was stamped."),
        N_("Lay the page that is asked for."),
    ),
    "operator_needed": (
        N_("The device does not know who stands here any more."),
        N_("The device is locked. What was stamped is on record."),
        N_("Stop the job, sign in again and pick it again."),
    ),
    "service_timed_out": (
        N_("The time for the service is over."),
        N_("The device is locked."),
        N_("Close the cover and call your administrator."),
    ),
    "device_unreachable": (
        N_("The device does not answer."),
        N_("It locks by itself; what was stamped is kept."),
        N_("Check its power, and its cable or radio link."),
    ),
    "headquarters_unreachable": (
        N_("Headquarters does not answer."),
        N_("The device is locked. What was stamped is kept here."),
        N_("Wait a moment, then lay the page again."),
    ),
}
UNSHARP: Final = (
    N_("The photo of the page cannot be compared."),
    N_("The device is locked and nothing was stamped."),
    N_("Lay the page flat and whole, and take your hand away."),
)
POOR_PHOTO: Final = frozenset({"too_blurred", "cut_off", "glare", "low_resolution", "undecodable"})
OTHER: Final = (
    N_("The job stopped."),
    N_("The device is locked. What was stamped is on record."),
    N_("Lift the page and lay it again, or stop the job."),
)


def sentences(code: str) -> tuple[str, str, str]:
    """Untranslated: (what happened, is it safe, what next)."""
    return PROBLEMS.get(code, UNSHARP if code in POOR_PHOTO else OTHER)


def known(code: str) -> bool:
    return code in PROBLEMS or code in POOR_PHOTO
