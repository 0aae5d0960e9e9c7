"""Client certificates for the MQTT broker: one for each gateway and one for each role, from the local authority.

The broker takes the certificate's common name as user name and as client id, so a name is a right: `cinnabar-...` names
belong to roles and are never given to a gateway. A name has no dot, so the authority's name constraints, which are
about hosts, leave it alone (OpenSSL checks a common name only when it looks like a host).
"""

import datetime as dt
import ssl
import tempfile
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from server.core import keyfile, tls
from server.core.clock import Clock
from server.core.keystore import CertificateKey, KeyStore
from server.core.settings import Settings

GATEWAY_LIFETIME: Final = dt.timedelta(days=90)
"""A gateway asks for the next one when a third is left; one that stood in a drawer for longer asks over HTTPS."""
ROLE_LIFETIME: Final = dt.timedelta(days=397)
RENEW_BEFORE: Final = dt.timedelta(days=30)
ROLE_PREFIX: Final = "cinnabar-"
CRL_LIFETIME: Final = dt.timedelta(days=3650)
"""A broker with an expired list refuses everybody, so the list is renewed by content, not by date."""


class BadSigningRequest(Exception):
    """Not a PKCS#10 request of a P-256 key that signed it."""


def is_role_name(name: str) -> bool:
    """Whether a broker's user of this name would be taken for a role of the server."""
    return name.startswith(ROLE_PREFIX)


def read_request(pem: bytes) -> ec.EllipticCurvePublicKey:
    """The public key that signed the PKCS#10 request; the names in it are ignored. Raises: BadSigningRequest."""
    try:
        request = x509.load_pem_x509_csr(pem)
        signed = request.is_signature_valid
        key = request.public_key()
    except (ValueError, TypeError, InvalidSignature) as error:
        raise BadSigningRequest("this is not a signing request") from error
    if not signed or not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise BadSigningRequest("the request must be signed by its own P-256 key")
    return key


def issue(
    settings: Settings,
    keys: KeyStore,
    *,
    name: str,
    public_key: ec.EllipticCurvePublicKey,
    now: dt.datetime,
    lifetime: dt.timedelta,
) -> x509.Certificate:
    """A certificate that lets its holder be the broker's client `name`, and nothing else."""
    ca = x509.load_pem_x509_certificate(tls.ca_certificate_pem(settings))
    ca_key = keys.certificate_key(CertificateKey.CA)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    return (
        tls.certificate_builder(subject, ca.subject, public_key, now=now, lifetime=lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(tls.key_usage(ca=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def revocation_list(
    settings: Settings, keys: KeyStore, *, revoked: list[tuple[int, dt.datetime]], now: dt.datetime
) -> bytes:
    """A CRL in PEM of (serial number, when)."""
    ca = x509.load_pem_x509_certificate(tls.ca_certificate_pem(settings))
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.subject)
        .last_update(now - dt.timedelta(minutes=5))
        .next_update(now + CRL_LIFETIME)
    )
    for serial, when in revoked:
        row = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(when).build()
        builder = builder.add_revoked_certificate(row)
    crl = builder.sign(keys.certificate_key(CertificateKey.CA), hashes.SHA256())
    return crl.public_bytes(serialization.Encoding.PEM)


def trust_context(settings: Settings) -> ssl.SSLContext:
    """Trusts the installation's own authority besides the system's."""
    context = ssl.create_default_context()
    own_ca = settings.home / "tls" / "ca.pem"
    if own_ca.is_file():
        context.load_verify_locations(cafile=own_ca)
    return context


class RoleLogin:
    """How one role logs in to the broker: its own certificate, made when the process starts and again before it ends.

    Not a file anybody keeps: whoever has the authority's key can make one, and nobody else needs it.
    """

    def __init__(self, settings: Settings, keys: KeyStore, *, name: str, clock: Clock) -> None:
        self.context = trust_context(settings)
        self._settings, self._keys, self._name, self._clock = settings, keys, name, clock
        self._ends: dt.datetime | None = None
        self.renew()

    def renew(self) -> None:
        """Before each connection: does something only when the certificate is missing or ends soon."""
        now = self._clock.now()
        if self._ends is not None and self._ends - now > RENEW_BEFORE:
            return
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = issue(
            self._settings, self._keys, name=self._name, public_key=key.public_key(), now=now, lifetime=ROLE_LIFETIME
        )
        with tempfile.TemporaryDirectory(prefix="cinnabar-", dir=keyfile.memory_folder()) as folder:
            path = Path(folder) / "login.pem"
            keyfile.write_private(path, certificate.public_bytes(serialization.Encoding.PEM) + keyfile.plain_pem(key))
            self.context.load_cert_chain(path)
        self._ends = certificate.not_valid_after_utc
