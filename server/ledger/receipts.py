"""Receipts: what a device may forget, signed from stored bytes only, sent again until the device has acknowledged one.

A receipt is a function of the database (Ed25519 is deterministic), so none is stored: after a restart the same state
gives the same bytes.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from firmware_protocol import events, orders
from firmware_protocol.orders import MAX_RECEIPT_PHOTOS, Receipt
from server.core.clock import Clock
from server.core.db import Database
from server.core.signer import Signer
from server.ledger import batch_store, log_store
from server.ledger.log_store import ChainKey, ReceiptFacts
from server.ledger.sequencer import Acknowledged

RESEND_S: Final = 10.0
"""First wait for an acknowledgement; doubles up to LONGEST_RESEND_S while the gateway stays silent."""
LONGEST_RESEND_S: Final = 600.0
WAIT_S: Final = 3.0
"""Longest wait of a receipt while one full batch follows another."""
WORTH: Final = 40
"""Events for which a receipt is made at once all the same; making it and hearing that it came costs more CPU time than
checking a signature. What fewer cost is in decision 0018."""
_REMEMBERED: Final = 20_000
"""Receipts whose acknowledgement is still understood; an older one is simply sent again."""


class OutgoingReceipt(NamedTuple):
    """One signed receipt and the gateway that gets it."""

    gateway_id: str
    device_id: str
    data: bytes


@dataclass(slots=True)
class _Waiting:
    next_at: float  # monotonic seconds
    wait_s: float


class DueReceipts:
    """Devices that get a receipt. A receipt covers all that came before it, so in a backlog it waits until it is worth
    making; otherwise it is made at once.
    """

    def __init__(self) -> None:
        self._devices: set[ChainKey] = set()
        self._since = 0.0
        self._events = 0

    def add(self, devices: Iterable[ChainKey], *, events: int, now: float) -> None:
        """`events`: how many were stored for them; `now`: monotonic seconds."""
        if not self._devices:
            self._since = now
        self._devices.update(devices)
        self._events += events

    def take(self, *, now: float, backlog: bool) -> set[ChainKey]:
        """Those whose receipt is made now; the others stay."""
        if backlog and now - self._since < WAIT_S and self._events < WORTH * len(self._devices):
            return set()
        taken, self._devices, self._events = self._devices, set(), 0
        return taken


def receipts_for(chain_key: ChainKey, facts: ReceiptFacts) -> list[Receipt]:
    """What a device may forget by these facts: one receipt, or more when many photos are named."""
    device_id, generation = chain_key
    return [
        Receipt(
            device_id=device_id,
            generation=generation,
            up_to_seq=facts.up_to_seq,
            chain_hash=events.chain_hash(facts.leaf),
            photo_digests=tuple(facts.photos[start : start + MAX_RECEIPT_PHOTOS]),
        )
        for start in range(0, max(1, len(facts.photos)), MAX_RECEIPT_PHOTOS)
    ]


class ReceiptDesk:
    """Signs receipts and keeps in memory which are unacknowledged. Not thread-safe."""

    def __init__(self, database: Database, *, signer: Signer, clock: Clock, resend_s: float = RESEND_S) -> None:
        self._database = database
        self._signer = signer
        self._clock = clock
        self._resend_s = resend_s
        self._waiting: dict[ChainKey, _Waiting] = {}
        self._newest: dict[ChainKey, set[bytes]] = {}
        self._sent: OrderedDict[bytes, Acknowledged] = OrderedDict()

    def load(self) -> None:
        """After a start: everything unacknowledged is due at once."""
        with self._database.read() as db:
            for chain_key in log_store.unacknowledged(db):
                self._waiting[chain_key] = _Waiting(self._clock.monotonic(), self._resend_s)

    def make(self, due: Iterable[ChainKey]) -> list[OutgoingReceipt]:
        """The receipts that these devices get now; none for a device with nothing below its first gap."""
        wanted = sorted(set(due))
        outgoing: list[OutgoingReceipt] = []
        with self._database.read() as db:
            facts = batch_store.receipt_facts(db, wanted)
        for chain_key in wanted:
            if chain_key in facts:
                outgoing += self._sign(chain_key, facts[chain_key])
                soon = self._clock.monotonic() + self._resend_s
                self._waiting.setdefault(chain_key, _Waiting(soon, self._resend_s))
            else:
                self._waiting.pop(chain_key, None)
        return outgoing

    def overdue(self) -> list[ChainKey]:
        """Devices whose receipts were not acknowledged in time; each is then due again later and later."""
        now = self._clock.monotonic()
        late = [chain_key for chain_key, waiting in self._waiting.items() if waiting.next_at <= now]
        for chain_key in late:
            waiting = self._waiting[chain_key]
            waiting.wait_s = min(waiting.wait_s * 2, LONGEST_RESEND_S)
            waiting.next_at = now + waiting.wait_s
        return late

    def waiting_behind(self, gateway_id: str) -> list[ChainKey]:
        """Unacknowledged devices last heard over this gateway, which has just come back."""
        with self._database.read() as db:
            return [key for key in self._waiting if log_store.gateway_of(db, key) == gateway_id]

    def acknowledged(self, digest: bytes) -> Acknowledged | None:
        """What the device has, by the SHA-256 of the receipt; None for one this process did not send."""
        found = self._sent.pop(digest, None)
        if found is not None:
            newest = self._newest.get(found.chain_key, set())
            newest.discard(digest)
            if not newest:
                self._newest.pop(found.chain_key, None)
                self._waiting.pop(found.chain_key, None)
        return found

    def _sign(self, chain_key: ChainKey, facts: ReceiptFacts) -> list[OutgoingReceipt]:
        outgoing = []
        self._newest[chain_key] = set()
        for receipt in receipts_for(chain_key, facts):
            data = orders.sign(receipt, key=self._signer)
            self._remember(chain_key, data, receipt)
            outgoing.append(OutgoingReceipt(gateway_id=facts.gateway_id, device_id=receipt.device_id, data=data))
        return outgoing

    def _remember(self, chain_key: ChainKey, data: bytes, receipt: Receipt) -> None:
        digest = hashlib.sha256(data).digest()
        self._newest[chain_key].add(digest)
        self._sent[digest] = Acknowledged(
            chain_key=chain_key, up_to_seq=receipt.up_to_seq, photos=receipt.photo_digests
        )
        self._sent.move_to_end(digest)
        if len(self._sent) > _REMEMBERED:
            self._sent.popitem(last=False)
