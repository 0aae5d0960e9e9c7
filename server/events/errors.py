from server.core.errors import BadInput, NotFound
from server.core.i18n import N_


class DigestNotAnnounced(NotFound):
    title = N_("Nobody announced this photo")
    happened = N_("No report of a device names this photo yet.")
    safe = N_("The photo stays where it is.")
    next_step = N_("The gateway sends it again once the device's report has arrived.")


class BadUpload(BadInput):
    happened = N_("The upload says where it begins and how long it is in a way that does not fit.")
    next_step = N_("Ask with HEAD where to go on, then send again.")


class PhotoMissing(NotFound):
    happened = N_("This photo has not arrived yet, or it belongs to another branch.")
    next_step = N_("Wait for the gateway to send it.")
