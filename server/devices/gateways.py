"""Gateways: enrolling them and their secrets."""

from sqlmodel import Session

from server.core.runtime import Runtime
from server.core.scope import Scope
from server.devices import store
from server.devices.errors import GatewayTaken, NoSuchGateway
from server.devices.models import Gateway
from server.devices.schemas import GatewayMade, GatewayRead
from server.identity import entries, secrets_of
from server.identity import service as identity
from server.identity.entries import EntryType


def enrol_gateway(
    db: Session, run: Runtime, scope: Scope, *, gateway_id: str, name: str, branch_path: str
) -> GatewayMade:
    """A gateway and its secret, which is shown this once. Raises: NoSuchBranch, GatewayTaken."""
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
    """A new secret; the old one stops working now. Raises: NoSuchGateway."""
    row = _gateway(db, scope, gateway_id)
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
    db.flush()
    _record(db, run, scope, row, EntryType.GATEWAY_REVOKED, public={}, private={"reason": reason})


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
