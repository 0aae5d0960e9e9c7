"""What a token says, its signature, its leaf in the ledger and its row: the same for tokens and vouchers."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import Session

from firmware_protocol import tokens
from firmware_protocol.purposes import Purpose
from server.approvals import service as approvals
from server.approvals.schemas import RequestRead
from server.core.runtime import Runtime
from server.devices import service as devices
from server.devices.schemas import DeviceRead, HeadAt
from server.identity import entries
from server.identity.entries import EntryType
from server.identity.schemas import PersonRead
from server.ledger import service as ledger
from server.ledger.service import LeafKind
from server.tokens.models import StampToken
from server.tokens.modes import Way

WINDOW_S: Final = 30
"""How long the latch stays free for one press."""
EXI_S: Final = tokens.MAX_LIFE_S - WINDOW_S
"""How long after its challenge a device works with the token, on its own timer. With the last press at most ten
minutes, so every token is a short lease (D4)."""
VOUCHER_LIFE_S: Final = 24 * 3600
"""Longest life of a voucher (docs/protocol.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a token is made of, each part checked. `nonce` is the device's own; a voucher's is made up here."""

    device: DeviceRead
    request: RequestRead
    head: HeadAt
    keeper: PersonRead
    nonce: bytes
    way: Way
    voucher_counter: int | None = None

    @property
    def life_s(self) -> int:
        return tokens.MAX_LIFE_S if self.voucher_counter is None else VOUCHER_LIFE_S

    @property
    def sheets(self) -> tuple[tuple[int, int], ...]:
        """(copy, page) of each stroke, in the order of the token."""
        by_index = {stroke.index: stroke for stroke in approvals.plan(self.request)}
        return tuple((by_index[index].copy, by_index[index].page) for index in self.way.plan)

    def refs(self, token_id: bytes) -> dict[str, object]:
        return {
            "request": self.request.id,
            "device": self.device.device_id,
            "token": token_id,
            "seal": self.request.seal_id,
            "head": self.head.head_id,
            "document": self.request.document_digest,
        }


def _signed(run: Runtime, order: Order, token_id: bytes) -> bytes:
    begins = int(run.now().timestamp())
    bound = order.voucher_counter is None  # to the device's own challenge and timer
    first, last = order.way.pages or (None, None)
    claims = tokens.Token(
        device_id=order.device.device_id,
        issued_at=begins,
        not_before=begins,
        expires_at=begins + order.life_s,
        token_id=token_id,
        nonce=order.nonce if bound else None,
        exi_s=EXI_S if bound else None,
        seal=tokens.SealClaims(
            slot=order.head.slot,
            max_strokes=order.way.strokes,
            policy=order.way.policy,
            epoch=order.device.epoch,
            window_s=WINDOW_S,
            document_digest=order.request.document_digest,
            head_id=order.head.head_id,
            voucher_counter=order.voucher_counter,
            operator=order.keeper.operator,
            first_page=first,
            last_page=last,
        ),
    )
    return tokens.issue(claims, key=devices.issuer(run, Purpose.TOKEN))


def keep(db: Session, run: Runtime, order: Order, *, token_id: bytes) -> StampToken:
    """Sign the token, put it on record and store it."""
    signed = _signed(run, order, token_id)
    first, last = order.way.pages or (None, None)
    lease_until = run.now() + timedelta(seconds=order.life_s)
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
        strokes=order.way.strokes,
        plan=list(order.way.plan),
        page_check=order.way.page_check,
        mode=order.way.mode,
        first_page=first,
        last_page=last,
        sweep=order.way.sweep,
        voucher_counter=order.voucher_counter,
        window_s=WINDOW_S,
        lease_until=lease_until,
        signed=signed,
        leaf_hash=_record(db, run, order, token_id=token_id, signed=signed, lease_until=lease_until),
    )
    db.add(row)
    db.flush()
    return row


def _record(db: Session, run: Runtime, order: Order, *, token_id: bytes, signed: bytes, lease_until: datetime) -> bytes:
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
            "strokes": order.way.strokes,
            "window_s": WINDOW_S,
            "expires_ms": lease_until,
            "operator": order.keeper.operator,
            "nonce": order.nonce,
            "request_digest": order.request.digest or b"",
            "plan": [list(sheet) for sheet in order.sheets],
        },
        private={"keeper": order.keeper.id},
    )
    if order.voucher_counter is not None:
        entries.record(
            db,
            run,
            EntryType.VOUCHER_ISSUED,
            tenant_id=order.device.tenant_id,
            branch_path=order.request.branch_path,
            refs={name: refs[name] for name in ("request", "device", "token", "seal")},
            public={
                "token_digest": hashlib.sha256(signed).digest(),
                "strokes": order.way.strokes,
                "counter": order.voucher_counter,
                "expires_ms": lease_until,
            },
            private={"by": order.keeper.id},
        )
    return leaf_hash
