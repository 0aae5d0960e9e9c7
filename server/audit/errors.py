from server.core.errors import BadInput, Conflict, Forbidden, NotFound
from server.core.i18n import N_


class NoSuchReview(NotFound):
    happened = N_("There is no such press, or it belongs to another branch.")


class ReviewedAlready(Conflict):
    title = N_("This press is decided")
    happened = N_("Somebody decided about this press already, or nothing about it is open.")
    safe = N_("Nothing was changed by this step.")
    next_step = N_("Go back to the list; what is open stands there.")


class NotYourReview(Forbidden):
    title = N_("Somebody else must decide")
    happened = N_("Who stamped or asked for the imprint can't decide about it; an auditor or an approver can.")
    safe = N_("Nothing was changed by this step.")
    next_step = N_("Ask a colleague to look at it.")


class ReasonMissing(BadInput):
    happened = N_("A reason is needed: it goes on record with your name.")
    safe = N_("Nothing was changed by this step.")
    next_step = N_("Write in a few words what you saw.")
