"""Our own strict verdict on a PDF that claims to carry an electronic seal.

No stock check gives one safe boolean: the long-term check of the library under this one passes a file whose page was
replaced, and its basic check passes a file whose long-term proof was cut off. So every rule below must hold:

1. each seal chains to a trusted root, carries the document-signing usage, and was set by P-256 with SHA-256;
2. its bytes are intact, and it covers its whole revision;
3. what was appended after it is nothing but the upkeep of the long-term proof;
4. its time stamp is intact and chains to a trusted root; the seal certificate was good at that time;
5. no two signature fields share one value or one byte range, and nothing is hidden behind a signature;
6. the long-term proof holds (PAdES-B-LTA), or the ledger lists the digest of exactly this file.

Anything that a parser throws is an answer too: the file was changed or cannot be verified. Nothing is fetched from the
network, whatever address a certificate names.
"""

import asyncio
import io
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, Literal

from asn1crypto import crl as asn1_crl
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from pyhanko.pdf_utils.generic import IndirectObject
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.ades.report import AdESPassed
from pyhanko.sign.diff_analysis import ModificationLevel
from pyhanko.sign.general import find_unique_cms_attribute
from pyhanko.sign.validation import ades, validate_pdf_signature
from pyhanko.sign.validation import policy_decl as policy
from pyhanko.sign.validation.generic_cms import extract_tst_data_iter
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature
from pyhanko.sign.validation.settings import KeyUsageConstraints
from pyhanko.sign.validation.status import PdfSignatureStatus, SignatureCoverageLevel
from pyhanko_certvalidator import ValidationContext
from pyhanko_certvalidator.context import CertValidationPolicySpec
from pyhanko_certvalidator.ltv.types import ValidationTimingInfo
from pyhanko_certvalidator.policy_decl import (
    REQUIRE_REVINFO,
    CertRevTrustPolicy,
)
from pyhanko_certvalidator.registry import SimpleTrustManager
from pyhanko_certvalidator.revinfo.archival import CRLContainer

from server.eseals import der
from server.eseals.ca import DOCUMENT_SIGNING, is_demo

Outcome = Literal["sealed", "changed", "cannot_verify", "no_seal"]
Level = Literal["", "B-B", "B-T", "B-LTA"]

_BYTE_RANGE: Final = re.compile(rb"/ByteRange\s*\[")
_SEAL_USAGE: Final = KeyUsageConstraints(
    key_usage={"digital_signature"}, extd_key_usage={DOCUMENT_SIGNING.dotted_string}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SealVerdict:
    """The answer. `sealed_at` is the time stamp's time and set only for a trusted stamp; `signer` names who sealed.

    Reasons are codes. For "sealed": listed, archived. For "changed": content_changed, changed_after_sealing,
    covers_part_only, shared_value, seal_removed. For "cannot_verify": not_a_pdf, damaged, encrypted, unknown_issuer,
    certificate_revoked, no_timestamp, timestamp_untrusted, weak_algorithm, not_listed. For "no_seal": none.
    """

    outcome: Outcome
    reasons: tuple[str, ...] = ()
    signer: str = ""
    sealed_at: datetime | None = None
    level: Level = ""
    demo: bool = False


@dataclass(frozen=True, slots=True)
class _Trust:
    """What a verifier holds: roots, revocation lists, and its own time."""

    roots: Sequence[x509.Certificate]
    revocation_lists: Sequence[x509.CertificateRevocationList]
    now: datetime

    def context(self, *, moment: datetime) -> ValidationContext:
        return ValidationContext(
            trust_roots=[_asn1(root) for root in self.roots],
            crls=[crl.public_bytes(Encoding.DER) for crl in self.revocation_lists],
            allow_fetching=False,
            moment=moment,
            retroactive_revinfo=True,
        )

    def withdrawal(self, certificate: asn1_x509.Certificate) -> x509.RevokedCertificate | None:
        """The entry for `certificate` in a list that a root signed.

        Asked here because the library looks at a list only if the certificate names where to fetch one.
        """
        for crl, root in itertools.product(self.revocation_lists, self.roots):
            key = root.public_key()
            if crl.issuer != root.subject or not isinstance(key, ec.EllipticCurvePublicKey | rsa.RSAPublicKey):
                continue
            entry = crl.get_revoked_certificate_by_serial_number(certificate.serial_number)
            if entry is not None and crl.is_signature_valid(key):
                return entry
        return None

    def issued(self, certificate: asn1_x509.Certificate) -> bool:
        """Whether one of the roots itself signed `certificate`; says whose seal a broken file claims to carry."""
        leaf = x509.load_der_x509_certificate(certificate.dump())
        for root in self.roots:
            try:
                leaf.verify_directly_issued_by(root)
            except (ValueError, TypeError, InvalidSignature):
                continue
            return True
        return False


@dataclass(frozen=True, slots=True)
class _Finding:
    """What one seal of the file comes to."""

    outcome: Outcome
    reason: str
    sealed_at: datetime | None = None
    level: Level = "B-B"


def verify_sealed_pdf(
    data: bytes,
    *,
    trusted_roots: Sequence[x509.Certificate],
    known_digests: Callable[[bytes], bool] | None,
    now: datetime,
    revocation_lists: Sequence[x509.CertificateRevocationList] = (),
) -> SealVerdict:
    """The verdict on `data`; never raises on input. `now` is aware.

    `known_digests` says whether the ledger lists a SHA-256 digest as a file we sealed; None when there is no ledger.
    """
    trust = _Trust(trusted_roots, revocation_lists, now)
    try:
        reader = PdfFileReader(io.BytesIO(data), strict=True)
        encrypted = reader.encrypted
        fields: list[EmbeddedPdfSignature] = [] if encrypted else list(reader.embedded_signatures)
        seals = [field for field in fields if str(field.sig_object_type) == "/Sig"]
    except Exception:  # noqa: BLE001 - the parser throws anything on hostile bytes
        return SealVerdict(outcome="cannot_verify", reasons=("damaged" if b"%PDF-" in data[:1024] else "not_a_pdf",))
    if encrypted:
        return SealVerdict(outcome="cannot_verify", reasons=("encrypted",))
    if not seals:
        hidden = _BYTE_RANGE.search(data) is not None
        return SealVerdict(outcome="changed", reasons=("seal_removed",)) if hidden else SealVerdict(outcome="no_seal")
    findings = [_judge(seal, last=seal is seals[-1], trust=trust) for seal in seals]
    if _shares_a_value(fields):
        findings.append(_Finding("changed", "shared_value"))
    if any(_hides_data(field) for field in fields):
        findings.append(_Finding("cannot_verify", "damaged"))
    return _sum_up(seals, findings, listed=known_digests is not None and known_digests(sha256(data).digest()))


def _sum_up(seals: list[EmbeddedPdfSignature], findings: list[_Finding], *, listed: bool) -> SealVerdict:
    """The worst finding decides; only if none is bad, the rule about proof below B-LTA is asked."""
    signer, demo = _named(seals[0])
    sealed_at, level = findings[0].sealed_at, min((finding.level for finding in findings), key=_LEVELS.index)
    for outcome in ("changed", "cannot_verify"):
        reasons = tuple(dict.fromkeys(finding.reason for finding in findings if finding.outcome == outcome))
        if reasons:
            return SealVerdict(
                outcome=outcome, reasons=reasons, signer=signer, sealed_at=sealed_at, level=level, demo=demo
            )
    archived = all(finding.level == "B-LTA" for finding in findings)
    reasons = (*(("listed",) if listed else ()), *(("archived",) if archived else ()))
    return SealVerdict(
        outcome="sealed" if reasons else "cannot_verify",
        reasons=reasons or ("not_listed",),
        signer=signer,
        sealed_at=sealed_at,
        level=level,
        demo=demo,
    )


_LEVELS: Final[list[Level]] = ["", "B-B", "B-T", "B-LTA"]


def _judge(seal: EmbeddedPdfSignature, *, last: bool, trust: _Trust) -> _Finding:
    try:
        ours = trust.issued(seal.signer_cert)
        claimed = _claimed_time(seal)
        status = validate_pdf_signature(
            seal,
            signer_validation_context=trust.context(moment=claimed or trust.now),
            ts_validation_context=trust.context(moment=trust.now),
            key_usage_settings=_SEAL_USAGE,
        )
        bad = _not_intact(status, ours=ours, last=last) or _not_trusted(status, seal)
        if bad:
            return bad
        stamp = status.timestamp_validity
        if stamp is None:
            return _Finding("cannot_verify", "no_timestamp")
        trusted = stamp.valid and stamp.intact and stamp.trusted and stamp.timestamp == claimed
        stamper, sealer = trust.withdrawal(stamp.signing_cert), trust.withdrawal(seal.signer_cert)
        if not trusted or (stamper is not None and not _still_vouches(stamper, at=stamp.timestamp)):
            return _Finding("cannot_verify", "timestamp_untrusted")
        if sealer is not None and sealer.revocation_date_utc <= stamp.timestamp:
            return _Finding("cannot_verify", "certificate_revoked")
        level: Level = "B-LTA" if _is_archived(seal, trust) else "B-T"
    except Exception:  # noqa: BLE001 - the parser throws anything on hostile bytes
        return _damaged(seal, trust)
    return _Finding("sealed", "", sealed_at=stamp.timestamp, level=level)


def _not_intact(status: PdfSignatureStatus, *, ours: bool, last: bool) -> _Finding | None:
    """Rules 2 and 3. A broken seal of somebody else says nothing about us."""
    outcome: Outcome = "changed" if ours else "cannot_verify"
    if not (status.intact and status.valid):
        return _Finding(outcome, "content_changed" if ours else "unknown_issuer")
    if status.coverage is None or status.coverage < SignatureCoverageLevel.ENTIRE_REVISION:
        return _Finding(outcome, "covers_part_only" if ours else "unknown_issuer")
    allowed = ModificationLevel.LTA_UPDATES if last else ModificationLevel.FORM_FILLING  # a later seal fills its field
    level = status.modification_level
    if not status.docmdp_ok or level is None or level > allowed:
        return _Finding(outcome, "changed_after_sealing" if ours else "unknown_issuer")
    return None


def _not_trusted(status: PdfSignatureStatus, seal: EmbeddedPdfSignature) -> _Finding | None:
    """Rule 1."""
    if status.revoked:
        return _Finding("cannot_verify", "certificate_revoked")
    if not status.trusted or not status.seed_value_ok:
        return _Finding("cannot_verify", "unknown_issuer")
    key = seal.signer_cert.public_key
    if seal.md_algorithm != "sha256" or key.algorithm != "ec" or key.curve != ("named", "secp256r1"):
        return _Finding("cannot_verify", "weak_algorithm")
    return None


def _damaged(seal: EmbeddedPdfSignature, trust: _Trust) -> _Finding:
    """What can still be said of a file that cannot be read through: "changed" only if a digest is seen to differ."""
    try:
        if not trust.issued(seal.signer_cert):
            return _Finding("cannot_verify", "unknown_issuer")
        signed = find_unique_cms_attribute(seal.signer_info["signed_attrs"], "message_digest").native
        if seal.compute_digest() != signed:
            return _Finding("changed", "content_changed")
    except Exception:  # noqa: BLE001 - the parser throws anything on hostile bytes
        return _Finding("cannot_verify", "damaged")
    return _Finding("cannot_verify", "damaged")


def _is_archived(seal: EmbeddedPdfSignature, trust: _Trust) -> bool:
    """Whether the file itself proves the seal for the long term (PAdES-B-LTA, ETSI EN 319 102-1 section 5.6.3)."""
    if not seal.reader.embedded_timestamp_signatures:
        return False
    revocation = CertRevTrustPolicy(REQUIRE_REVINFO)
    certificates = CertValidationPolicySpec(
        trust_manager=SimpleTrustManager.build(trust_roots=[_asn1(root) for root in trust.roots]),
        revinfo_policy=revocation,
    )
    lists = [asn1_crl.CertificateList.load(crl.public_bytes(Encoding.DER)) for crl in trust.revocation_lists]
    spec = policy.SignatureValidationSpec(
        cert_validation_policy=certificates,
        revinfo_gathering_policy=policy.RevocationInfoGatheringSpec(
            online_fetching_rule=policy.RevinfoOnlineFetchingRule.LOCAL_ONLY,
            certificate_fetching_rule=policy.CertificateFetchingRule.NEVER_FETCH,
        ),
        local_knowledge=policy.LocalKnowledge(known_crls=[CRLContainer(one) for one in lists]),
        key_usage_settings=_SEAL_USAGE,
    )
    timing = ValidationTimingInfo(
        validation_time=trust.now, best_signature_time=trust.now, point_in_time_validation=False
    )
    result = asyncio.run(ades.ades_lta_validation(seal, policy.PdfSignatureValidationSpec(spec), timing_info=timing))
    # The sub-indication alone passes a replaced page; only the status carries the verdict on what was appended.
    status = result.api_status
    return result.ades_subindic == AdESPassed.OK and status is not None and bool(status.bottom_line)


def _claimed_time(seal: EmbeddedPdfSignature) -> datetime | None:
    """The time in the seal's own time stamp, not yet verified; the caller compares it after verifying the stamp."""
    stamp = next(extract_tst_data_iter(seal.signer_info, signed=False), None)
    if stamp is None:
        return None
    time: datetime = stamp["encap_content_info"]["content"].parsed["gen_time"].native
    return time


def _hides_data(field: EmbeddedPdfSignature) -> bool:
    """Whether anything but zeros follows the signature in its gap, the one place that no signature covers."""
    try:
        return bool(field.pkcs7_content[der.first_length(field.pkcs7_content) :].strip(b"\x00"))
    except der.MalformedDer:
        return True


def _shares_a_value(fields: list[EmbeddedPdfSignature]) -> bool:
    """Rule 5: one value shown in two fields could stand for a seal that was never set there."""
    values: list[Any] = [field.sig_field.raw_get("/V") for field in fields]
    ranges = [tuple(int(edge) for edge in field.byte_range) for field in fields]
    keys = [value.reference if isinstance(value, IndirectObject) else id(value) for value in values]
    return len(set(keys)) < len(keys) or len(set(ranges)) < len(ranges)


def _named(seal: EmbeddedPdfSignature) -> tuple[str, bool]:
    """Who the certificate names, and whether it is a demo one; ("", False) when it cannot be read."""
    try:
        leaf = x509.load_der_x509_certificate(seal.signer_cert.dump())
        names = [
            str(part.value)
            for oid in (x509.NameOID.ORGANIZATION_NAME, x509.NameOID.COMMON_NAME)
            for part in leaf.subject.get_attributes_for_oid(oid)
        ]
        return ", ".join(names), is_demo(leaf)
    except Exception:  # noqa: BLE001 - not even the certificate can be read
        return "", False


def _still_vouches(entry: x509.RevokedCertificate, *, at: datetime) -> bool:
    """Whether a withdrawn time-stamp key still proves `at`: only if it was never stolen (RFC 3161 section 4, 1-2)."""
    try:
        reason = entry.extensions.get_extension_for_class(x509.CRLReason).value.reason
    except x509.ExtensionNotFound:
        return False
    return reason in _PLAIN_REASONS and at < entry.revocation_date_utc


_PLAIN_REASONS: Final = {
    x509.ReasonFlags.unspecified,
    x509.ReasonFlags.affiliation_changed,
    x509.ReasonFlags.superseded,
    x509.ReasonFlags.cessation_of_operation,
}


def _asn1(certificate: x509.Certificate) -> asn1_x509.Certificate:
    return asn1_x509.Certificate.load(certificate.public_bytes(Encoding.DER))
