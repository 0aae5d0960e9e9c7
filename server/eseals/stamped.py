"""Whose a time stamp (RFC 3161) is, and whether all of its CMS holds: for `cinnabar verify`, without a database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509

from server.eseals import anchoring
from server.eseals.anchoring import NoStamp

OWN: Final = anchoring.OWN


@dataclass(frozen=True, slots=True, kw_only=True)
class Stamp:
    """`problem`: it is broken or about other bytes. No problem and no authority: nobody here knows who signed it."""

    authority: str = ""
    own: bool = False
    time: datetime | None = None
    problem: str = ""


def judge(
    answer: bytes,
    note: bytes,
    *,
    own: Sequence[x509.Certificate],
    outside: Mapping[str, Sequence[x509.Certificate]],
    now: datetime,
) -> Stamp:
    """Imprint, signed attributes, signature, extended key usage and path of `answer`, at `now`.

    `own`: certificates of the operator's authority; `outside`: of others, by the name the caller gave them.
    """
    for name, certificates in ((OWN, own), *outside.items()):
        if not certificates:
            continue
        try:
            checked = anchoring.checked(answer, note, certificates=certificates, now=now)
        except NoStamp as error:
            return Stamp(problem=str(error))
        if not (checked.intact and checked.valid):
            return Stamp(problem="its signature does not hold, or it stamps other bytes than this checkpoint")
        if checked.trusted:
            return Stamp(authority=name, own=name == OWN, time=checked.timestamp)
    return Stamp()
