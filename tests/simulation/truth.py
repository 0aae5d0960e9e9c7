"""The invariants, checked against the mechanical world at every step.

I1 copies, I2 binding, I3 a signed account of a press is true, I5 durability, I6 uniqueness, I8 revocation, I9 expiry
and time, I10 reserve before act, I11 chain, I12 no silent loss, I13 backpressure. I14 order and I19 liveness:
convergence.py.
"""

import hashlib
from typing import Final

from device_sim.core.journal import RESERVE
from firmware_protocol import cbor, cose, events
from firmware_protocol.events import Event, Outcome
from firmware_protocol.labelled import from_map
from firmware_protocol.operators import Entry
from firmware_protocol.orders import Receipt, Roster, ServiceKind
from firmware_protocol.tokens import PageCheck, Token
from server.ledger.admission import Incoming
from tests.simulation.accounts import (
    ROSTER,
    Account,
    Issued,
    OpenIntent,
    Order,
    Violation,
    readable,
    records,
    signed_events,
)
from tests.simulation.marks import Marks
from tests.simulation.mechanics import Paper
from tests.simulation.people import OFFLINE_STROKES
from tests.simulation.timeline import Timeline

SKEW_MS: Final = 60_000
"""How long after a token's end its last press may come: the device's quartz and its tick."""
CLOCK_LATE_MS: Final = 10_500
"""How far a device's signed idea of time may be behind: ten seconds of way, and its quartz."""


def _must(holds: bool, name: str, text: str) -> None:  # noqa: FBT001 - reads as the sentence it is
    if not holds:
        raise Violation(name, text)


class Truth:
    """Every method is called at the moment when something happens, and raises Violation when it must not."""

    def __init__(self, timeline: Timeline, marks: Marks) -> None:
        self._timeline = timeline
        self._marks = marks
        self.accounts: dict[str, Account] = {}
        self.tokens: dict[bytes, Issued] = {}
        self.strokes = 0
        self.committed: dict[str, dict[int, Incoming]] = {}
        self.prefix: dict[str, int] = {}
        self.blobs: set[bytes] = set()

    # --- the journal --------------------------------------------------------------------------------------------------

    def durable(self, account: Account, chunk: bytes, *, whole: bool, now: bool = True, counter: int = 0) -> None:
        """`chunk` of the journal survives from here on. `now`: it was written this moment, the counter at `counter`."""
        written = records(chunk)
        found = signed_events(written)
        for signed in found:
            event = readable(signed)
            known = account.story.get(event.header.seq)
            if known is None:
                self._chained(account, event, signed)
                if now:
                    self._true_now(account, event, counter)
                self._means(account, event)
            _must(known in (None, signed), "I11", f"{account.device_id} wrote event {event.header.seq} anew")
        for kind, body in written:
            if kind == ROSTER:
                self._rostered(account, from_map(Roster, cbor.decode_map(cose.parse1(body).payload)))
        if whole:
            first = readable(found[0]).header.seq if found else account.last_seq + 1
            safe = self.prefix.get(account.device_id, 0)
            _must(first - 1 <= safe, "I12", f"{account.device_id} dropped events up to {first - 1}, ledger has {safe}")
            account.oldest = first

    @staticmethod
    def _rostered(account: Account, roster: Roster) -> None:
        """Rosters of one part; a file that is written anew holds the old ones too."""
        if roster.number > account.roster_number:
            account.roster_number = roster.number
            account.listed = frozenset(Entry.unpack(entry).operator for entry in roster.entries)

    def _chained(self, account: Account, event: Event, signed: bytes) -> None:
        header, last = event.header, account.last_seq
        before = events.chain_hash(account.story[last]) if last else events.FIRST_PREVIOUS
        _must(header.seq == last + 1, "I11", f"{account.device_id} wrote {header.seq} after {last}")
        _must(header.previous == before, "I11", f"event {header.seq} does not name the one before it")
        _must(header.boot >= account.boot, "I11", "the boot count fell")
        _must(header.counter >= account.counter, "I11", "the mechanical counter fell")
        account.boot, account.counter = header.boot, header.counter
        account.story[header.seq] = signed

    def _true_now(self, account: Account, event: Event, counter: int) -> None:
        _must(event.header.counter == counter, "I3", f"an event says {event.header.counter}, the shaft {counter}")
        said = event.header.time_ms
        if said is not None:
            off = said - self._timeline.unix_ms
            _must(-CLOCK_LATE_MS <= off <= 1_000, "I9", f"{account.device_id} is {off} ms off")

    def _means(self, account: Account, event: Event) -> None:  # noqa: C901, PLR0912 - one case, one line or two
        body = event.body
        match body:
            case events.Grant(token_id=token_id):
                self._granted(account, token_id, event)
            case events.Intent(token_id=token_id, stroke=stroke):
                _must(account.intent is None, "I10", "a second INTENT before the first was accounted for")
                account.intent = OpenIntent(token_id=token_id, stroke=stroke)
            case events.Done() | events.Cancelled() | events.Settled():
                self._accounted(account, body)
            case events.ExtraStroke(strokes=strokes):
                self._marks.hit("extra_stroke")
                account.explained += strokes
            case events.Closed(token_id=token_id, strokes_used=used):
                issued = self._issued(token_id)
                _must(used == issued.used, "I3", f"CLOSED says {used} uses, there were {issued.used}")
                issued.closed, account.grant = True, None
            case events.PolicySet(epoch=epoch, suspended=suspended):
                _must(epoch > account.policy_epoch, "I8", f"policy {epoch} after {account.policy_epoch}")
                account.policy_epoch, account.suspended, account.nonce = epoch, suspended, None
            case events.Tamper():
                account.tampered, account.alarm = True, False
            case events.Service(kind=ServiceKind.CLEAR_TAMPER):
                account.tampered = False
                self._marks.hit("tamper_cleared_by_two")
            case events.TimeSet(unix_ms=unix_ms):
                account.floor_ms = max(account.floor_ms, unix_ms)
            case events.PageSeen():
                account.named_photos |= {body.preview_digest, body.photo_digest}
            case events.Operator(operator=operator, present=present):
                self._identified(account, operator, present=present)
            case events.Boot():
                account.operator = None
            case _:
                pass

    def _identified(self, account: Account, operator: bytes, *, present: bool) -> None:
        device = account.device_id
        if present:
            _must(operator in account.knocked, "I2", f"{device} let {operator!r} in, who never entered a PIN there")
            _must(operator in account.listed, "I2", f"{device} let {operator!r} in, who is not on its list")
            account.operator = operator
            return
        _must(operator == account.operator, "I2", f"{device} signs {operator!r} out, who was not there")
        if operator not in account.listed:
            self._marks.hit("signed_out_by_roster")
        account.operator = None

    def _granted(self, account: Account, token_id: bytes, event: Event) -> None:
        issued = self._issued(token_id)
        token, device = issued.token, account.device_id
        _must(token.device_id == device, "I2", f"{device} took a token for {token.device_id}")
        _must(token.seal.operator == account.operator, "I2", f"{device} took a token for {token.seal.operator!r}")
        _must(issued.granted_by is None, "I2", f"{device} took a token for the second time")
        _must(token.seal.epoch >= account.policy_epoch, "I8", f"{device} took a token of an old epoch")
        _must(not account.suspended, "I8", f"{device} is suspended and took a token")
        if token.seal.voucher_counter is None:
            self._leased(account, token)
        else:
            _must(event.header.time_ms is not None, "I9", f"{device} took a voucher, and does not know the time")
            self._vouched(account, token, token.seal.voucher_counter)
        issued.granted_by, account.grant = device, issued

    def _leased(self, account: Account, token: Token) -> None:
        device = account.device_id
        _must(token.nonce == account.nonce, "I2", f"{device} took a token that answers no challenge of now")
        _must(self._timeline.unix_ms <= token.expires_at * 1000 + SKEW_MS, "I9", f"{device} took an expired token")
        account.nonce = None

    def _vouched(self, account: Account, token: Token, counter: int) -> None:
        """A voucher is good by the clock alone, so the clock must be good."""
        device, late = account.device_id, self._timeline.unix_ms - token.expires_at * 1000
        _must(counter > account.voucher_counter, "I2", f"{device} took voucher {counter} after a later one")
        _must(token.seal.max_strokes <= OFFLINE_STROKES, "I2", f"{device} took a voucher for too many strokes")
        _must(late <= CLOCK_LATE_MS, "I9", f"{device} took a voucher {late} ms too late")
        account.voucher_counter = counter
        self._marks.hit("voucher_used")

    def _accounted(self, account: Account, body: events.Done | events.Cancelled | events.Settled) -> None:
        intent = account.intent
        same = intent is not None and (intent.token_id, intent.stroke) == (body.token_id, body.stroke)
        _must(same, "I10", f"{type(body).__name__} without its INTENT")
        presses = intent.presses if intent else 0
        account.intent = None
        match body:
            case events.Settled(outcome=Outcome.ABORTED) | events.Cancelled(returned=True):
                _must(presses == 0, "I3", f"{type(body).__name__} gives the use back, the head came down {presses}x")
                self._marks.hit("use_came_back")
                return
            case events.Settled(outcome=Outcome.RECOVERED):
                _must(presses == 1, "I3", f"RECOVERED, the head came down {presses}x")
                self._marks.hit("press_recovered_at_boot")
                account.explained += 1
            case events.Settled():
                _must(presses > 1, "I3", f"UNKNOWN, the head came down {presses}x")
                self._marks.hit("press_unknown_at_boot")
                account.explained += presses
            case events.Done():
                _must(presses >= 1, "I3", "DONE, the head never came down")
                account.named_photos |= {body.preview_digest, body.photo_digest}
                account.explained += 1
            case _:
                _must(presses >= 1, "I3", "the use is kept, the head never came down")
                account.explained += presses
        self._issued(body.token_id).used += 1

    # --- latch and head -----------------------------------------------------------------------------------------------

    def released(self, account: Account, *, free: int, pending: bool) -> None:
        """`free`: bytes left in the journal; `pending`: it holds a write that a power cut may take away."""
        intent = account.intent
        _must(
            not pending and intent is not None, "I10", f"{account.device_id} freed its latch without a durable INTENT"
        )
        if intent is None:
            return
        _must(not intent.released, "I10", "one INTENT freed the latch twice")
        _must(free >= RESERVE // 2, "I13", f"the latch was freed with {free} bytes of journal left")
        _must(not account.suspended, "I8", f"{account.device_id} is suspended and freed its latch")
        intent.released = True
        issued = self._issued(intent.token_id)
        _must(issued.granted_by == account.device_id, "I2", "a stroke under a grant of another device")
        _must(intent.stroke <= issued.token.seal.max_strokes, "I2", f"stroke {intent.stroke} is beyond the token")
        self._by_whom(account, issued.token)
        _must(
            issued.token.seal.page_check is not PageCheck.BEFORE or intent.stroke in issued.permitted,
            "I2",
            "the latch was freed without a permit",
        )

    @staticmethod
    def _by_whom(account: Account, token: Token) -> None:
        """A stroke is booked to whom the token names: that one must be signed in, and still be allowed to."""
        who = account.operator
        _must(token.seal.operator == who, "I2", f"a stroke booked to {token.seal.operator!r}, there was {who!r}")
        _must(who is None or who in account.listed, "I8", f"{who!r} stamps, who was taken off the list")

    def pressed(self, account: Account, presses: int, paper: Paper | None) -> None:
        """The head came down."""
        intent = account.intent
        _must(intent is not None and intent.released, "I10", "the head came down without an INTENT")
        if intent is None:
            return
        if intent.presses == 0:
            self.strokes += 1
        intent.presses += presses
        issued = self._issued(intent.token_id)
        order, token, now = issued.order, issued.token, self._timeline.unix_ms
        order.imprints += 1
        _must(order.imprints <= order.approved, "I1", f"{order.imprints} imprints, {order.approved} approved")
        _must(token.seal.operator == account.operator, "I2", f"pressed while {account.operator!r} is signed in")
        _must(account.head == token.seal.head_id, "I2", "pressed with another head than the token names")
        _must(now <= token.expires_at * 1000 + SKEW_MS, "I9", f"pressed {now - token.expires_at * 1000} ms too late")
        if token.seal.page_check is PageCheck.BEFORE:
            wanted = Paper(order.document, issued.plan[intent.stroke - 1])
            _must(paper == wanted, "I2", f"the head came down on {paper}, permitted was {wanted}")
        if order.revoked_ms is not None:
            order.allowed_after -= 1
            _must(order.allowed_after >= 0, "I8", "more imprints after the revocation than were outstanding")
            _must(now <= order.last_moment_ms, "I8", "an imprint after the last token had ended")
            self._marks.hit("imprint_within_the_lease_after_revocation")

    # --- issuer -------------------------------------------------------------------------------------------------------

    def issued(self, issued: Issued) -> None:
        """A token is signed and may leave."""
        self.tokens[issued.token.token_id] = issued
        order = issued.order
        _must(order.revoked_ms is None, "I8", "a token for a revoked request")
        total = sum(self._potential(each) for each in self.tokens.values() if each.order is order)
        _must(total <= order.approved, "I1", f"tokens are out for {total} imprints, {order.approved} are approved")

    def revoked(self, order: Order) -> None:
        live = [
            each for each in self.tokens.values() if each.order is order and self._left(each, late_ms=CLOCK_LATE_MS)
        ]
        order.revoked_ms = self._timeline.unix_ms
        order.allowed_after = sum(self._left(each, late_ms=CLOCK_LATE_MS) for each in live)
        order.last_moment_ms = max((each.token.expires_at * 1000 for each in live), default=0) + SKEW_MS
        if any(each.granted_by for each in live):
            self._marks.hit("revoked_with_an_open_grant")

    def _potential(self, issued: Issued) -> int:
        """Imprints that the token stands for: made, and still possible."""
        return issued.used + self._left(issued)

    def _left(self, issued: Issued, *, late_ms: int = 0) -> int:
        """`late_ms`: how far the clock of its device may be behind."""
        over = self._timeline.unix_ms - late_ms > issued.token.expires_at * 1000
        if issued.closed or (over and issued.granted_by is None):
            return 0
        return issued.token.seal.max_strokes - issued.used

    def _issued(self, token_id: bytes) -> Issued:
        issued = self.tokens.get(token_id)
        if issued is None:
            raise Violation("I2", f"a device obeyed a token that was never issued ({token_id.hex()})")
        return issued

    # --- ledger -------------------------------------------------------------------------------------------------------

    def admitted(self, incoming: Incoming) -> None:
        """An event is in the tree for good."""
        device_id, seq = incoming.event.header.device_id, incoming.seq
        held = self.committed.setdefault(device_id, {})
        _must(seq not in held, "I6", f"the ledger took event {seq} of {device_id} twice")
        true = self.accounts[device_id].story.get(seq) if device_id in self.accounts else None
        _must(true == incoming.leaf, "I11", f"the ledger took an event {seq} that {device_id} never wrote")
        held[seq] = incoming
        prefix = self.prefix.get(device_id, 0)
        while prefix + 1 in held:
            prefix += 1
        self.prefix[device_id] = prefix

    def receipt_signed(self, receipt: Receipt) -> None:
        """A receipt is about to leave; what it names must be durable now."""
        held = self.prefix.get(receipt.device_id, 0)
        _must(receipt.up_to_seq <= held, "I5", f"a receipt up to {receipt.up_to_seq}, the ledger holds {held}")
        last = self.committed[receipt.device_id][receipt.up_to_seq]
        _must(receipt.chain_hash == last.chain_hash, "I5", "a receipt with another chain hash")
        _must(set(receipt.photo_digests) <= self.blobs, "I5", "a receipt for a photo that is not there")

    def blob_kept(self, digest: bytes, data: bytes) -> None:
        if hashlib.sha256(data).digest() == digest:
            self.blobs.add(digest)

    # --- forgetting ---------------------------------------------------------------------------------------------------

    def photo_forgotten(self, account: Account, digest: bytes) -> None:
        lost = digest in account.named_photos and digest not in self.blobs
        _must(not lost, "I12", f"{account.device_id} deleted a photo that only it had")

    def outbox_checked(self, device_id: str, seqs: set[int], kept: set[int]) -> None:
        """`seqs` are in the outbox now, `kept` were put there: what is missing must be in the ledger."""
        lost = {seq for seq in kept - seqs if seq > self.prefix.get(device_id, 0)}
        _must(not lost, "I12", f"the gateway deleted events {sorted(lost)[:4]} of {device_id} without a receipt")

    def full(self, account: Account) -> None:
        _must(account.intent is None, "I13", "no room in the journal for the end of a stroke")
