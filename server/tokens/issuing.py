"""Issue a token: every check, the signature, the ledger leaf and the way down, in one transaction."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlmodel import Session

from server.approvals import service as approvals
from server.approvals.policy import State
from server.approvals.schemas import RequestRead
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.devices import service as devices
from server.devices.errors import DeviceNotActive, SampleMissing
from server.devices.schemas import DeviceRead, DeviceState, DownKind, GatewayRead, HeadAt
from server.identity.schemas import PersonRead
from server.seals import service as seals
from server.tokens import store, sweeping, uses
from server.tokens.errors import (
    DeviceMustReport,
    KeeperRefused,
    NonceUsed,
    NotReady,
    NotYet,
    StillOpen,
    StrokesUsedUp,
    WrongDevice,
)
from server.tokens.models import StampToken
from server.tokens.modes import way
from server.tokens.schemas import LeaseRead, TokenOut, TokenRead
from server.tokens.signing import Order, keep
from server.tokens.uses import Left

MAX_STROKES: Final = 200


def issue(
    db: Session,
    run: Runtime,
    gateway: GatewayRead,
    *,
    device_id: str,
    request_id: UUID,
    nonce: bytes,
    operator_id: UUID,
) -> TokenOut:
    """A token for the device's own challenge. The same challenge again gets the same bytes again.

    Raises: NoSuchDevice, NoSuchRequest, DeviceNotActive, NotSignedInAtDevice, NotReady, NotYet, SealNotActive,
    WrongDevice, SampleMissing, KeeperRefused, StillOpen, DeviceMustReport, StrokesUsedUp, NonceUsed.
    """
    device = devices.device_of_gateway(db, gateway, device_id)
    known = store.token_for_nonce(db, device_id, nonce)
    if known is not None:
        if (known.request_id, known.operator_id) != (request_id, operator_id):
            raise NonceUsed
        devices.resend(db, run, device_id=device_id, payload=known.signed, expires_at=known.lease_until)
        return out(known)
    keeper = devices.keeper_signed_in(db, run, device_read=device, person_id=operator_id)
    # Lock the request before its uses are counted: two devices asking at once must not both get the last ones.
    request = start(db, run, device, request_id)
    head = check(db, run, device, request, keeper)
    remaining = check_left(uses.left(db, run, request), device_id)
    order = Order(
        device=device,
        request=request,
        head=head,
        keeper=keeper,
        nonce=nonce,
        way=way(
            request,
            approvals.plan(request),
            todo=remaining.plan,
            most=min(remaining.strokes, MAX_STROKES),
            leafed=device.sweep_required,
        ),
    )
    token = keep(db, run, order, token_id=run.rng.token_bytes(16))
    devices.send_down(
        db, run, device_id=device_id, kind=DownKind.TOKEN, payload=token.signed, expires_at=token.lease_until
    )
    return out(token)


def token(db: Session, scope: Scope, token_id: bytes) -> TokenRead | None:
    """One token, when the scope may see it."""
    row = store.token(db, token_id)
    if row is None or row.tenant_id != scope.tenant_id or not scope.covers(row.branch_path):
        return None
    return TokenRead.model_validate(row)


def tokens_of(db: Session, scope: Scope, request_id: UUID) -> list[TokenRead]:
    """The tokens of a request, oldest first."""
    rows = store.tokens_of_request(db, scope.tenant_id, request_id)
    return [TokenRead.model_validate(row) for row in rows if scope.covers(row.branch_path)]


def leases(db: Session, run: Runtime, scope: Scope) -> list[LeaseRead]:
    """What devices may still do, whatever is revoked now: up to N imprints until T."""
    return [
        LeaseRead(request_id=row.request_id, device_id=row.device_id, strokes=row.strokes, until=row.lease_until)
        for row in store.live(db, scope, run.now())
    ]


def start(db: Session, run: Runtime, device: DeviceRead, request_id: UUID) -> RequestRead:
    request = approvals.request(db, run, Scope.system(device.tenant_id), request_id)
    if request.state not in {State.APPROVED, State.IN_USE}:
        raise NotReady(state=request.state.value)
    return approvals.start_use(db, run, tenant_id=device.tenant_id, request_id=request_id)


def check(db: Session, run: Runtime, device: DeviceRead, request: RequestRead, keeper: PersonRead) -> HeadAt:
    """Every rule but the count; the head to use."""
    if device.state is not DeviceState.ACTIVE:
        raise DeviceNotActive(state=device.state.value)
    if request.expires_at <= run.now():
        raise NotReady(state=State.EXPIRED.value)
    if request.not_before is not None and request.not_before > run.now():
        raise NotYet(not_before=request.not_before.isoformat(timespec="minutes"))
    system = Scope.system(device.tenant_id)
    seal = seals.usable_seal(db, system, request.seal_id)
    heads = {head.head_id for head in seals.heads(db, system, seal.id)}
    mounted = devices.head_in(device, heads)
    if devices.sample_missing(device, heads):
        raise SampleMissing
    if mounted is None or request.device_id not in {None, device.device_id}:
        raise WrongDevice
    places = devices.stands_in_for(db, run, device, keeper.id)
    refused = approvals.may_keep(db, device.tenant_id, request.id, keeper.id, stands_in_for=places)
    if refused is not None:
        raise KeeperRefused(why=refused.reason.value)
    return mounted


def check_left(remaining: Left, device_id: str) -> Left:
    if remaining.open_token is not None:
        raise StillOpen(
            strokes=remaining.open_token.strokes,
            until=_clock_time(remaining.open_token.lease_until),
            device=remaining.open_token.device_id,
        )
    if remaining.silent_token is not None:
        raise DeviceMustReport(device=remaining.silent_token.device_id or device_id)
    if remaining.strokes == 0:
        raise StrokesUsedUp
    return remaining


def out(row: StampToken) -> TokenOut:
    swept = sweeping.of(row) if row.sweep else 0
    return TokenOut(token_id=row.token_id, strokes=row.strokes, window_s=row.window_s, mode=row.mode, sweep_pages=swept)


def _clock_time(moment: datetime) -> str:
    return moment.strftime("%H:%M UTC")
