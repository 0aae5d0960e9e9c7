from typing import Self

from server.core.errors import Conflict, NotFound, ServerError, Unavailable
from server.core.i18n import N_
from server.eseals.refusals import SealingFailed
from server.eseals.unreadable import UnreadableDocument


class NoSuchEseal(NotFound):
    title = N_("No sealed PDF here")
    happened = N_("There is no electronic seal here, or it belongs to another branch.")


class NotSealed(ServerError):
    """The document could not be sealed; status, code and words are those of `refusals` and `unreadable`."""

    status = 409
    title = N_("The document could not be sealed")

    @classmethod
    def because(cls, error: SealingFailed | UnreadableDocument) -> Self:
        words = {name: getattr(error, name) for name in ("status", "code", "happened", "safe", "next_step")}
        kind = type(type(error).__name__, (cls,), words)
        refused: Self = kind(**error.facts)
        return refused


class WithdrawnAlready(Conflict):
    happened = N_("This electronic seal was withdrawn before.")
    safe = N_("It stays withdrawn.")
    next_step = N_("Nothing more is needed.")


class CertificateRevoked(Unavailable):
    """The installation's seal certificate stands on its own revocation list."""

    title = N_("Electronic seals are stopped")
    happened = N_("The certificate for electronic seals was withdrawn, so nothing may be sealed with it.")
    safe = N_("The document is unchanged and no seal was issued.")
    next_step = N_("Ask an administrator to issue a new seal certificate.")
