"""`cinnabar fsck --policy`: replay every leaf in the order of the log, and name what the entries do not justify.

Tokens, vouchers, permits, services and releases of devices each need their reason in the log before them. Leaves are
read as raw bytes; what an entry only commits to comes from the openings beside the log, each checked against its
commitment. Signatures, hashes and the tree are the matter of `fsck.check`.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from sqlmodel import Session, col, select

from firmware_protocol import cbor, cose, events, orders, tokens
from firmware_protocol.errors import ProtocolError
from firmware_protocol.labelled import from_map
from server.ledger import entry_codec
from server.ledger.entry_codec import Opening
from server.ledger.entry_types import EntryType
from server.ledger.models import LedgerEntry, LedgerOpening
from server.ledger.replay.requests import Requests
from server.ledger.replay.said import Gone, Said
from server.ledger.replay.services import Services
from server.ledger.replay.tokens import Faults, Tokens
from server.ledger.replay.uses import Uses
from server.ledger.replay.world import World
from server.ledger.schemas import LeafKind

_PAGE: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Unjustified:
    """`index`: the leaf or entry in the log. `what`: "token 4f1a..: WHY". `erased`: undecidable, as it was erased."""

    index: int
    what: str
    erased: bool = False


@dataclass(slots=True)
class Replay:
    """Everything the leaves so far have established."""

    world: World = field(default_factory=World)
    uses: Uses = field(default_factory=Uses)
    requests: Requests = field(init=False)
    tokens: Tokens = field(init=False)
    services: Services = field(init=False)
    erased: set[str] = field(default_factory=set)  # requests of which contents were erased on record
    suspects: list[tuple[Unjustified, str]] = field(default_factory=list)  # lacking an opening, with their request

    def __post_init__(self) -> None:
        self.requests = Requests(self.world)
        self.tokens = Tokens(self.world, self.requests, self.uses)
        self.services = Services(self.world)

    def leaf(self, index: int, kind: str, leaf: bytes, openings: dict[str, Opening]) -> Iterator[Unjustified]:
        """One leaf, in the order of the log. A leaf that cannot be read is named."""
        try:
            match LeafKind(kind):
                case LeafKind.EVENT:
                    self.uses.take(index, events.peek(leaf))
                case LeafKind.TOKEN:
                    self.tokens.leaf(index, leaf, tokens.read(cose.parse1(leaf).payload))
                case LeafKind.PERMIT:
                    permit = from_map(orders.Permit, cbor.decode_map(cose.parse1(leaf).payload))
                    self.tokens.leaf(index, leaf, permit)
                case LeafKind.ENTRY:
                    said = Said(index=index, entry=entry_codec.peek(leaf), openings=openings)
                    yield from self._entry(said)
        except (ProtocolError, ValueError) as error:
            yield Unjustified(index=index, what=f"leaf: cannot be read: {error}")

    def _entry(self, said: Said) -> Iterator[Unjustified]:
        match said.entry.entry_type:
            case EntryType.TOKEN_ISSUED:
                yield from self._judge(said, f"token {said.ref('token')[:8]}", self.tokens.token_faults(said))
            case EntryType.VOUCHER_ISSUED:
                yield from self._judge(said, f"voucher {said.ref('token')[:8]}", self._voucher_faults(said))
            case EntryType.ESEAL_ISSUED:
                yield from self._judge(said, f"electronic seal {said.ref('code')}", self.tokens.eseal_faults(said))
            case EntryType.PERMIT_ISSUED:
                name = f"permit for stroke {said.number('stroke')} of token {said.ref('token')[:8]}"
                yield from self._judge(said, name, self.tokens.permit_faults(said))
            case EntryType.SERVICE_ORDERED:
                yield from self._judge(said, f"service {said.ref('service')[:8]}", self.services.faults(said))
            case EntryType.DEVICE_RESET_ORDERED:
                yield from self._judge(said, f"release of {said.ref('device')}", self.services.release_faults(said))
            case EntryType.PAGE_FINDING | EntryType.VERDICT:
                self.tokens.looked(said)
            case EntryType.RECORD_ERASED:
                self.erased.add(said.ref("request"))
            case _:
                self.world.take(said)
                self.requests.take(said)
                self.services.take(said)

    def _voucher_faults(self, said: Said) -> Faults:
        token = self.tokens.issued.get(bytes.fromhex(said.ref("token")))
        claims = token.claims.seal if token else None
        yield "no token was issued for it", claims is None
        yield (
            "its counter is not that of its token",
            claims is not None and claims.voucher_counter != said.number("counter"),
        )

    def _judge(self, said: Said, name: str, faults: Faults) -> Iterator[Unjustified]:
        """All faults of one right in one sentence; later when an opening is missing, as it may have been erased."""
        gone = ""
        found: list[str] = []
        try:
            found = [what for what, wrong in faults if wrong]
        except Gone as error:
            gone = str(error)
        request = self.requests.current.get(said.ref("request"))
        if not gone and request is not None and request.gone and found:
            gone = "; ".join(found)
        if gone:
            self.suspects.append((Unjustified(index=said.index, what=f"{name}: {gone}"), said.ref("request")))
        elif found:
            yield Unjustified(index=said.index, what=f"{name}: {'; '.join(found)}")

    def finish(self) -> Iterator[Unjustified]:
        """After the last leaf: what nothing accounts for."""
        for index, claims in self.tokens.unclaimed.values():
            yield Unjustified(index=index, what=f"token {claims.token_id.hex()[:8]}: no entry says why it was issued")
        for index, permit in self.tokens.unclaimed_permits.values():
            name = f"permit for stroke {permit.stroke} of token {permit.token_id.hex()[:8]}"
            yield Unjustified(index=index, what=f"{name}: no entry says why it was issued")
        for suspect, request in self.suspects:
            yield Unjustified(index=suspect.index, what=suspect.what, erased=request in self.erased)
        yield from self._strokes()

    def _strokes(self) -> Iterator[Unjustified]:
        """Strokes that devices report, against the tokens that were issued."""
        samples = self.services.samples
        for token_id, use in self.uses.by_token.items():
            token = self.tokens.issued.get(token_id)
            name = f"strokes of {use.device} under token {token_id.hex()[:8]}"
            if token is None:
                if token_id not in samples:
                    yield Unjustified(index=use.first, what=f"{name}: it was never issued")
                continue
            most = token.claims.seal.max_strokes
            if use.device != token.claims.device_id:
                yield Unjustified(index=use.first, what=f"{name}: it was issued to {token.claims.device_id}")
            if (made := max(use.strokes, default=0)) > most:
                yield Unjustified(index=use.first, what=f"{name}: stroke {made} of {most}")


def check(db: Session) -> Iterator[Unjustified]:
    """Every right in the log that its entries do not justify; none means that each has its reason. One snapshot."""
    replay = Replay()
    for rows, openings in _pages(db):
        for index, kind, leaf, leaf_hash in rows:
            yield from replay.leaf(index, kind, leaf, openings.get(leaf_hash, {}))
    yield from replay.finish()


def _pages(
    db: Session,
) -> Iterator[tuple[list[tuple[int, str, bytes, bytes]], dict[bytes, dict[str, Opening]]]]:
    after = -1
    while True:
        query = (
            select(LedgerEntry.idx, LedgerEntry.kind, LedgerEntry.leaf, LedgerEntry.leaf_hash)
            .where(col(LedgerEntry.idx) > after)
            .order_by(col(LedgerEntry.idx))
            .limit(_PAGE)
        )
        rows = [(index, kind, leaf, leaf_hash) for index, kind, leaf, leaf_hash in db.exec(query)]
        if not rows:
            return
        yield rows, _openings(db, [row[3] for row in rows if row[1] == LeafKind.ENTRY.value])
        after = rows[-1][0]


def _openings(db: Session, leaf_hashes: list[bytes]) -> dict[bytes, dict[str, Opening]]:
    found: dict[bytes, dict[str, Opening]] = defaultdict(dict)
    if not leaf_hashes:
        return found
    query = select(LedgerOpening).where(col(LedgerOpening.leaf_hash).in_(leaf_hashes))
    for row in db.exec(query):
        if row.salt is not None and row.value is not None:
            found[row.leaf_hash][row.label] = Opening(row.salt, row.value)
    return found
