"""Whether a token, voucher or permit follows from what stood in the log before it."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID

from firmware_protocol import orders
from firmware_protocol.orders import Permit
from firmware_protocol.tokens import Mode, Token
from server.ledger.entry_types import EntryType
from server.ledger.replay.requests import Request, Requests
from server.ledger.replay.said import Said
from server.ledger.replay.uses import Uses
from server.ledger.replay.world import KEEPER, World

VOUCHER_LIFE_S: Final = 24 * 3600
_STRICTNESS: Final = {"before": 0, "after": 1, "none": 2}
Faults = Iterator[tuple[str, bool]]


@dataclass(slots=True, kw_only=True)
class Issued:
    """A token that an entry accounts for. `keeper`: None, when the entry does not show who."""

    index: int
    claims: Token
    request: Request | None
    request_id: str
    keeper: UUID | None = None


@dataclass(slots=True)
class Tokens:
    world: World
    requests: Requests
    uses: Uses
    unclaimed: dict[bytes, tuple[int, Token]] = field(default_factory=dict)  # SHA-256 of a token leaf -> its claims
    unclaimed_permits: dict[bytes, tuple[int, Permit]] = field(default_factory=dict)
    issued: dict[bytes, Issued] = field(default_factory=dict)  # token id -> what is known
    findings: dict[str, str] = field(default_factory=dict)  # finding id -> answer
    anyway: dict[str, Said] = field(default_factory=dict)  # finding id -> "stamp anyway"
    _vouchers: dict[str, int] = field(default_factory=dict)  # device -> last counter

    def leaf(self, index: int, leaf: bytes, claims: Token | Permit) -> None:
        """A token or permit itself; the entry that accounts for it follows."""
        digest = hashlib.sha256(leaf).digest()
        if isinstance(claims, Token):
            self.unclaimed[digest] = (index, claims)
        else:
            self.unclaimed_permits[digest] = (index, claims)

    def looked(self, said: Said) -> None:
        """A finding, or what a person said about it."""
        if said.entry.entry_type is EntryType.PAGE_FINDING:
            self.findings[said.ref("finding")] = said.text("answer")
        elif said.text("verdict") == "anyway":
            self.anyway[said.ref("finding")] = said

    def token_faults(self, said: Said) -> Faults:
        """(what would be wrong with the token of a TOKEN_ISSUED entry, whether it is). Raises: Gone."""
        found = self.unclaimed.pop(said.data("token_digest"), None)
        if found is None:
            yield "the token that its entry names is not in the log before it", True
            return
        claims, request = found[1], self.requests.current.get(said.ref("request"))
        issued = Issued(index=said.index, claims=claims, request=request, request_id=said.ref("request"))
        self.issued[claims.token_id] = issued
        issued.keeper = keeper = said.person("keeper")
        yield from self._request_faults(said, request)
        if request is not None:
            yield from self._claim_faults(said, claims, request)
            yield from self._count_faults(said, claims, request)
            yield from self._keeper_faults(said, claims, request, keeper)
            yield from self._mode_faults(claims, request)

    def _request_faults(self, said: Said, request: Request | None) -> Faults:
        if request is None:
            yield "no request was submitted for it", True
            return
        yield "its request was changed after the digest it names", request.digest != said.data("request_digest")
        yield "its request was voided or withdrawn before it", request.ended
        why = request.not_approved()
        yield f"its request was not approved: {why}", bool(why)
        yield "it was issued after the request's end", said.time_ms >= request.ends_ms
        yield "it was issued before the request's beginning", said.time_ms < request.not_before_s * 1000

    def _claim_faults(self, said: Said, claims: Token, request: Request) -> Faults:
        device, seal = self.world.devices[claims.device_id], self.world.seals.get(request.seal)
        place = request.canonical.get(14)
        yield "its entry names another token id", said.ref("token") != claims.token_id.hex()
        yield "its entry names another device", said.ref("device") != claims.device_id
        yield f"its device is {device.state}", device.state != "active"
        yield "its request asks for another device", not str(place).startswith("/") and place != claims.device_id
        yield "its document is not the one approved", claims.seal.document_digest not in request.documents
        yield "its head is not one of the seal's", seal is None or claims.seal.head_id not in seal.heads
        yield f"its seal is {seal.state if seal else 'unknown'}", seal is None or seal.state != "active"
        yield "its entry names another number of strokes", said.number("strokes") != claims.seal.max_strokes

    def _count_faults(self, said: Said, claims: Token, request: Request) -> Faults:
        same = said.ref("request")
        others = [one for one in self.issued.values() if one.request_id == same and one.index < said.index]
        counted = sum(
            self.uses.counted(
                one.claims.token_id,
                device=one.claims.device_id,
                strokes=one.claims.seal.max_strokes,
                until_ms=one.claims.expires_at * 1000,
                now_ms=said.time_ms,
                challenged=one.claims.nonce is not None,
            )
            for one in others
        )
        asked = counted + claims.seal.max_strokes
        allowed = 0 if request.canonical.get(22) == "electronic" else request.strokes
        yield f"more strokes than approved: {asked} counted with it, {allowed} approved", asked > allowed

    def _keeper_faults(self, said: Said, claims: Token, request: Request, keeper: UUID | None) -> Faults:
        person = self.world.people.get(keeper) if keeper else None
        if person is None or keeper is None:
            yield "its keeper was never added", True
            return
        device = self.world.devices[claims.device_id]
        seals = {request.seal, *self.world.seals_with(self.uses.heads[claims.device_id])}
        duty = self.world.on_duty(keeper, device=claims.device_id, seals=seals, at_ms=said.time_ms)
        standing = self.world.holds(keeper, KEEPER, device.branch) or bool(duty)
        yield "its keeper was neither keeper there nor a deputy in these days", not (person.active and standing)
        yield "it names another operator than its keeper", claims.seal.operator != person.operator
        places = {keeper, *(one.stands_for for one in duty)}
        yield "its keeper is not the one the request names", request.keeper is not None and request.keeper not in places
        yield "its keeper approved the request", keeper in {voter for voter, _stage in request.votes}
        may = request.rule is not None and request.rule.requester_may_keep
        yield "its keeper is the requester, which the rule does not allow", keeper == request.requester and not may

    def _mode_faults(self, claims: Token, request: Request) -> Faults:
        asked = _STRICTNESS.get(str(request.canonical.get(11)), 0)
        yield "it checks pages less than approved", int(claims.seal.page_check) > asked
        counter = claims.seal.voucher_counter
        if counter is None:
            yield "it is bound to no challenge", claims.nonce is None or claims.exi_s is None
            yield "it is marked as a voucher and has no counter", Mode.VOUCHER in claims.seal.mode
            return
        limit = (
            min(request.rule.max_offline_strokes, self.world.devices[claims.device_id].max_offline_strokes)
            if (request.rule)
            else 0
        )
        yield "a voucher, which the request does not ask for", request.stamping != "voucher"
        yield f"a voucher of more strokes than the {limit} allowed", claims.seal.max_strokes > limit
        yield "a voucher that lives too long", claims.expires_at - claims.issued_at > VOUCHER_LIFE_S
        yield "a voucher whose counter did not rise", counter <= self._vouchers.get(claims.device_id, 0)
        self._vouchers[claims.device_id] = max(counter, self._vouchers.get(claims.device_id, 0))

    def eseal_faults(self, said: Said) -> Faults:
        """(what would be wrong with an ESEAL_ISSUED entry, whether it is)."""
        request = self.requests.current.get(said.ref("request"))
        if request is None:
            yield "no request was submitted for it", True
            return
        why = request.not_approved()
        yield f"its request was not approved: {why}", bool(why)
        yield "its request was voided or withdrawn before it", request.ended
        yield "its request asks for paper alone", request.canonical.get(22) == "paper"
        yield "its document is not the one approved", said.data("document_digest") not in request.documents
        yield "its seal is not the one approved", said.ref("seal") != request.seal

    def permit_faults(self, said: Said) -> Faults:
        """(what would be wrong with the permit of a PERMIT_ISSUED entry, whether it is). Raises: Gone."""
        found = self.unclaimed_permits.pop(said.data("permit_digest"), None)
        if found is None:
            yield "the permit that its entry names is not in the log before it", True
            return
        permit = found[1]
        token = self.issued.get(permit.token_id)
        if token is None:
            yield "no token was issued that it belongs to", True
            return
        claims, request = token.claims, token.request
        page = orders.page_digest(claims.seal.document_digest, permit.page)
        yield "it is for another device than its token", permit.device_id != claims.device_id
        yield "more strokes than its token allows", not 1 <= permit.stroke <= claims.seal.max_strokes
        yield "its page is not one of the approved document", permit.page_digest != page
        yield "it was issued after its token's end", said.time_ms >= (claims.expires_at + 1) * 1000
        yield "its request was voided or withdrawn before it", request is not None and request.ended
        yield from self._seen_faults(said, token)

    def _seen_faults(self, said: Said, token: Issued) -> Faults:
        finding = said.ref("finding")
        answer = self.findings.get(finding)
        if answer == "match":
            return
        verdict = self.anyway.get(finding)
        if verdict is None:
            yield f"its photo was judged '{answer or 'by nobody'}' and nobody answered for it", True
            return
        by, request = verdict.person("by"), token.request
        yield "its photo was judged 'wrong'", answer != "doubtful"
        yield "who answered for its photo is the keeper", by is None or by == token.keeper
        if request is not None:
            yield "who answered for its photo is the requester", by == request.requester
            holds = any(self.world.holds(by, role, request.branch) for role in ("approver", KEEPER))
            yield "who answered for its photo held no role there", not holds
