"""What can be wrong with a stored file."""

from server.core.errors import BadInput, Conflict, NotFound, ServerError, TooLarge
from server.core.i18n import N_


class BlobMissing(NotFound):
    """No such digest in this tenant."""

    happened = N_("This file is not stored here.")


class BlobErased(NotFound):
    """The record key was destroyed; the digest remains as proof."""

    happened = N_("This file was erased on purpose. Its digest remains, so what was proven about it stays proven.")
    next_step = N_("Nothing can bring it back.")


class BlobDamaged(ServerError):
    """The stored bytes do not decrypt to the digest, or the object is gone."""

    happened = N_("A stored file is damaged or missing on disk.")
    next_step = N_("Restore it from the backup; `cinnabar fsck` names it.")


class BlobTooLarge(TooLarge):
    """Facts: `size`, `limit` in bytes."""

    happened = N_("The file has %(size)s bytes; this server accepts up to %(limit)s.")


class WrongOffset(Conflict):
    """An upload chunk does not start where the stored part ends. Fact: `offset`, to go on from."""

    happened = N_("This part does not follow what is stored already; go on from byte %(offset)s.")
    safe = N_("What arrived before is kept.")


class DigestMismatch(BadInput):
    """The bytes uploaded are not the ones announced; the partial upload was dropped."""

    happened = N_("The bytes that arrived are not the ones that were announced.")
    safe = N_("Nothing was stored.")
    next_step = N_("Send the file again from the start.")
