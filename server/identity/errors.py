from server.core.errors import BadInput, Conflict, Forbidden, NotFound, RateLimited, Unauthenticated
from server.core.i18n import N_


class NotSignedIn(Unauthenticated):
    """No session cookie, or its session ended, was revoked, or idled out."""


class WrongLogin(Unauthenticated):
    title = N_("Not signed in")
    happened = N_("The name or the password is not right.")
    next_step = N_("Check both and try again, or ask your administrator for a sign-in link.")


class WrongPassword(Forbidden):
    title = N_("The password is not right")
    happened = N_("This step needs your password again, and it was not right.")
    safe = N_("Nothing was decided.")
    next_step = N_("Type your password again.")


class WrongPin(Unauthenticated):
    title = N_("The PIN is not right")
    happened = N_("The name or the PIN is not right, or this person is not a keeper here.")
    safe = N_("The device stays locked.")
    next_step = N_("Type your name and PIN again, or ask your administrator.")


class TooManyTries(RateLimited):
    """Fact `retry_after_s`."""

    happened = N_("There were too many wrong tries for this name or from this place.")
    next_step = N_("Wait %(retry_after_s)s seconds and try again.")


class LinkUsed(Unauthenticated):
    title = N_("This link does not work any more")
    happened = N_("A sign-in link works once and for a short time.")
    next_step = N_("Ask for a new link, or sign in with your password.")


class RoleMissing(Forbidden):
    """The role of this session does not allow the step."""


class CrossSiteRequest(Forbidden):
    title = N_("This did not come from our own page")
    happened = N_("Another site tried to do this step in your name, or your browser hid where it came from.")
    next_step = N_("Open this server's own page and do the step there.")


class NoSuchPerson(NotFound):
    pass


class NotYourself(Conflict):
    happened = N_("This step is not done for oneself.")
    safe = N_("Nothing was changed.")
    next_step = N_("Ask another administrator.")


class NoSuchBranch(NotFound):
    pass


class NoSuchBadge(NotFound):
    """Unknown, or revoked before."""


class BadgeTaken(Conflict):
    title = N_("This badge is registered already")
    happened = N_("The badge belongs to somebody, maybe to this person.")
    safe = N_("Nothing was changed.")
    next_step = N_("Take another badge, or revoke the old registration first.")


class BadgeUnreadable(BadInput):
    title = N_("The badge was not read")
    happened = N_("A badge gives 4 to 120 characters.")
    safe = N_("Nothing was changed.")
    next_step = N_("Put the cursor into the field and hold the badge to the reader again.")


class NoSuchPasskey(NotFound):
    """Unknown, removed, waited too long, or somebody else's."""


class PasskeyUnreadable(BadInput):
    title = N_("This passkey cannot be used")
    happened = N_("It is not of the kind that devices understand, or it did not check who touched it.")
    safe = N_("Nothing was changed.")
    next_step = N_("Use a phone, or a security key that asks for a PIN or a fingerprint, and try again.")


class PasskeyTaken(Conflict):
    title = N_("This passkey is registered already")
    happened = N_("It belongs to somebody, maybe to this person.")
    safe = N_("Nothing was changed.")
    next_step = N_("Take another phone or security key, or remove the old registration first.")


class TooManyPasskeys(Conflict):
    title = N_("Too many passkeys")
    happened = N_("Three passkeys may wait for their owner, and eight may count.")
    safe = N_("Nothing was changed.")
    next_step = N_("Confirm or remove one under My passkeys at headquarters, then try again.")


class NameTaken(Conflict):
    happened = N_("This name is in use already.")
    next_step = N_("Choose another name.")


class ParentMissing(BadInput):
    happened = N_("The branch above %(path)s does not exist.")
    next_step = N_("Add the branch above first.")
