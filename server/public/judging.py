"""A stranger's PDF, judged in a sandboxed child: plain values in and out, so that only this crosses the pipe."""

from cryptography import x509
from cryptography.x509 import Certificate, CertificateRevocationList

from server.core.clock import SystemClock
from server.eseals.verdict import verify_sealed_pdf


def judge_pdf(data: bytes, authorities: list[bytes], crls: list[bytes], listed: bool) -> list[str]:  # noqa: FBT001 - plain arguments cross the pipe
    """[outcome, reasons joined by a comma, signer, time in ISO form or "", level]. `listed`: we sealed these bytes."""
    verdict = verify_sealed_pdf(
        data,
        trusted_roots=_certificates(authorities),
        known_digests=lambda _digest: listed,
        now=SystemClock().now(),
        revocation_lists=_lists(crls),
    )
    sealed_at = verdict.sealed_at.isoformat() if verdict.sealed_at else ""
    return [verdict.outcome, ",".join(verdict.reasons), verdict.signer, sealed_at, verdict.level]


def _certificates(ders: list[bytes]) -> list[Certificate]:
    return [x509.load_der_x509_certificate(der) for der in ders]


def _lists(ders: list[bytes]) -> list[CertificateRevocationList]:
    return [x509.load_der_x509_crl(der) for der in ders]
