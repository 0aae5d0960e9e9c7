"""The ledger as a model around the real rules.

server.ledger.admission decides, server.ledger.receipts says what a receipt holds. What stands for the database survives
a kill; what stands for memory does not.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import Final

from firmware_protocol import events, orders
from firmware_protocol.purposes import Purpose
from server.ledger import admission, receipts
from server.ledger.admission import Accepted, Chain, DeviceKey, Duplicate, Incoming, Reason, SetAside
from server.ledger.log_store import ReceiptFacts
from tests.simulation.marks import Marks
from tests.simulation.network import Died
from tests.simulation.stand import ISSUERS
from tests.simulation.timeline import Timeline
from tests.simulation.truth import Truth

BATCH_MS: Final = 5_000
"""Longer than in life, so that a batch holds several events and a kill before its commit loses some."""
RESEND_MS: Final = 10_000
_EPOCH: Final = datetime(2027, 1, 15, tzinfo=UTC)
_RECEIPTS: Final = ISSUERS[orders.ORDER_PURPOSES.index(Purpose.RECEIPT)]

ChainKey = tuple[str, int]


class Photo(IntEnum):
    """server.ledger.schemas.PhotoState."""

    NEW = 0
    NAMED = 1
    ACKED = 2


@dataclass(slots=True)
class Tables:
    """What is committed."""

    keys: dict[ChainKey, DeviceKey] = field(default_factory=dict)
    chains: defaultdict[ChainKey, Chain] = field(default_factory=lambda: defaultdict(Chain))
    leaves: dict[ChainKey, dict[int, Incoming]] = field(default_factory=dict)
    photos: dict[ChainKey, dict[bytes, Photo]] = field(default_factory=dict)
    announced: dict[bytes, ChainKey] = field(default_factory=dict)
    acked_seq: dict[ChainKey, int] = field(default_factory=dict)
    proved_ms: dict[ChainKey, int] = field(default_factory=dict)
    set_aside: list[tuple[bytes, Reason]] = field(default_factory=list)


class Ledger:
    """`send(device_id, receipt)`; `project(event)` hears of every event admitted; `trip(point)` may raise Died."""

    def __init__(
        self,
        timeline: Timeline,
        truth: Truth,
        marks: Marks,
        *,
        send: Callable[[str, bytes], None],
        project: Callable[[events.Event], None],
        trip: Callable[[str], None],
    ) -> None:
        self._timeline, self._truth, self._marks = timeline, truth, marks
        self._send, self._project, self._trip = send, project, trip
        self.tables = Tables()
        self._arrivals: list[bytes] = []
        self._planned = False
        self._due: set[ChainKey] = set()  # devices with new photos
        self._waiting: dict[ChainKey, tuple[int, int]] = {}  # when the receipt is sent again, and the wait after that
        self._sent: dict[bytes, orders.Receipt] = {}
        self._newest: dict[ChainKey, set[bytes]] = {}

    def now(self) -> datetime:
        return _EPOCH + timedelta(milliseconds=self._timeline.now_ms)

    def killed(self) -> None:
        self._arrivals.clear()
        self._waiting.clear()
        self._sent.clear()
        self._newest.clear()

    def load(self) -> None:
        """After a start: every receipt that nobody acknowledged is due at once."""
        chains = self.tables.chains
        behind = {key for key in chains if chains[key].prefix_seq > self.tables.acked_seq.get(key, 0)}
        behind |= {key for key, photos in self.tables.photos.items() if Photo.NAMED in photos.values()}
        self.give_receipts(behind)

    def begin_with(self, story: Iterable[bytes]) -> None:
        """Events that were here before the schedule."""
        self.admit([(signed, self._checked(signed)) for signed in story])

    # --- events -------------------------------------------------------------------------------------------------------

    def arrive(self, payload: bytes) -> None:
        """A message from the broker; it is in memory only."""
        self._arrivals.append(payload)
        self._plan_batch()

    def _plan_batch(self) -> None:
        if not self._planned:
            self._planned = True
            self._timeline.after(BATCH_MS, self._batch)

    def _batch(self) -> None:
        self._planned = False
        arrivals, self._arrivals = self._arrivals, []
        if not arrivals and not self._due:
            return
        try:
            self.commit(arrivals)
        except Died:
            return

    def commit(self, arrivals: list[bytes]) -> None:
        """One batch: read, decide, make durable, then receipts. Raises: Died."""
        reads = [(payload, self._checked(payload)) for payload in arrivals]
        self._trip("server_died_before_commit")
        due = self.admit(reads) | self._due
        self._due = set()
        self._trip("server_died_after_commit")
        self.give_receipts(due)

    def _checked(self, payload: bytes) -> Incoming | SetAside:
        found = admission.read(payload)
        if isinstance(found, SetAside):
            return found
        return admission.check_signature(found, self.tables.keys.get(found.chain_key)) or found

    def admit(self, reads: list[tuple[bytes, Incoming | SetAside]]) -> set[ChainKey]:
        """The devices that get a receipt."""
        heard: set[ChainKey] = set()
        for payload, found in reads:
            if isinstance(found, SetAside):
                self._put_aside(payload, found)
                continue
            verdict = self.decide(self.tables.chains[found.chain_key], found)
            match verdict:
                case Accepted():
                    self.keep(found)
                    heard.add(found.chain_key)
                case Duplicate():
                    self._marks.hit("duplicate_after_lost_ack")
                    self._name_again(found)
                    heard.add(found.chain_key)
                case SetAside():
                    self._put_aside(payload, verdict)
        return heard

    def decide(self, chain: Chain, incoming: Incoming) -> admission.Verdict:
        before = list(chain.gaps)
        verdict = admission.admit(chain, incoming, now=self.now())
        if len(chain.gaps) > len(before):
            self._marks.hit("gap_opened")
        elif len(chain.gaps) < len(before):
            self._marks.hit("gap_closed_late")
        return verdict

    def keep(self, incoming: Incoming) -> None:
        """The event is in the database from here on."""
        key = incoming.chain_key
        self._truth.admitted(incoming)
        self.tables.leaves.setdefault(key, {})[incoming.seq] = incoming
        for digest in _photos(incoming.event.body):
            self.tables.announced[digest] = key
        self._prove(key)
        self._project(incoming.event)

    def _prove(self, key: ChainKey) -> None:
        """The highest signed time that stands without a gap."""
        leaves, proved = self.tables.leaves[key], self.tables.proved_ms.get(key, 0)
        last = leaves.get(self.tables.chains[key].prefix_seq)
        if last is not None:
            self.tables.proved_ms[key] = max(proved, last.event.header.time_ms or 0)

    def _name_again(self, incoming: Incoming) -> None:
        photos = self.tables.photos.get(incoming.chain_key, {})
        for digest in _photos(incoming.event.body):
            if photos.get(digest) is Photo.ACKED:
                photos[digest] = Photo.NAMED

    def _put_aside(self, payload: bytes, why: SetAside) -> None:
        self.tables.set_aside.append((payload, why.reason))
        if why.reason in (Reason.BAD_SIGNATURE, Reason.UNKNOWN_KEY):
            self._marks.hit("forged_event_set_aside")

    # --- photos and receipts ------------------------------------------------------------------------------------------

    def photo_stored(self, digest: bytes) -> None:
        key = self.tables.announced[digest]
        self.tables.photos.setdefault(key, {})[digest] = Photo.NAMED
        self._due.add(key)
        self._plan_batch()

    def covered(self, key: ChainKey) -> int:
        """Up to which event a receipt speaks."""
        return self.tables.chains[key].prefix_seq

    def give_receipts(self, due: set[ChainKey]) -> None:
        """Real receipts from what is stored, signed with the real key."""
        for key in sorted(due):
            up_to, leaves = self.covered(key), self.tables.leaves.get(key, {})
            if up_to == 0 or up_to not in leaves:
                continue
            photos = self.tables.photos.get(key, {})
            named = [digest for digest, state in photos.items() if state is not Photo.ACKED]
            self._newest[key] = set()
            for receipt in receipts.receipts_for(key, ReceiptFacts("gw", up_to, leaves[up_to].leaf, named)):
                self._truth.receipt_signed(receipt)
                signed = orders.sign(receipt, key=_RECEIPTS)
                digest = hashlib.sha256(signed).digest()
                self._sent[digest] = receipt
                self._newest[key].add(digest)
                self._send(key[0], signed)
            self._wait_for(key)

    def _wait_for(self, key: ChainKey) -> None:
        if key not in self._waiting:
            self._waiting[key] = (self._timeline.now_ms + RESEND_MS, RESEND_MS)

    def sweep(self) -> None:
        """Receipts that nobody acknowledged go out again, less and less often."""
        now = self._timeline.now_ms
        late = {key for key, (due, _) in self._waiting.items() if due <= now}
        for key in late:
            wait = min(2 * self._waiting[key][1], 600_000)
            self._waiting[key] = (now + wait, wait)
        self.give_receipts(late)

    @property
    def waits(self) -> bool:
        return bool(self._waiting)

    def acknowledged(self, digest: bytes) -> None:
        """A gateway says that the device accepted this receipt."""
        receipt = self._sent.pop(digest, None)
        if receipt is None:
            return
        key = (receipt.device_id, receipt.generation)
        self._newest[key].discard(digest)
        if not self._newest[key]:
            self._waiting.pop(key, None)
        self.tables.acked_seq[key] = max(self.tables.acked_seq.get(key, 0), receipt.up_to_seq)
        photos = self.tables.photos.get(key, {})
        for photo in receipt.photo_digests:
            if photos.get(photo) is Photo.NAMED:
                photos[photo] = Photo.ACKED


def _photos(body: events.Body) -> list[bytes]:
    return [body.preview_digest, body.photo_digest] if isinstance(body, events.PageSeen | events.Done) else []
