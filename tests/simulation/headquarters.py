"""The issuing server as a model: requests, tokens, permits, policies, signed time. It signs with the real protocol.

The rules are those of server/tokens (issuing.py, uses.py, permits.py) without a database: a token counts in full until
the device's own CLOSED, or until the device signed something later than the token's end and never a GRANT of it.
"""

import dataclasses
import hashlib
from dataclasses import dataclass, field
from typing import Any, Final

from firmware_protocol import cose, events, orders, tokens
from firmware_protocol.errors import ProtocolError
from firmware_protocol.events import Event, Outcome
from firmware_protocol.orders import Permit, Policy, Roster, ServiceKind, SignedTime
from firmware_protocol.purposes import Purpose
from firmware_protocol.tokens import MAX_LIFE_S, Mode, PageCheck, SealClaims, Token
from server.ledger.admission import DeviceKey, KeyStatus
from tests.simulation.accounts import Issued, Order
from tests.simulation.ledger import Ledger
from tests.simulation.marks import Marks
from tests.simulation.mechanics import Paper, paper_in
from tests.simulation.network import Died, Network
from tests.simulation.people import OFFLINE_STROKES, entry
from tests.simulation.stand import ISSUERS, Stand
from tests.simulation.timeline import UNIX_MS, Failed, Timeline
from tests.simulation.truth import Truth

WINDOW_S: Final = 30
RESEND_MS: Final = 10_000
POLICY_LIFE_MS: Final = 30 * 24 * 3_600_000
ROSTER_LIFE_MS: Final = 1_200_000
VOUCHER_LIVES_S: Final = (20, 120)
"""Shorter than in life, so that some end before they are used."""
_KEY: Final = dict(zip(orders.ORDER_PURPOSES, ISSUERS, strict=True))


@dataclass(slots=True, kw_only=True)
class TokenRow:
    """server.tokens.models.StampToken."""

    issued: Issued
    signed: bytes
    lease_until_ms: int  # virtual
    places: tuple[int, ...]  # index into the order's pages, of stroke 1, 2, ...
    granted: bool = False
    closed_used: int | None = None
    marked: dict[int, bool] = field(default_factory=dict)  # stroke: the place carries an imprint
    permits: dict[tuple[int, bytes], bytes] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class DeviceRow:
    public_key: bytes
    epoch: int = 0
    suspended: bool = False
    heads: tuple[bytes, ...] = ()
    roster_number: int = 1
    vouchers: int = 0


@dataclass(slots=True, kw_only=True)
class Down:
    """One row of the down outbox."""

    device_id: str
    kind: str
    payload: bytes
    expires_ms: int


class Headquarters:
    """`alive` is the process; what is not in the ledger's memory is committed in the moment it is written."""

    def __init__(self, timeline: Timeline, truth: Truth, marks: Marks, network: Network, rng_bytes: bytes) -> None:
        self._timeline, self._truth, self._marks, self._network = timeline, truth, marks, network
        self._salt, self._tokens_made = rng_bytes, 0
        self.alive = True
        self.die_at = ""
        self.devices: dict[str, DeviceRow] = {}
        self.tokens: dict[bytes, TokenRow] = {}
        self.by_nonce: dict[tuple[str, bytes], TokenRow] = {}
        self.orders: list[Order] = []
        self.down: dict[bytes, Down] = {}
        self.ledger = Ledger(timeline, truth, marks, send=self._send_receipt, project=self._note_event, trip=self.reach)
        self._sweep()

    def enrol(self, stand: Stand) -> None:
        self.devices[stand.name] = DeviceRow(public_key=stand.key.public_key, epoch=stand.account.policy_epoch)
        key = DeviceKey(stand.key.public_key, KeyStatus.ACTIVE)
        self.ledger.tables.keys[stand.name, 1] = key
        self.ledger.begin_with(stand.account.story.values())
        self.ledger.tables.acked_seq[stand.name, 1] = stand.account.acked

    # --- process ------------------------------------------------------------------------------------------------------

    def reach(self, point: str) -> None:
        """Raises: Died."""
        if self.die_at == point:
            self.kill()
            self._marks.hit(point)
            raise Died

    def kill(self) -> None:
        self.alive, self.die_at = False, ""
        self.ledger.killed()

    def start(self) -> None:
        if not self.alive:
            self.alive = True
            self.ledger.load()
            for row in list(self.down.values()):
                self._publish(row)

    def _sweep(self) -> None:
        """What went down and was not answered goes down again."""
        self._timeline.after(RESEND_MS, self._sweep)
        if not self.alive:
            return
        self.ledger.sweep()
        now = self._timeline.now_ms
        for digest, row in list(self.down.items()):
            if row.expires_ms < now:
                del self.down[digest]
            else:
                self._publish(row)

    def _send_down(self, row: Down) -> None:
        self.down[hashlib.sha256(row.payload).digest()] = row
        self._publish(row)

    def _publish(self, row: Down) -> None:
        self._network.down(row.device_id, row.kind, row.payload)

    def _send_receipt(self, device_id: str, signed: bytes) -> None:
        self._network.down(device_id, "receipt", signed)

    def delivered(self, digest: bytes) -> None:
        """A gateway says that a message reached its device."""
        self.down.pop(digest, None)
        self.ledger.acknowledged(digest)

    # --- tokens -------------------------------------------------------------------------------------------------------

    def hello(self, device_id: str, heads: tuple[bytes, ...]) -> None:
        self.devices[device_id].heads = heads

    def jobs(self, device_id: str) -> list[Order]:
        """What can be stamped at this device now."""
        heads = self.devices[device_id].heads
        return [
            order
            for order in self.orders
            if order.revoked_ms is None and order.head in heads and self.places_for(order)
        ]

    def token(self, device_id: str, number: int, nonce: bytes, operator: bytes | None) -> Issued:
        """A token for the device's own challenge; the same challenge again gets the same bytes. Raises: Failed."""
        order, device = self.orders[number], self.devices[device_id]
        known = self.by_nonce.get((device_id, nonce))
        if known is not None:
            if known.issued.order is not order or known.issued.token.seal.operator != operator:
                raise Failed("nonce_used")
            self._send_down(self._down(device_id, "token", known.signed, known.lease_until_ms))
            return known.issued
        places = self._ready(order, device)
        begins = self._timeline.unix_ms // 1000
        claims = Token(
            **self._of(device_id, begins, MAX_LIFE_S),
            nonce=nonce,
            exi_s=MAX_LIFE_S - WINDOW_S,
            seal=self._seal(order, device, operator, len(places), policy=order.policy | Mode.BATCH),
        )
        row = self.by_nonce[device_id, nonce] = self._keep(claims, order, places)
        return row.issued

    def voucher(self, device_id: str, number: int, operator: bytes | None) -> Issued:
        """For the time without a network; one that is out is sent again (server.tokens.vouchers). Raises: Failed."""
        order, device = self.orders[number], self.devices[device_id]
        for row in self._rows(order):
            seal = row.issued.token.seal
            held = (row.issued.token.device_id, seal.operator) == (device_id, operator)
            if held and seal.voucher_counter is not None and self._is_open(row):
                self._send_down(self._down(device_id, "token", row.signed, row.lease_until_ms))
                return row.issued
        places = self._ready(order, device)[:OFFLINE_STROKES]
        life_s = VOUCHER_LIVES_S[self._tokens_made % len(VOUCHER_LIVES_S)]
        policy = PageCheck.NONE | Mode.BATCH | Mode.VOUCHER
        seal = self._seal(order, device, operator, len(places), policy=policy)
        device.vouchers += 1
        claims = Token(
            **self._of(device_id, self._timeline.unix_ms // 1000, life_s),
            seal=dataclasses.replace(seal, voucher_counter=device.vouchers),
        )
        return self._keep(claims, order, places).issued

    def _ready(self, order: Order, device: DeviceRow) -> tuple[int, ...]:
        """The places that are left. Raises: Failed."""
        if order.revoked_ms is not None or device.suspended or order.head not in device.heads:
            raise Failed("not_ready")
        places = self.places_for(order)
        if not places:
            raise Failed("no_strokes_left")
        return places

    def _of(self, device_id: str, begins: int, life_s: int) -> dict[str, Any]:
        self._tokens_made += 1
        token_id = hashlib.sha256(self._salt + b"%d" % self._tokens_made).digest()[:16]
        times = {"issued_at": begins, "not_before": begins, "expires_at": begins + life_s}
        return {"device_id": device_id, "token_id": token_id, **times}

    @staticmethod
    def _seal(order: Order, device: DeviceRow, operator: bytes | None, strokes: int, *, policy: int) -> SealClaims:
        return SealClaims(
            slot=0,
            max_strokes=strokes,
            policy=policy,
            epoch=device.epoch,
            window_s=WINDOW_S,
            document_digest=order.document,
            head_id=order.head,
            operator=operator,
        )

    def _keep(self, claims: Token, order: Order, places: tuple[int, ...]) -> TokenRow:
        """Signed, committed, sent. Raises: Died."""
        row = TokenRow(
            issued=Issued(token=claims, order=order, plan=tuple(order.pages[place] for place in places)),
            signed=tokens.issue(claims, key=_KEY[Purpose.TOKEN]),
            lease_until_ms=claims.expires_at * 1000 - UNIX_MS,
            places=places,
        )
        self.reach("server_died_before_commit")
        self.tokens[claims.token_id] = row
        self._truth.issued(row.issued)
        self.reach("server_died_after_commit")
        self._send_down(self._down(claims.device_id, "token", row.signed, row.lease_until_ms))
        return row

    def places_for(self, order: Order) -> tuple[int, ...]:
        """Places that a new token may be for; none while another token may still be used or has not reported."""
        return () if self._open(order) else self._places_left(order)

    def _rows(self, order: Order) -> list[TokenRow]:
        return [row for row in self.tokens.values() if row.issued.order is order]

    def _open(self, order: Order) -> bool:
        return any(self._is_open(row) for row in self._rows(order))

    def _is_open(self, row: TokenRow) -> bool:
        return row.closed_used is None and row.lease_until_ms > self._timeline.now_ms

    def _places_left(self, order: Order) -> tuple[int, ...]:
        rows = self._rows(order)
        marked = {row.places[stroke - 1] for row in rows for stroke, imprint in row.marked.items() if imprint}
        todo = tuple(place for place in range(len(order.pages)) if place not in marked)
        consumed = sum(self._consumed(row) for row in rows)
        return todo[: max(0, order.approved - consumed)]

    def _consumed(self, row: TokenRow) -> int:
        if row.closed_used is not None:
            return row.closed_used
        token = row.issued.token
        lease_unix_ms = self._timeline.unix_ms - self._timeline.now_ms + row.lease_until_ms
        silent = self.ledger.tables.proved_ms.get((token.device_id, 1), 0) <= lease_unix_ms
        return token.seal.max_strokes if row.granted or silent else 0

    def _note_event(self, event: Event) -> None:
        """server.tokens.uses.note_event."""
        body = event.body
        token_id = getattr(body, "token_id", None)
        row = self.tokens.get(token_id) if isinstance(token_id, bytes) else None
        if row is None or row.issued.token.device_id != event.header.device_id:
            return
        match body:
            case events.Grant():
                row.granted = True
            case events.Done(stroke=stroke):
                row.marked[stroke] = True
            case events.Cancelled(stroke=stroke):
                row.marked[stroke] = False
            case events.Settled(stroke=stroke, outcome=outcome):
                row.marked[stroke] = outcome is not Outcome.ABORTED
            case events.Closed(strokes_used=used):
                row.closed_used = used
            case _:
                pass

    # --- permits ------------------------------------------------------------------------------------------------------

    def permit(self, device_id: str, event: bytes, preview: bytes) -> tuple[str, bool]:
        """(answer, whether a permit was sent). Raises: Failed."""
        seen = self._page_seen(device_id, event)
        row = self.tokens.get(seen.token_id)
        if hashlib.sha256(preview).digest() != seen.preview_digest:
            raise Failed("wrong_photo")
        if row is None or row.issued.token.device_id != device_id:
            raise Failed("no_such_token")
        if row.closed_used is not None or self._timeline.now_ms >= row.lease_until_ms:
            raise Failed("token_over")
        if row.issued.order.revoked_ms is not None or self.devices[device_id].suspended:
            raise Failed("not_ready")
        if not 1 <= seen.stroke <= len(row.places):
            raise Failed("wrong_stroke")
        page = row.issued.plan[seen.stroke - 1]
        if paper_in(preview) != Paper(row.issued.order.document, page):
            return "wrong", False
        if row.issued.token.seal.page_check is not PageCheck.BEFORE:
            return "match", False
        self.reach("server_died_before_commit")
        if (seen.stroke, seen.stroke_nonce) not in row.permits:
            row.permits[seen.stroke, seen.stroke_nonce] = self._sign_permit(row, seen, page)
            row.issued.permitted.add(seen.stroke)
        self.reach("server_died_after_commit")
        signed = row.permits[seen.stroke, seen.stroke_nonce]
        self._send_down(self._down(device_id, "permit", signed, row.lease_until_ms))
        return "match", True

    def _page_seen(self, device_id: str, event: bytes) -> events.PageSeen:
        device = self.devices[device_id]
        try:
            said = events.verify(event, keys=cose.keyring(device.public_key))
        except ProtocolError as error:
            raise Failed(error.code) from error
        if said.header.device_id != device_id or not isinstance(said.body, events.PageSeen):
            raise Failed("wrong_event")
        return said.body

    def _sign_permit(self, row: TokenRow, seen: events.PageSeen, page: int) -> bytes:
        order = Permit(
            device_id=row.issued.token.device_id,
            token_id=seen.token_id,
            stroke=seen.stroke,
            page=page,
            page_digest=orders.page_digest(row.issued.order.document, page),
            photo_digest=seen.photo_digest,
            stroke_nonce=seen.stroke_nonce,
        )
        return orders.sign(order, key=_KEY[Purpose.PERMIT])

    # --- other orders -------------------------------------------------------------------------------------------------

    def revoke(self, order: Order) -> None:
        """The request is void: no further token, no further permit."""
        if order.revoked_ms is None:
            self._truth.revoked(order)

    def set_suspended(self, device_id: str, *, suspended: bool) -> None:
        self.devices[device_id].suspended = suspended
        self._order(device_id, {})

    def clear_tamper(self, device_id: str) -> None:
        """Two persons looked at the device."""
        self._order(device_id, {"service": ServiceKind.CLEAR_TAMPER, "authorised_by": (b"ana1", b"bo02")})

    def _order(self, device_id: str, service: dict[str, Any]) -> None:
        device = self.devices[device_id]
        device.epoch += 1
        policy = Policy(device_id=device_id, epoch=device.epoch, suspended=device.suspended, **service)
        signed = orders.sign(policy, key=_KEY[Purpose.POLICY])
        self._send_down(self._down(device_id, "policy", signed, self._timeline.now_ms + POLICY_LIFE_MS))

    def change_roster(self, device_id: str, people: tuple[bytes, ...]) -> None:
        """Who is not on it may stand there no longer."""
        device = self.devices[device_id]
        device.roster_number += 1
        entries = tuple(entry(operator) for operator in people)
        roster = Roster(device_id=device_id, number=device.roster_number, part=0, parts=1, entries=entries)
        signed = orders.sign(roster, key=_KEY[Purpose.POLICY])
        self._send_down(self._down(device_id, "roster", signed, self._timeline.now_ms + ROSTER_LIFE_MS))

    def signed_time(self, device_id: str, nonce: bytes) -> bytes:
        signed = SignedTime(device_id=device_id, boot_nonce=nonce, unix_ms=self._timeline.unix_ms)
        return orders.sign(signed, key=_KEY[Purpose.TIME])

    def upload(self, digest: bytes, data: bytes) -> None:
        """Raises: Failed."""
        if digest not in self.ledger.tables.announced:
            raise Failed("digest_not_announced")
        if not self.photo_fits(digest, data):
            self._marks.hit("foreign_photo_refused")
            raise Failed("wrong_photo")
        self._truth.blob_kept(digest, data)
        self.ledger.photo_stored(digest)

    def photos_wanted(self, device_id: str) -> list[bytes]:
        """Announced and never stored."""
        tables = self.ledger.tables
        here = tables.photos.get((device_id, 1), {})
        return [digest for digest, key in tables.announced.items() if key[0] == device_id and digest not in here]

    def photo_fits(self, digest: bytes, data: bytes) -> bool:
        return hashlib.sha256(data).digest() == digest

    @staticmethod
    def _down(device_id: str, kind: str, payload: bytes, expires_ms: int) -> Down:
        return Down(device_id=device_id, kind=kind, payload=payload, expires_ms=expires_ms)
