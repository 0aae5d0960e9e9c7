"""HTTPS without an outside authority: a local CA that `cinnabar init` makes, and a certificate that renews itself.

The CA may sign only for this installation's own names (RFC 5280 section 4.2.1.10), so a phone that trusts it trusts
nothing else. An operator with a public certificate puts cert.pem and a key in home/tls and sets no CA.
"""

import datetime as dt
import hashlib
import ipaddress
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from server.core.keystore import CertificateKey, KeyStore
from server.core.settings import Settings

CA_LIFETIME: Final = dt.timedelta(days=3650)
CERTIFICATE_LIFETIME: Final = dt.timedelta(days=397)
"""Longest that browsers accept for certificates made in 2026 by authorities a person added."""
RENEW_BEFORE: Final = dt.timedelta(days=30)
_LOOPBACK: Final = ("127.0.0.1", "::1")


def create_ca(settings: Settings, keys: KeyStore, *, now: dt.datetime) -> None:
    """Make home/tls/ca.pem and the first server certificate."""
    folder = _folder(settings)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = keys.certificate_key(CertificateKey.CA)
    common = f"{'DEMO ' if settings.demo else ''}Cinnabar local authority for {settings.host}"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common[:64])])
    certificate = (
        certificate_builder(name, name, key.public_key(), now=now, lifetime=CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(key_usage(ca=True), critical=True)
        .add_extension(x509.NameConstraints(permitted_subtrees=_constraints(settings), excluded_subtrees=None), True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    ensure_certificate(settings, keys, now=now)


def ensure_certificate(settings: Settings, keys: KeyStore, *, now: dt.datetime) -> Path:
    """home/tls/cert.pem, made new when it is missing, ends within 30 days, or does not name this host."""
    path = _folder(settings) / "cert.pem"
    if path.is_file():
        current = x509.load_pem_x509_certificate(path.read_bytes())
        names = current.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if current.not_valid_after_utc - now > RENEW_BEFORE and set(names) == set(_names(settings)):
            return path
    certificate = issue_for_host(
        settings, keys, public_key=keys.certificate_key(CertificateKey.TLS).public_key(), now=now
    )
    fresh = path.with_suffix(".new")
    fresh.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    fresh.rename(path)
    return path


def issue_for_host(
    settings: Settings, keys: KeyStore, *, public_key: ec.EllipticCurvePublicKey, now: dt.datetime
) -> x509.Certificate:
    """A server's certificate for every name of this installation: for our HTTPS, and for a broker that stands here."""
    ca = x509.load_pem_x509_certificate(ca_certificate_pem(settings))
    ca_key = keys.certificate_key(CertificateKey.CA)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, settings.host[:64])])
    return (
        certificate_builder(subject, ca.subject, public_key, now=now, lifetime=CERTIFICATE_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage(ca=False), critical=True)
        .add_extension(x509.SubjectAlternativeName(_names(settings)), critical=False)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
        .sign(ca_key, hashes.SHA256())
    )


def ca_certificate_pem(settings: Settings) -> bytes:
    """The local authority's certificate, for the trust page. Raises: FileNotFoundError before `cinnabar init`."""
    return (_folder(settings) / "ca.pem").read_bytes()


def ca_fingerprint(settings: Settings) -> str:
    """SHA-256 of the CA certificate as people compare it: 'AB:CD:...'."""
    der = x509.load_pem_x509_certificate(ca_certificate_pem(settings)).public_bytes(serialization.Encoding.DER)
    return hashlib.sha256(der).digest().hex(":").upper()


def _folder(settings: Settings) -> Path:
    return settings.home / "tls"


def certificate_builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, *, now: dt.datetime, lifetime: dt.timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(minutes=5))  # clocks in an office differ a little
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


def _names(settings: Settings) -> list[x509.GeneralName]:
    """What people may type: the host name, and loopback."""
    hosts = dict.fromkeys((settings.host, "localhost", settings.bind, *_LOOPBACK))
    return [name for name in map(_general_name, hosts) if name is not None]


def _general_name(host: str) -> x509.GeneralName | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return x509.DNSName(host)
    return None if address.is_unspecified else x509.IPAddress(address)


def _constraints(settings: Settings) -> list[x509.GeneralName]:
    """The names above as permitted subtrees; an address becomes a network of one."""
    return [
        x509.IPAddress(ipaddress.ip_network(name.value)) if isinstance(name, x509.IPAddress) else name
        for name in _names(settings)
    ]
