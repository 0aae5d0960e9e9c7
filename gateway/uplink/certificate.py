"""The certificate that lets this box in at the broker: made for a key that never leaves it, renewed before its end."""

import asyncio
import datetime as dt
import ssl
from pathlib import Path
from typing import Final, Protocol

import structlog
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.clock import Clock
from gateway.errors import BadConfiguration, HeadOfficeRefused, HeadOfficeUnreachable
from gateway.private_file import write_private
from gateway.settings import GatewaySettings

RENEW_BEFORE: Final = dt.timedelta(days=30)
LOOK_EVERY_S: Final = 6 * 3600.0
TRY_AGAIN_S: Final = 60.0

log = structlog.get_logger("gateway.certificate")


class Authority(Protocol):
    async def certificate(self, request: bytes) -> dict[str, str]:
        """Raises: HeadOfficeRefused, HeadOfficeUnreachable."""
        ...


def trust_context(settings: GatewaySettings) -> ssl.SSLContext:
    """What headquarters' certificates must come from. Raises: BadConfiguration."""
    try:
        return ssl.create_default_context(cafile=settings.ca_file)
    except (OSError, ssl.SSLError) as error:
        raise BadConfiguration(f"{settings.ca_file} is no certificate of an authority. Enrol this gateway.") from error


class BoxLogin:
    """A TLS context that takes the newest certificate from disk. `reload` is for one thread."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.context = trust_context(settings)
        self._path = Path(settings.certificate_file)
        self._loaded = 0

    def reload(self) -> None:
        """Before each connection; without a certificate the broker will refuse. Raises: OSError, ssl.SSLError."""
        changed = self._path.stat().st_mtime_ns
        if changed != self._loaded:
            self.context.load_cert_chain(self._path)
            self._loaded = changed


class CertificateKeeper:
    """Keeps the certificate on disk good while the gateway runs."""

    def __init__(self, settings: GatewaySettings, head_office: Authority, clock: Clock) -> None:
        self._settings = settings
        self._head_office = head_office
        self._clock = clock

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            wait_s = LOOK_EVERY_S
            if self.is_due():
                try:
                    await self.renew()
                except (HeadOfficeRefused, HeadOfficeUnreachable, OSError) as error:
                    log.warning("certificate_not_renewed", error=str(error))
                    wait_s = TRY_AGAIN_S
            await asyncio.sleep(wait_s)

    def is_due(self) -> bool:
        """Missing, unreadable, or less than a third of its time left."""
        certificate = read_certificate(Path(self._settings.certificate_file))
        if certificate is None:
            return True
        now = dt.datetime.fromtimestamp(self._clock.now_ms() / 1000, dt.UTC)
        return certificate.not_valid_after_utc - now < RENEW_BEFORE

    async def renew(self) -> dict[str, str]:
        """A new key and a certificate for it, on disk; headquarters' answer.

        Raises: HeadOfficeRefused, HeadOfficeUnreachable, OSError.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        answer = await self._head_office.certificate(_request(key, self._settings.gateway_id))
        plain = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        # One file for both: a power cut between two files would leave a certificate without its key.
        path = Path(self._settings.certificate_file)
        await asyncio.to_thread(write_private, path, answer["certificate"].encode() + plain)
        log.info("certificate_renewed", expires_ms=answer["expires_ms"])
        return answer


def read_certificate(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (OSError, ValueError):
        return None


def _request(key: ec.EllipticCurvePrivateKey, name: str) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.PEM)
