"""Why there is no evidence bundle, or not yet."""

from server.core.errors import Conflict, Unavailable
from server.core.i18n import N_


class NotFinished(Conflict):
    """Fact: `state`."""

    happened = N_("This request is not finished, so there is no complete evidence to hand out.")
    next_step = N_("Come back when all imprints are made.")


class StillBeingFiled(Unavailable):
    """The ledger has not yet taken in the last entries."""

    headers = {"Retry-After": "1"}  # noqa: RUF012 - ClassVar in the base
    happened = N_("The record is being filed right now.")
    next_step = N_("Try again in a second.")
