from dataclasses import dataclass
from typing import Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec


class SealSigner(Protocol):
    """A P-256 key that seals or time-stamps, wherever it lives (file, PKCS#11); loaded once, used many times."""

    @property
    def certificate(self) -> x509.Certificate: ...

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """The issuers of `certificate`, nearest first, root included."""
        ...

    def sign(self, data: bytes) -> bytes:
        """ECDSA over SHA-256 of `data`, DER encoded, at most 72 bytes."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSigner:
    """A `SealSigner` over a private key in this process's memory. Signatures are deterministic (RFC 6979)."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]

    def sign(self, data: bytes) -> bytes:
        return self.key.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
