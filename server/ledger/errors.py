"""What the ledger answers to people when it cannot do something."""

from server.core.errors import NotFound, Unavailable
from server.core.i18n import N_


class LedgerError(Exception):
    """Root of what the ledger's own processes raise."""


class Fenced(LedgerError):
    """Another sequencer writes this log; this one must stop."""


class EntryNotFound(NotFound):
    happened = N_("There is no such ledger entry, or it belongs to another branch.")


class TileNotFound(NotFound):
    happened = N_("The log has no such tile yet.")


class LogNotStarted(Unavailable):
    happened = N_("The ledger has not begun yet.")
    next_step = N_("Start the ledger role and try again.")
