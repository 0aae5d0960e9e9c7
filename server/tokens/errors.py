from server.core.errors import BadInput, Conflict, Forbidden, NotFound
from server.core.i18n import N_


class NoSuchToken(NotFound):
    title = N_("Unknown permission")
    happened = N_("The report names a permission that this server did not give to this device.")
    safe = N_("The device stays locked.")
    next_step = N_("Start the job again. If it happens again, call your security.")


class NotReady(Conflict):
    """Fact `state`."""

    title = N_("This request cannot be stamped now")
    happened = N_("The request is not approved, or was taken back, changed or ended.")
    safe = N_("The device stays locked; nothing was stamped.")
    next_step = N_("Choose another job, or ask the requester.")


class NotYet(Conflict):
    """Fact `not_before`."""

    happened = N_("This request may only be stamped from %(not_before)s on.")
    safe = N_("The device stays locked; nothing was stamped.")
    next_step = N_("Come back then.")


class WrongDevice(Conflict):
    title = N_("Not at this device")
    happened = N_("This request is for another device, or the seal it needs is not mounted here.")
    safe = N_("The device stays locked; nothing was stamped.")
    next_step = N_("Go to the device that holds the seal.")


class StrokesUsedUp(Conflict):
    title = N_("All imprints are used up")
    happened = N_("Every imprint that was approved, and its spares, is used up or may be used up.")
    safe = N_("The device stays locked.")
    next_step = N_("If one is missing on paper, make a new request for it.")


class StillOpen(Conflict):
    """Facts `strokes`, `until`, `device`."""

    title = N_("This job is still open at a device")
    happened = N_("A device may still make up to %(strokes)s imprints for this request until %(until)s.")
    safe = N_("Nothing is lost: that permission ends by itself.")
    next_step = N_("Go on at device %(device)s, or wait until then.")


class DeviceMustReport(Conflict):
    """Fact `device`."""

    title = N_("The device must report first")
    happened = N_("Device %(device)s got this job before and has not reported what it did with it.")
    safe = N_("Its record is in the device; nothing is lost.")
    next_step = N_("Switch the device on and connect it, so that its record arrives, then start again.")


class KeeperRefused(Forbidden):
    """Fact `why`: a policy.Refusal."""

    title = N_("You can't stamp this one")
    happened = N_("You approved or asked for this imprint, or another keeper was chosen for it.")
    safe = N_("The device stays locked; nothing was stamped.")
    next_step = N_("Ask another keeper.")


class NonceUsed(Conflict):
    happened = N_("The device's challenge was used for another job.")
    safe = N_("The device stays locked.")
    next_step = N_("Start the job again.")


class WrongStroke(Conflict):
    happened = N_("The photo belongs to an imprint that is not the next one of this job.")
    safe = N_("The device stays locked.")
    next_step = N_("Start the job again.")


class TokenOver(Conflict):
    title = N_("The time for this job is over")
    happened = N_("The permission for this job has ended.")
    safe = N_("The device locks by itself; what was stamped is on record.")
    next_step = N_("Start the job again for what is left.")


class SweepIncomplete(Conflict):
    """Facts `missing`, `seen`."""

    title = N_("Leaf through the document first")
    happened = N_("Not every page has been seen by the camera yet. Missing: %(missing)s.")
    safe = N_("The device stays locked; nothing was stamped.")
    next_step = N_("Leaf through the missing pages, then stamp.")


class OfflineRefused(Forbidden):
    title = N_("Not without headquarters")
    happened = N_("This request, its seal or this device does not allow imprints while headquarters cannot be reached.")
    safe = N_("The device stays locked; nothing was stamped.")
    next_step = N_("Stamp while headquarters can be reached, or have an administrator change the rule.")


class NoSuchCase(NotFound):
    happened = N_("There is no such question, or it belongs to another branch.")


class NotYourCase(Forbidden):
    title = N_("Somebody else must answer")
    happened = N_("Who stamps or asked for the imprint can't answer this; an approver or another keeper can.")
    safe = N_("The device stays locked.")
    next_step = N_("Ask a colleague to look at it now.")


class CaseClosed(Conflict):
    title = N_("This question is closed")
    happened = N_("It was answered already, its time ran out, or the keeper took another photo.")
    safe = N_("Nothing was changed by this step.")
    next_step = N_("Go back to your inbox; what waits now is listed there.")


class ReasonNeeded(BadInput):
    happened = N_("A reason is needed: it goes on record with your name.")
    safe = N_("Nothing was changed by this step.")
    next_step = N_("Write in a few words what you saw.")
