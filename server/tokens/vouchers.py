"""Vouchers: a few strokes that a device may make while headquarters cannot be reached. Bound to the device, counted,
short-lived, and only for a request whose approvers agreed to it, with a seal and at a device that allow it.

Nothing is compared then, so each such stroke waits for a person's decision. While the device may hold a voucher it
counts in full (`uses`), so it is never issued twice before the device's own CLOSED.
"""

from uuid import UUID

from sqlmodel import Session

from server.approvals import service as approvals
from server.approvals.schemas import Stamping
from server.core.runtime import Runtime
from server.devices import service as devices
from server.devices.schemas import DownKind, GatewayRead
from server.tokens import issuing, store, uses
from server.tokens.errors import OfflineRefused
from server.tokens.modes import way
from server.tokens.schemas import TokenOut
from server.tokens.signing import Order, keep


def issue_voucher(
    db: Session, run: Runtime, gateway: GatewayRead, *, device_id: str, request_id: UUID, operator_id: UUID
) -> TokenOut:
    """Asking again while the device may hold one sends the same one again.

    Raises: NoSuchDevice, NoSuchRequest, DeviceNotActive, NotSignedInAtDevice, NotReady, NotYet, SealNotActive,
    WrongDevice, SampleMissing, KeeperRefused, StillOpen, DeviceMustReport, StrokesUsedUp, OfflineRefused.
    """
    device = devices.device_of_gateway(db, gateway, device_id)
    keeper = devices.keeper_signed_in(db, run, device_read=device, person_id=operator_id)
    request = issuing.start(db, run, device, request_id)
    rule_limit = request.rule.max_offline_strokes if request.rule is not None else 0
    if request.stamping is not Stamping.VOUCHER or min(rule_limit, device.max_offline_strokes) < 1:
        raise OfflineRefused
    remaining = uses.left(db, run, request)
    held = remaining.open_token
    if held is not None and (held.device_id, held.operator_id) == (device_id, operator_id) and held.voucher_counter:
        devices.resend(db, run, device_id=device_id, payload=held.signed, expires_at=held.lease_until)
        return issuing.out(held)
    head = issuing.check(db, run, device, request, keeper)
    issuing.check_left(remaining, device_id)
    most = min(remaining.strokes, rule_limit, device.max_offline_strokes)
    order = Order(
        device=device,
        request=request,
        head=head,
        keeper=keeper,
        nonce=run.rng.token_bytes(16),
        way=way(request, approvals.plan(request), todo=remaining.plan, most=most, offline=True),
        voucher_counter=store.last_voucher_counter(db, device_id) + 1,
    )
    token = keep(db, run, order, token_id=run.rng.token_bytes(16))
    devices.send_down(
        db, run, device_id=device_id, kind=DownKind.TOKEN, payload=token.signed, expires_at=token.lease_until
    )
    return issuing.out(token)
