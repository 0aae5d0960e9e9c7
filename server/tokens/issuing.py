"""Issue a token: every check, the signature, the ledger leaf and the way down, in one transaction."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlmodel import Session

from firmware_protocol import tokens
from firmware_protocol.purposes import Purpose
from firmware_protocol.tokens import PageCheck
from server.approvals import service as approvals
from server.approvals.policy import State
from server.approvals.schemas import RequestRead
from server.core.runtime import Runtime
from server.core.scope import Scope
from server.devices import service as devices
from server.devices.errors import DeviceNotActive
from server.devices.schemas import DeviceRead, DeviceState, DownKind, GatewayRead, HeadAt
from server.identity import entries
from server.identity.entries import EntryType
from server.identity.schemas import PersonRead
from server.ledger import service as ledger
from server.ledger.service import LeafKind
from server.seals import service as seals
from server.tokens import store, uses
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
from server.tokens.schemas import JobPage, JobRead, LeaseRead, TokenOut, TokenRead
from server.tokens.uses import Left

WINDOW_S: Final = 30
"""How long the latch stays free for one press."""
EXI_S: Final = tokens.MAX_LIFE_S - WINDOW_S
"""How long after its challenge a device works with the token, on its own timer. With the last press at most ten
minutes, so every token is a short lease (D4)."""
MAX_STROKES: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What a token is made of, each part checked."""

    device: DeviceRead
    request: RequestRead
    head: HeadAt
    keeper: PersonRead
    nonce: bytes
    plan: tuple[int, ...]
    strokes: int

    def refs(self, token_id: bytes) -> dict[str, object]:
        return {
            "request": self.request.id,
            "device": self.device.device_id,
            "token": token_id,
            "seal": self.request.seal_id,
            "head": self.head.head_id,
            "document": self.request.document_digest,
        }


_PAGE_CHECK: Final = {"before": PageCheck.BEFORE, "after": PageCheck.AFTER, "none": PageCheck.NONE}


def jobs(
    db: Session, run: Runtime, gateway: GatewayRead, *, device_id: str, operator_id: UUID | None = None
) -> list[JobRead]:
    """What can be stamped at this device now, oldest approval first. Raises: NoSuchDevice."""
    device = devices.device_of_gateway(db, gateway, device_id)
    seal_ids = {seals.seal_of_head(db, device.tenant_id, head.head_id).id for head in _known_heads(db, device)}
    found = []
    for request in approvals.requests_for_seals(db, run, device.tenant_id, seal_ids):
        elsewhere = request.device_id not in {None, device_id}
        if elsewhere or (request.not_before is not None and request.not_before > run.now()):
            continue
        remaining = uses.left(db, run, request)
        if remaining.strokes > 0 or remaining.open_token is not None:
            found.append(_job(request, remaining, operator_id))
    return found


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
    WrongDevice, KeeperRefused, StillOpen, DeviceMustReport, StrokesUsedUp, NonceUsed.
    """
    device = devices.device_of_gateway(db, gateway, device_id)
    known = store.token_for_nonce(db, device_id, nonce)
    if known is not None:
        if (known.request_id, known.operator_id) != (request_id, operator_id):
            raise NonceUsed
        devices.resend(db, run, device_id=device_id, payload=known.signed, expires_at=known.lease_until)
        return _out(known)
    keeper = devices.keeper_signed_in(db, run, device_read=device, person_id=operator_id)
    # Lock the request before its uses are counted: two devices asking at once must not both get the last ones.
    request = _start(db, run, device, request_id)
    head = _check(db, run, device, request, keeper)
    remaining = _check_left(uses.left(db, run, request), device_id)
    order = _Order(
        device=device,
        request=request,
        head=head,
        keeper=keeper,
        nonce=nonce,
        plan=remaining.plan,
        strokes=min(remaining.strokes, MAX_STROKES),
    )
    token = _keep(db, run, order, token_id=run.rng.token_bytes(16))
    devices.send_down(
        db, run, device_id=device_id, kind=DownKind.TOKEN, payload=token.signed, expires_at=token.lease_until
    )
    return _out(token)


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


def _start(db: Session, run: Runtime, device: DeviceRead, request_id: UUID) -> RequestRead:
    request = approvals.request(db, run, Scope.system(device.tenant_id), request_id)
    if request.state not in {State.APPROVED, State.IN_USE}:
        raise NotReady(state=request.state.value)
    return approvals.start_use(db, run, tenant_id=device.tenant_id, request_id=request_id)


def _check(db: Session, run: Runtime, device: DeviceRead, request: RequestRead, keeper: PersonRead) -> HeadAt:
    """Every rule but the count; the head to use."""
    if device.state is not DeviceState.ACTIVE:
        raise DeviceNotActive(state=device.state.value)
    if request.expires_at <= run.now():
        raise NotReady(state=State.EXPIRED.value)
    if request.not_before is not None and request.not_before > run.now():
        raise NotYet(not_before=request.not_before.isoformat(timespec="minutes"))
    system = Scope.system(device.tenant_id)
    seal = seals.usable_seal(db, system, request.seal_id)
    mounted = devices.head_in(device, {head.head_id for head in seals.heads(db, system, seal.id)})
    if mounted is None or request.device_id not in {None, device.device_id}:
        raise WrongDevice
    refused = approvals.may_keep(db, device.tenant_id, request.id, keeper.id)
    if refused is not None:
        raise KeeperRefused(why=refused.reason.value)
    return mounted


def _check_left(remaining: Left, device_id: str) -> Left:
    if remaining.open_token is not None:
        raise StillOpen(
            strokes=remaining.open_token.strokes,
            until=_clock_time(remaining.open_token.lease_until),
            device=remaining.open_token.device_id,
        )
    if remaining.strokes == 0 and remaining.silent_token is not None:
        raise DeviceMustReport(device=remaining.silent_token.device_id or device_id)
    if remaining.strokes == 0:
        raise StrokesUsedUp
    return remaining


def _signed(run: Runtime, order: _Order, token_id: bytes) -> bytes:
    begins = int(run.now().timestamp())
    claims = tokens.Token(
        device_id=order.device.device_id,
        issued_at=begins,
        not_before=begins,
        expires_at=begins + tokens.MAX_LIFE_S,
        token_id=token_id,
        nonce=order.nonce,
        exi_s=EXI_S,
        seal=tokens.SealClaims(
            slot=order.head.slot,
            max_strokes=order.strokes,
            policy=int(_PAGE_CHECK[order.request.page_check.value]),
            epoch=order.device.epoch,
            window_s=WINDOW_S,
            document_digest=order.request.document_digest,
            head_id=order.head.head_id,
            operator=order.keeper.operator,
        ),
    )
    return tokens.issue(claims, key=devices.issuer(run, Purpose.TOKEN))


def _keep(db: Session, run: Runtime, order: _Order, *, token_id: bytes) -> StampToken:
    signed = _signed(run, order, token_id)
    lease_until = run.now() + timedelta(seconds=tokens.MAX_LIFE_S)
    row = StampToken(
        id=run.new_id(),
        created_at=run.now(),
        tenant_id=order.device.tenant_id,
        branch_path=order.request.branch_path,
        request_id=order.request.id,
        request_digest=order.request.digest or b"",
        seal_id=order.request.seal_id,
        device_id=order.device.device_id,
        nonce=order.nonce,
        token_id=token_id,
        operator_id=order.keeper.id,
        document_digest=order.request.document_digest,
        head_id=order.head.head_id,
        strokes=order.strokes,
        plan=list(order.plan),
        page_check=order.request.page_check.value,
        window_s=WINDOW_S,
        lease_until=lease_until,
        signed=signed,
        leaf_hash=_record(db, run, order, token_id=token_id, signed=signed, lease_until=lease_until),
    )
    db.add(row)
    db.flush()
    return row


def _record(
    db: Session, run: Runtime, order: _Order, *, token_id: bytes, signed: bytes, lease_until: datetime
) -> bytes:
    """The token itself as a leaf, and the entry that says for which request and whose hand; the token's leaf hash."""
    refs = order.refs(token_id)
    leaf_hash = ledger.enqueue(
        db,
        kind=LeafKind.TOKEN,
        leaf=signed,
        tenant_id=order.device.tenant_id,
        branch_path=order.request.branch_path,
        refs=entries.ref_strings(refs),
        now=run.now(),
    )
    entries.record(
        db,
        run,
        EntryType.TOKEN_ISSUED,
        tenant_id=order.device.tenant_id,
        branch_path=order.request.branch_path,
        refs=refs,
        public={
            "token_digest": hashlib.sha256(signed).digest(),
            "strokes": order.strokes,
            "window_s": WINDOW_S,
            "expires_ms": lease_until,
            "operator": order.keeper.operator,
            "nonce": order.nonce,
            "request_digest": order.request.digest or b"",
        },
        private={"keeper": order.keeper.id},
    )
    return leaf_hash


def _known_heads(db: Session, device: DeviceRead) -> list[HeadAt]:
    return [head for head in device.heads if seals.head_known(db, device.tenant_id, head.head_id)]


def _job(request: RequestRead, remaining: Left, operator_id: UUID | None) -> JobRead:
    by_index = {stroke.index: stroke for stroke in approvals.plan(request)}
    planned = [by_index[index] for index in remaining.plan]
    return JobRead(
        request_id=request.id,
        title=request.title,
        short=request.short,
        seal_name=request.seal_name,
        strokes_left=remaining.strokes,
        strokes_total=request.strokes,
        pages=tuple(
            JobPage(stroke=number, page=stroke.page, copy_number=stroke.copy)
            for number, stroke in enumerate(planned, start=1)
        ),
        expires_ms=round(request.expires_at.timestamp() * 1000),
        mine=request.keeper_id in {None, operator_id},
    )


def _out(row: StampToken) -> TokenOut:
    return TokenOut(token_id=row.token_id, strokes=row.strokes, window_s=row.window_s)


def _clock_time(moment: datetime) -> str:
    return moment.strftime("%H:%M UTC")
