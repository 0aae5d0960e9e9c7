"""What the ledger answers to people when it cannot do something."""

from server.core.errors import Forbidden, NotFound, Unavailable
from server.core.i18n import N_


class LedgerError(Exception):
    """Root of what the ledger's own processes raise."""


class Fenced(LedgerError):
    """Another sequencer writes this log; this one must stop."""


class EntryNotFound(NotFound):
    happened = N_("There is no such ledger entry, or it belongs to another branch.")


class TileNotFound(NotFound):
    happened = N_("The log has no such tile yet.")


class BundleWithheld(Forbidden):
    happened = N_("This part of the log is not given out as a whole: it holds entries that are not yours to read.")
    next_step = N_("Open the entries one by one: each comes with its own proof.")


class LogNotStarted(Unavailable):
    happened = N_("The ledger has not begun yet.")
    next_step = N_("Start the ledger role and try again.")
