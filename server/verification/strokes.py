"""Whether the device's own signed account fits what was allowed: GRANT, PAGE_SEEN, INTENT, DONE and the trace code.

Per stroke: the permit names the approved page and the photo the device had signed; INTENT names the permit; DONE comes
after it and carries a code that the device's key signed over this document and a counter that had moved.
"""

from collections import defaultdict
from dataclasses import dataclass, field

from firmware_protocol import cose, events, orders, trace
from firmware_protocol.errors import ProtocolError
from firmware_protocol.events import Cancelled, Closed, Done, Event, Grant, Header, Intent, Outcome, PageSeen, Settled
from firmware_protocol.orders import Permit
from firmware_protocol.tokens import PageCheck, Token
from server.verification.checks import Checks
from server.verification.leaves import Leaf
from server.verification.story import Story
from server.verification.trust import TrustBundle

Faults = list[tuple[str, str]]


@dataclass(slots=True)
class Use:
    """One token as the device tells it, in the order of its sequence numbers."""

    token: Leaf
    grants: list[Leaf] = field(default_factory=list)
    pages: dict[bytes, tuple[Leaf, PageSeen]] = field(default_factory=dict)  # stroke nonce -> PAGE_SEEN
    intents: dict[int, tuple[Leaf, Header, Intent]] = field(default_factory=dict)  # stroke -> its last INTENT
    done: dict[int, Leaf] = field(default_factory=dict)  # stroke -> DONE, or SETTLED as made
    used: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Stroke:
    """A stroke that the checks hold for; for people to read."""

    device_id: str
    token_id: bytes
    stroke: int
    counter: int
    short_code: str
    code: bytes
    page: int | None
    time_ms: int | None
    photo: bytes | None


@dataclass(frozen=True, slots=True)
class _Reader:
    """What following a device's events needs; faults are added as they are found."""

    permits: dict[bytes, Leaf]  # SHA-256 of the signed permit -> permit
    trust: TrustBundle
    faults: Faults


def check_chain(story: Story, checks: Checks) -> None:
    """Each event names the one before it, where both are here; no number twice."""
    chains: dict[tuple[str, int], dict[int, Leaf]] = defaultdict(dict)
    faults: Faults = []
    links = 0
    for leaf, event in _events(story):
        header = event.header
        if header.seq in chains[header.device_id, header.generation]:
            faults.append((leaf.member, f"the device signed two events with number {header.seq}"))
        chains[header.device_id, header.generation][header.seq] = leaf
    for chain in chains.values():
        for seq, leaf in chain.items():
            before = chain.get(seq - 1)
            if before is None or not isinstance(leaf.value, Event):
                continue
            links += 1
            if leaf.value.header.previous != events.chain_hash(before.data):
                faults.append((leaf.member, f"event {seq} does not follow from event {seq - 1}"))
    checks.group("device chain", faults, summary=f"{links} events name the hash of the event before them")


def check_strokes(story: Story, trust: TrustBundle, checks: Checks) -> list[Stroke]:
    """The strokes that the bundle proves."""
    faults: Faults = []
    uses = {token_id: Use(leaf) for token_id, leaf in story.tokens.items()}
    strokes: list[Stroke] = []
    permits = {leaf.digest: leaf for leaf in story.leaves if isinstance(leaf.value, Permit)}
    reader = _Reader(permits, trust, faults)
    for leaf, event in sorted(_events(story), key=lambda found: _order(found[1])):
        token_id = getattr(event.body, "token_id", None)
        use = uses.get(token_id) if token_id is not None else None
        if use is not None:
            strokes += _follow(use, leaf, event, reader)
        elif isinstance(event.body, Grant | Intent | Done):
            faults.append((leaf.member, "it is about a token that is not part of this request"))
    for use in uses.values():
        faults += _unfinished(use)
    faults += _permits(uses, story, permits)
    used = sum(use.used for use in uses.values())
    if story.strokes and used > story.strokes:
        faults.append(("manifest.json", f"{used} strokes were used, {story.strokes} were approved"))
    summary = f"{len(strokes)} strokes: grant, page, permit, intent, code and photo name one another"
    checks.group("strokes", faults, summary=summary)
    return strokes


def _follow(use: Use, leaf: Leaf, event: Event, reader: _Reader) -> list[Stroke]:
    """One event of a token's life; returns the stroke that it proves, if any."""
    token, faults = use.token.value, reader.faults
    if not isinstance(token, Token) or event.header.device_id != token.device_id:
        faults.append((leaf.member, "another device than the token's reports a use of it"))
        return []
    match event.body:
        case Grant() as grant:
            use.grants.append(leaf)
            if grant.token_digest != use.token.digest or grant.max_strokes != token.seal.max_strokes:
                faults.append((leaf.member, "the grant is for another token than the one issued"))
        case PageSeen() as page:
            use.pages[page.stroke_nonce] = (leaf, page)
        case Intent() as intent:
            use.intents[intent.stroke] = (leaf, event.header, intent)
            faults += _intent(use, leaf, intent, reader.permits, token)
        case Done() | Settled(outcome=Outcome.RECOVERED):
            return _made(use, leaf, event, reader)
        case Settled() | Cancelled() as ended:
            use.used += _consumed(ended)
            use.intents.pop(ended.stroke, None)
        case Closed() as closed:
            if closed.strokes_used != use.used:
                what = f"the device closed with {closed.strokes_used} strokes used, the events here tell of {use.used}"
                faults.append((leaf.member, what))
    return []


def _consumed(ended: Settled | Cancelled) -> bool:
    """Whether a stroke that did not end with DONE used up its place; UNKNOWN does."""
    return ended.outcome is not Outcome.ABORTED if isinstance(ended, Settled) else not ended.returned


def _intent(use: Use, leaf: Leaf, intent: Intent, permits: dict[bytes, Leaf], token: Token) -> Faults:
    if not use.grants:
        return [(leaf.member, "a stroke without a grant before it")]
    if token.seal.page_check is not PageCheck.BEFORE:
        return []
    found = permits.get(intent.permit_digest or b"")
    if found is None or not isinstance(found.value, Permit):
        return [(leaf.member, "the permit for this stroke is missing")]
    permit = found.value
    if (permit.token_id, permit.stroke, permit.page) != (intent.token_id, intent.stroke, intent.page):
        return [(leaf.member, "the permit is for another stroke")]
    seen = use.pages.get(permit.stroke_nonce)
    if seen is None:
        return [(leaf.member, "the photo of the page that the permit answers is not before this stroke")]
    return []


def _permits(uses: dict[bytes, Use], story: Story, permits: dict[bytes, Leaf]) -> Faults:
    """Every permit: the page of the approved document, and a photo that the device itself signed."""
    faults: Faults = []
    for leaf in permits.values():
        permit = leaf.value
        use = uses.get(permit.token_id) if isinstance(permit, Permit) else None
        if not isinstance(permit, Permit) or use is None:
            faults.append((leaf.member, "it is for a token that is not part of this request"))
            continue
        if permit.page_digest != orders.page_digest(story.document, permit.page):
            faults.append((leaf.member, f"it names another page than page {permit.page} of the approved document"))
        seen = use.pages.get(permit.stroke_nonce)
        if seen is None or seen[1].photo_digest != permit.photo_digest or seen[1].stroke != permit.stroke:
            faults.append((leaf.member, "no PAGE_SEEN event of the device shows the photo that it names"))
    return faults


def _made(use: Use, leaf: Leaf, event: Event, reader: _Reader) -> list[Stroke]:
    """A stroke that happened: its INTENT, its trace code."""
    body, faults = event.body, reader.faults
    if not isinstance(body, Done | Settled):
        return []
    use.used += 1
    begun = use.intents.pop(body.stroke, None)
    if begun is None or body.stroke in use.done:
        faults.append((leaf.member, "there is no INTENT event of this stroke before it"))
        return []
    use.done[body.stroke] = leaf
    wrong = _code_fault(use, event, body.trace_code, before=begun[1].counter, trust=reader.trust)
    if wrong or body.trace_code is None:
        faults.append((leaf.member, wrong or "it carries no trace code"))
        return []
    return [
        Stroke(
            device_id=event.header.device_id,
            token_id=body.token_id,
            stroke=body.stroke,
            counter=event.header.counter,
            short_code=trace.short_code(body.trace_code),
            code=body.trace_code,
            page=begun[2].page,
            time_ms=event.header.time_ms,
            photo=body.photo_digest if isinstance(body, Done) else None,
        )
    ]


def _code_fault(use: Use, event: Event, signed: bytes | None, *, before: int, trust: TrustBundle) -> str:
    """What is wrong with the trace code of a stroke; "" when nothing is."""
    token, header = use.token.value, event.header
    device = trust.device(header.device_id, header.generation)
    if signed is None or device is None or not isinstance(token, Token):
        return "it carries no trace code"
    try:
        code = trace.verify(signed, keys=cose.keyring(device.public_key))
    except ProtocolError as error:
        return f"its trace code: {error}"
    if code.document != token.seal.document_digest[:16] or code.use != token.token_id[:8]:
        return "its trace code names another document or token"
    if code.head != token.seal.head_id[:4]:
        return "its trace code names another stamp head than the token"
    if not before < code.counter <= header.counter:
        return "the counter in its trace code had not moved since INTENT"
    return ""


def _unfinished(use: Use) -> Faults:
    """Strokes and grants that the bundle leaves hanging."""
    faults = [(leaf.member, "what became of this stroke is missing") for leaf, _header, _intent in use.intents.values()]
    token = use.token.value
    if isinstance(token, Token) and use.used > token.seal.max_strokes:
        faults.append((use.token.member, f"{use.used} strokes were used, the token allowed {token.seal.max_strokes}"))
    if use.used and not use.grants:
        faults.append((use.token.member, "the device's GRANT event for this token is missing"))
    return faults


def _events(story: Story) -> list[tuple[Leaf, Event]]:
    return [(leaf, leaf.value) for leaf in story.leaves if isinstance(leaf.value, Event)]


def _order(event: Event) -> tuple[str, int, int]:
    return event.header.device_id, event.header.generation, event.header.seq
