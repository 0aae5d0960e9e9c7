"""The strict verdict on a sealed PDF, with the authorities and revocation lists of a trust bundle."""

from collections.abc import Callable, Sequence
from datetime import datetime

from cryptography import x509

from server.eseals.verdict import SealVerdict, verify_sealed_pdf
from server.verification.trust import TrustBundle


def seal_verdict(
    data: bytes,
    bundles: Sequence[TrustBundle],
    *,
    now: datetime,
    known_digests: Callable[[bytes], bool] | None = None,
) -> SealVerdict:
    """The verdict under every authority that these trust bundles name; never raises on input. `now` is aware."""
    authorities = [_certificate(der) for bundle in bundles for der in bundle.anchor.authorities]
    lists = [_crl(der) for bundle in bundles for der in bundle.crls]
    return verify_sealed_pdf(
        data,
        trusted_roots=[one for one in authorities if one is not None],
        known_digests=known_digests,
        now=now,
        revocation_lists=[one for one in lists if one is not None],
    )


def check_sealed(data: bytes, trust: TrustBundle, known: Callable[[bytes], bool], *, now: datetime) -> tuple[bool, str]:
    """What `server.verification.bundle.verify` wants to know about `sealed.pdf`."""
    verdict = seal_verdict(data, [trust], now=now, known_digests=known)
    reasons = ", ".join(verdict.reasons)
    if verdict.outcome == "sealed":
        return True, f"electronic seal of {verdict.signer}, {verdict.level}, {reasons}"
    return False, f"the seal inside the PDF: {verdict.outcome} ({reasons})"


def _certificate(der: bytes) -> x509.Certificate | None:
    """None for an entry that is not a certificate: it can vouch for nothing."""
    try:
        return x509.load_der_x509_certificate(der)
    except ValueError:
        return None


def _crl(der: bytes) -> x509.CertificateRevocationList | None:
    try:
        return x509.load_der_x509_crl(der)
    except ValueError:
        return None
