"""The seal inside `sealed.pdf`, as the check of an evidence bundle asks for it."""

from collections.abc import Callable
from datetime import datetime

from server.eseals.offline import verdict_of
from server.verification.trust import TrustBundle


def check_sealed(data: bytes, trust: TrustBundle, known: Callable[[bytes], bool], *, now: datetime) -> tuple[bool, str]:
    """What `server.verification.bundle.verify` wants to know: accepted, and in words."""
    verdict = verdict_of(data, [trust], now=now, known_digests=known)
    reasons = ", ".join(verdict.reasons)
    if verdict.outcome == "sealed":
        return True, f"electronic seal of {verdict.signer}, {verdict.level}, {reasons}"
    if verdict.reasons == ("withdrawn",):
        return True, f"electronic seal of {verdict.signer}, intact but withdrawn: do not rely on it"
    return False, f"the seal inside the PDF: {verdict.outcome} ({reasons})"
