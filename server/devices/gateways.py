"""Gateways: enrolling them, their secrets, and the certificates that let them in at the broker."""

from cryptography.hazmat.primitives.serialization import Encoding
from sqlmodel import Session

from server.core import client_tls, tls
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.devices import store
from server.devices.errors import BadCertificateRequest, GatewayTaken, NameReserved, NoSuchGateway
from server.devices.models import Gateway, GatewayCertificate
from server.devices.schemas import CertificateOut, GatewayMade, GatewayRead
from server.identity import entries, secrets_of
from server.identity import service as identity
from server.identity.entries import EntryType


def enrol_gateway(
    db: Session, run: Runtime, scope: Scope, *, gateway_id: str, name: str, branch_path: str
) -> GatewayMade:
    """A gateway and its secret, which is shown this once. Raises: NoSuchBranch, GatewayTaken, NameReserved."""
    if client_tls.is_role_name(gateway_id):
        raise NameReserved
    identity.check_branch(db, scope, branch_path)
    if store.gateway(db, gateway_id) is not None:
        raise GatewayTaken
    secret = secrets_of.new_token(run.rng)
    row = Gateway(
        id=run.new_id(),
        created_at=run.now(),
        tenant_id=scope.tenant_id,
        branch_path=branch_path,
        gateway_id=gateway_id,
        name=name,
        secret_hash=secrets_of.token_hash(secret),
    )
    db.add(row)
    db.flush()
    _record(db, run, scope, row, EntryType.GATEWAY_ENROLLED, public={"branch": branch_path}, private={"name": name})
    return GatewayMade(gateway=GatewayRead.model_validate(row), secret=secret)


def renew_gateway_secret(db: Session, run: Runtime, scope: Scope, *, gateway_id: str) -> GatewayMade:
    """A new secret; the old one and the box's certificate stop working now. Raises: NoSuchGateway."""
    row = _gateway(db, scope, gateway_id)
    _revoke_certificates(db, run, gateway_id)
    secret = secrets_of.new_token(run.rng)
    row.secret_hash, row.active = secrets_of.token_hash(secret), True
    db.add(row)
    db.flush()
    branch, name = row.branch_path, row.name
    _record(db, run, scope, row, EntryType.GATEWAY_ENROLLED, public={"branch": branch}, private={"name": name})
    return GatewayMade(gateway=GatewayRead.model_validate(row), secret=secret)


def forget_gateway(db: Session, run: Runtime, scope: Scope, *, gateway_id: str, reason: str) -> None:
    """The gateway may not call any more. Raises: NoSuchGateway."""
    row = _gateway(db, scope, gateway_id)
    row.active = False
    db.add(row)
    _revoke_certificates(db, run, gateway_id)
    db.flush()
    _record(db, run, scope, row, EntryType.GATEWAY_REVOKED, public={}, private={"reason": reason})


def issue_certificate(db: Session, run: Runtime, gateway: GatewayRead, *, request: bytes) -> CertificateOut:
    """Lets the box that holds this gateway's secret in at the broker. Earlier certificates stay good until their date,
    so that an answer that got lost locks nobody out.

    Raises: BadCertificateRequest.
    """
    try:
        public_key = client_tls.read_request(request)
    except client_tls.BadSigningRequest as error:
        raise BadCertificateRequest(why=str(error)) from error
    certificate = client_tls.issue(
        run.settings,
        run.keys,
        name=gateway.gateway_id,
        public_key=public_key,
        now=run.now(),
        lifetime=client_tls.GATEWAY_LIFETIME,
    )
    expires_at = certificate.not_valid_after_utc
    db.add(
        GatewayCertificate(
            id=run.new_id(),
            created_at=run.now(),
            tenant_id=gateway.tenant_id,
            gateway_id=gateway.gateway_id,
            serial=_serial_bytes(certificate.serial_number),
            expires_at=expires_at,
        )
    )
    return CertificateOut(
        certificate=certificate.public_bytes(Encoding.PEM).decode(),
        authority=tls.ca_certificate_pem(run.settings).decode(),
        expires_ms=int(expires_at.timestamp() * 1000),
        mqtt_url=run.settings.gateway_mqtt_url,
    )


def revocation_list(db: Session, run: Runtime) -> bytes:
    """For the broker, PEM: certificates of boxes that were forgotten or given a new secret."""
    rows = store.revoked_certificates(db, run.now())
    revoked = [(int.from_bytes(row.serial), row.revoked_at) for row in rows if row.revoked_at is not None]
    return client_tls.revocation_list(run.settings, run.keys, revoked=revoked, now=run.now())


def _revoke_certificates(db: Session, run: Runtime, gateway_id: str) -> None:
    for row in store.certificates(db, gateway_id):
        row.revoked_at = run.now()
        db.add(row)


def _serial_bytes(serial: int) -> bytes:
    return serial.to_bytes((serial.bit_length() + 7) // 8)


def _gateway(db: Session, scope: Scope, gateway_id: str) -> Gateway:
    row = store.gateway(db, gateway_id)
    if row is None or row.tenant_id != scope.tenant_id or not scope.covers(row.branch_path):
        raise NoSuchGateway
    return row


def _record(
    db: Session,
    run: Runtime,
    scope: Scope,
    row: Gateway,
    entry_type: EntryType,
    *,
    public: dict[str, object],
    private: dict[str, object],
) -> None:
    entries.record(
        db,
        run,
        entry_type,
        tenant_id=row.tenant_id,
        branch_path=row.branch_path,
        refs={"gateway": row.gateway_id},
        public=public,
        private=private | {"by": scope.person_id},
    )
