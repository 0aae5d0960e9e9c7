from server.core.errors import BadInput, Conflict, NotFound
from server.core.i18n import N_


class NoSuchSeal(NotFound):
    pass


class NoSuchHead(NotFound):
    pass


class SealNotActive(Conflict):
    """Fact `state`."""

    title = N_("This seal is not in use")
    happened = N_("The seal is not active, so nothing may be stamped with it.")
    safe = N_("Nothing was stamped, and the request is unchanged.")
    next_step = N_("Choose another seal, or ask an administrator why it was taken out of use.")


class SealDestroyed(Conflict):
    happened = N_("This seal was destroyed. That is final.")
    next_step = N_("Register a new seal.")


class HeadTaken(Conflict):
    happened = N_("This head is registered already.")
    next_step = N_("Check the number on the head.")


class NotAPicture(BadInput):
    title = N_("This is not a picture of a seal")
    happened = N_("The specimen must be a PNG picture of the imprint, smaller than 4 MB.")
    next_step = N_("Save the artwork as PNG and send it again.")
