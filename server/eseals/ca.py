"""The installation's own certificate authority for electronic seals.

One P-256 root issues the seal certificates, the time-stamp certificate and the revocation list. It proves that a
document is as the company sealed it; it is no outside authority. Every function is pure: keys, names, time and serial
numbers come in as arguments, and signatures are deterministic (RFC 6979), so equal input gives equal bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DOCUMENT_SIGNING: Final = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")
"""Extended key usage id-kp-documentSigning, RFC 9336."""

DEMO_MARK: Final = "DEMO"
"""First word of every organization and common name below a demo root."""

ROOT_DAYS: Final = 15 * 365
TSA_DAYS: Final = 12 * 365
SEAL_DAYS: Final = 365
CRL_DAYS: Final = 400
"""Offline verifiers hold the list from the trust bundle, so it lives longer than a seal certificate."""

BACKDATE: Final = timedelta(minutes=5)
"""A certificate is valid from a little before now: clocks of readers differ."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """Who a certificate names. `organization_identifier` is ETSI EN 319 412-1 form (NTRCN-9131...), or ""."""

    organization: str
    common_name: str
    country: str
    organization_identifier: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A root key with its certificate: what issuing needs."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation:
    """One withdrawn certificate."""

    serial: int
    at: datetime
    reason: x509.ReasonFlags = x509.ReasonFlags.cessation_of_operation


def make_root(
    key: ec.EllipticCurvePrivateKey, *, holder: Holder, now: datetime, serial: bytes, demo: bool
) -> x509.Certificate:
    """The self-signed root: key usage keyCertSign and cRLSign, path length 0."""
    name = _name(holder, demo=demo)
    public = key.public_key()
    builder = (
        _start(public, subject=name, issuer=name, now=now, days=ROOT_DAYS, serial=serial)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
    )
    return builder.sign(key, hashes.SHA256(), ecdsa_deterministic=True)


def issue_seal_certificate(
    authority: Authority,
    public_key: ec.EllipticCurvePublicKey,
    *,
    holder: Holder,
    now: datetime,
    serial: bytes,
    days: int = SEAL_DAYS,
) -> x509.Certificate:
    """A seal certificate: documentSigning for those who know it, emailProtection for NSS readers such as pdfsig."""
    usage = x509.ExtendedKeyUsage([DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION])
    builder = _leaf(authority, public_key, holder=holder, now=now, days=days, serial=serial)
    builder = builder.add_extension(_key_usage(non_repudiation=True), critical=True)
    return _signed(builder.add_extension(usage, critical=False), authority)


def issue_tsa_certificate(
    authority: Authority,
    public_key: ec.EllipticCurvePublicKey,
    *,
    holder: Holder,
    now: datetime,
    serial: bytes,
    days: int = TSA_DAYS,
) -> x509.Certificate:
    """A time-stamp certificate: timeStamping is its only extended key usage, and critical (RFC 3161 section 2.3)."""
    usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.TIME_STAMPING])
    builder = _leaf(authority, public_key, holder=holder, now=now, days=days, serial=serial)
    builder = builder.add_extension(_key_usage(non_repudiation=True), critical=True)
    return _signed(builder.add_extension(usage, critical=True), authority)


def make_crl(
    authority: Authority, *, revoked: Sequence[Revocation], number: int, now: datetime, days: int = CRL_DAYS
) -> x509.CertificateRevocationList:
    """The revocation list; `number` must grow with every list (RFC 5280 section 5.2.3)."""
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(authority.certificate.subject)
        .last_update(now - BACKDATE)
        .next_update(now + timedelta(days=days))
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(_authority_key(authority), critical=False)
    )
    for entry in revoked:
        builder = builder.add_revoked_certificate(
            x509.RevokedCertificateBuilder()
            .serial_number(entry.serial)
            .revocation_date(entry.at)
            .add_extension(x509.CRLReason(entry.reason), critical=False)
            .build()
        )
    return builder.sign(authority.key, hashes.SHA256(), ecdsa_deterministic=True)


def is_demo(certificate: x509.Certificate) -> bool:
    """Whether the certificate's subject or issuer carries the demo mark."""
    names = [*certificate.subject, *certificate.issuer]
    return any(str(attribute.value).split(" ")[0] == DEMO_MARK for attribute in names)


def serial_number(serial: bytes) -> int:
    """The certificate serial for 16 random bytes: positive and at most 20 octets (RFC 5280 section 4.1.2.2).

    Raises: ValueError for fewer than 8 or more than 19 bytes.
    """
    if not 8 <= len(serial) <= 19:
        raise ValueError(f"a serial number takes 8 to 19 bytes, got {len(serial)}")
    return int.from_bytes(b"\x01" + serial)


def _name(holder: Holder, *, demo: bool) -> x509.Name:
    mark = f"{DEMO_MARK} " if demo else ""
    parts = [
        x509.NameAttribute(NameOID.COUNTRY_NAME, holder.country),
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, mark + holder.organization),
    ]
    if holder.organization_identifier:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATION_IDENTIFIER, holder.organization_identifier))
    parts.append(x509.NameAttribute(NameOID.COMMON_NAME, mark + holder.common_name))
    return x509.Name(parts)


def _start(
    public: ec.EllipticCurvePublicKey, *, subject: x509.Name, issuer: x509.Name, now: datetime, days: int, serial: bytes
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(serial_number(serial))
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _leaf(
    authority: Authority,
    public: ec.EllipticCurvePublicKey,
    *,
    holder: Holder,
    now: datetime,
    days: int,
    serial: bytes,
) -> x509.CertificateBuilder:
    root = authority.certificate
    subject = _name(holder, demo=is_demo(root))
    return (
        _start(public, subject=subject, issuer=root.subject, now=now, days=days, serial=serial)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_authority_key(authority), critical=False)
    )


def _signed(builder: x509.CertificateBuilder, authority: Authority) -> x509.Certificate:
    return builder.sign(authority.key, hashes.SHA256(), ecdsa_deterministic=True)


def _authority_key(authority: Authority) -> x509.AuthorityKeyIdentifier:
    own = authority.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own.value)


def _key_usage(*, signs_certificates: bool = False, non_repudiation: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=non_repudiation,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
