"""The installation's own seal authority at work: certificates from home/eseal, the revocation list from the trust
bundle, keys from the key store.

The list in the trust bundle is the one list: what clients hold offline and what sealing writes into a file never
differ. Its number grows with every list (RFC 5280 section 5.2.3).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from server.core.keystore import CertificateKey, KeyStore
from server.core.runtime import Runtime
from server.core.signer import Purpose
from server.core.trustfile import TrustFile
from server.eseals import ca
from server.eseals.ca import Revocation
from server.eseals.signer import LocalSigner
from server.verification import trust
from server.verification.trust import TrustBundle, Withdrawal

if TYPE_CHECKING:  # both bring pyHanko, which a process that never seals does without
    from server.eseals.sealing import Archive
    from server.eseals.stamper import InProcessTimeStamper

CERTIFICATES: Final = "eseal"
"""Folder in home with ca.pem, seal.pem and tsa.pem, made by `cinnabar init`."""
RENEW_BEFORE: Final = timedelta(days=200)
"""A list with less time left is replaced: half of its life, so that a sealed file carries one that lasts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealAuthority:
    """What sealing needs, opened once per sealing; the private keys stay in this process."""

    root: x509.Certificate
    seal: LocalSigner
    tsa: LocalSigner
    revocation_list: x509.CertificateRevocationList

    def archive(self) -> "Archive":
        from server.eseals.sealing import Archive

        return Archive(roots=[self.root], revocation_lists=[self.revocation_list])

    def timestamper(self, *, clock: Callable[[], datetime], serials: Callable[[], bytes]) -> "InProcessTimeStamper":
        from server.eseals.stamper import InProcessTimeStamper
        from server.eseals.tsa import TimestampAuthority

        return InProcessTimeStamper(TimestampAuthority(self.tsa), clock=clock, serials=serials)

    @property
    def revoked(self) -> bool:
        serial = self.seal.certificate.serial_number
        return self.revocation_list.get_revoked_certificate_by_serial_number(serial) is not None

    def list_wears_out(self, now: datetime) -> bool:
        until = self.revocation_list.next_update_utc
        return until is None or until - now < RENEW_BEFORE


def open_authority(run: Runtime) -> SealAuthority:
    """Raises: KeyUnreadable, FileNotFoundError before `cinnabar init`."""
    folder = run.settings.home / CERTIFICATES
    root = _certificate(folder / "ca.pem")
    bundle = trust.read_bundle(TrustFile(run.settings.home).bundle())
    return SealAuthority(
        root=root,
        seal=_signer(run.keys, CertificateKey.ESEAL, folder / "seal.pem", root),
        tsa=_signer(run.keys, CertificateKey.TSA, folder / "tsa.pem", root),
        revocation_list=newest_list(bundle.crls, root),
    )


def newest_list(lists: Iterable[bytes], root: x509.Certificate) -> x509.CertificateRevocationList:
    """The root's list with the highest number. Raises: ValueError, when there is none."""
    own = [crl for crl in map(x509.load_der_x509_crl, lists) if crl.issuer == root.subject]
    return max(own, key=_number)


def publish(run: Runtime, *, withdrawn: Iterable[Withdrawal] = (), revoked: Iterable[Revocation] = ()) -> TrustBundle:
    """A new trust bundle with these withdrawals and revocations added and a fresh list. Saying it again adds nothing.

    Raises: KeyUnreadable.
    """
    root = _certificate(run.settings.home / CERTIFICATES / "ca.pem")
    issuer = ca.Authority(key=run.keys.certificate_key(CertificateKey.ESEAL_CA), certificate=root)
    now = run.now()

    def change(anchor: bytes, current: bytes) -> bytes:
        before = trust.read_bundle(current)
        known = {(one.kind, one.id) for one in before.withdrawals}
        fresh = [one for one in withdrawn if (one.kind, one.id) not in known]
        last = newest_list(before.crls, root)
        return trust.reissue(
            anchor,
            current,
            key=run.keys.signer(Purpose.BUNDLE),
            issued=int(now.timestamp()),
            crls=[*_others(before.crls, root), _next_list(issuer, last, revoked, now)],
            withdrawals=[*before.withdrawals, *fresh],
        )

    return trust.read_bundle(TrustFile(run.settings.home).update(change))


def _next_list(
    issuer: ca.Authority, last: x509.CertificateRevocationList, revoked: Iterable[Revocation], now: datetime
) -> bytes:
    """The list after `last`: all that stood there, and what is new."""
    kept = [Revocation(serial=one.serial_number, at=one.revocation_date_utc, reason=_reason(one)) for one in last]
    known = {one.serial for one in kept}
    added = [one for one in revoked if one.serial not in known]
    crl = ca.make_crl(issuer, revoked=[*kept, *added], number=_number(last) + 1, now=now)
    return crl.public_bytes(Encoding.DER)


def _others(lists: Iterable[bytes], root: x509.Certificate) -> list[bytes]:
    return [der for der in lists if x509.load_der_x509_crl(der).issuer != root.subject]


def _number(crl: x509.CertificateRevocationList) -> int:
    return crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def _reason(entry: x509.RevokedCertificate) -> x509.ReasonFlags:
    return entry.extensions.get_extension_for_class(x509.CRLReason).value.reason


def _signer(keys: KeyStore, name: CertificateKey, path: Path, root: x509.Certificate) -> LocalSigner:
    return LocalSigner(key=keys.certificate_key(name), certificate=_certificate(path), chain=(root,))


def _certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())
