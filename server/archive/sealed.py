"""The strict verdict on a sealed PDF, as `cinnabar verify` and the evidence bundle ask for it."""

from collections.abc import Callable
from datetime import datetime

from server.eseals.offline import verdict_of as seal_verdict
from server.verification.trust import TrustBundle

__all__ = ["check_sealed", "seal_verdict"]


def check_sealed(data: bytes, trust: TrustBundle, known: Callable[[bytes], bool], *, now: datetime) -> tuple[bool, str]:
    """What `server.verification.bundle.verify` wants to know about `sealed.pdf`."""
    verdict = seal_verdict(data, [trust], now=now, known_digests=known)
    reasons = ", ".join(verdict.reasons)
    if verdict.outcome == "sealed":
        return True, f"electronic seal of {verdict.signer}, {verdict.level}, {reasons}"
    return False, f"the seal inside the PDF: {verdict.outcome} ({reasons})"
