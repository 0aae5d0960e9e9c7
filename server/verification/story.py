"""Whether the leaves of a bundle tell one story: what was asked, who agreed, what was allowed for that.

The digest of the canonical request ties the steps together: decisions sign it, token entries name it, and every token
names the approved document. Order is the order of the log, which nobody can rearrange.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from firmware_protocol import cbor
from firmware_protocol.tokens import Token
from server.ledger.entry_codec import Entry, ref_strings
from server.ledger.entry_types import EntryType
from server.verification.checks import Checks
from server.verification.leaves import Leaf


@dataclass(slots=True, kw_only=True)
class Story:
    """What the checks have established so far."""

    request: str
    leaves: list[Leaf]
    document: bytes = b""  # SHA-256 that the signed request names
    digests: dict[bytes, int] = field(default_factory=dict)  # approved request digest -> log index of the last decision
    ended: dict[bytes, int] = field(default_factory=dict)  # request digest -> log index where it was voided
    strokes: int = 0  # approved, spares included
    tokens: dict[bytes, Leaf] = field(default_factory=dict)  # token id -> leaf
    plans: dict[bytes, list[tuple[int, int]]] = field(default_factory=dict)  # token id -> (copy, page) of each stroke

    def sheet_of(self, token_id: bytes, stroke: int) -> tuple[int, int] | None:
        """(copy, page) that the stroke was for; None where its entry does not say."""
        plan = self.plans.get(token_id, [])
        return plan[stroke - 1] if 1 <= stroke <= len(plan) else None

    def entries(self, *types: EntryType) -> Iterator[tuple[Leaf, Entry]]:
        """In log order."""
        for leaf in self.leaves:
            if isinstance(leaf.value, Entry) and leaf.value.entry_type in types:
                yield leaf, leaf.value


def check_request(story: Story, members: dict[str, bytes], checks: Checks) -> None:
    """One request, the document that it names, and a canonical form that hashes to its digest."""
    submitted = [
        found for found in story.entries(EntryType.REQUEST_SUBMITTED) if names(found[1], "request", story.request)
    ]
    if not submitted:
        checks.fail("request", "no signed entry submits the request that the manifest names", member="manifest.json")
        return
    leaf, entry = submitted[-1]
    story.document = next((as_bytes(ref.partition(":")[2]) for ref in references(entry, "document")), b"")
    story.strokes = sum(value for name in ("strokes", "spares") if isinstance(value := entry.public.get(name), int))
    checks.add(
        "document",
        f"SHA-256 of document.pdf with the document of the request, {story.document.hex()[:16]}…",
        passed=hashlib.sha256(members.get("document.pdf", b"")).digest() == story.document,
        member="document.pdf",
    )
    foreign = [
        (other.member, "it belongs to another request")
        for other in story.leaves
        if isinstance(other.value, Entry) and references(other.value, "request") - {f"request:{story.request}"}
    ]
    checks.group(
        "request", foreign, summary=f"request {story.request}: every entry that names a request names this one"
    )
    canonical = leaf.raw.get("canonical")
    if canonical is None:
        checks.not_shown("request digest", "the canonical request is not opened in this bundle", member=leaf.member)
        return
    checks.add(
        "request digest",
        "SHA-256 of the opened canonical request with the digest in its signed entry",
        passed=as_bytes(entry.public.get("request_digest")) in _digests_of(canonical),
        member=_opening_of(leaf),
    )


def check_decisions(story: Story, members: dict[str, bytes], checks: Checks) -> None:
    """Every approval names the digest of the request as it stood; the approver is not the requester."""
    faults: list[tuple[str, str]] = []
    current, requester = b"", None
    pending = 0
    for leaf, entry in story.entries(
        EntryType.REQUEST_SUBMITTED, EntryType.REQUEST_VOIDED, EntryType.REQUEST_WITHDRAWN, EntryType.DECISION
    ):
        match entry.entry_type:
            case EntryType.REQUEST_SUBMITTED:
                current, requester = as_bytes(entry.public.get("request_digest")), leaf
            case EntryType.REQUEST_VOIDED | EntryType.REQUEST_WITHDRAWN:
                story.ended[current] = leaf.index
                current = as_bytes(entry.public.get("new_digest"))
            case _:
                if as_bytes(entry.public.get("request_digest")) != current or not current:
                    faults.append((leaf.member, "the decision is on another digest than the request has"))
                    continue
                pending += 1
                if is_approval(entry) and entry.public.get("complete") is not False:
                    story.digests[current] = leaf.index
                elif not is_approval(entry):
                    story.digests.pop(current, None)
                _check_people(leaf, requester, checks, faults)
                _check_assertion(leaf, entry, members, faults)
    if not story.digests and not faults:
        faults.append(("manifest.json", "no approval of this request is in the bundle"))
    checks.group(
        "decisions", faults, summary=f"{pending} decisions on exactly the digest of the request, ending in approval"
    )


def check_tokens(story: Story, checks: Checks) -> None:
    """Each token has its entry after the approval, and names the approved document and no more strokes than allowed."""
    faults: list[tuple[str, str]] = []
    by_digest = {leaf.digest: leaf for leaf in story.leaves if isinstance(leaf.value, Token)}
    for leaf, entry in story.entries(EntryType.TOKEN_ISSUED):
        token = by_digest.pop(as_bytes(entry.public.get("token_digest")), None)
        if token is None or not isinstance(token.value, Token):
            faults.append((leaf.member, "the token that this entry names is missing"))
            continue
        claims = token.value
        story.tokens[claims.token_id] = token
        story.plans[claims.token_id] = _plan(entry.public.get("plan"))
        digest = as_bytes(entry.public.get("request_digest"))
        approved_at = story.digests.get(digest)
        wrong = {
            "the request digest in its entry was not approved before": approved_at is None or approved_at > leaf.index,
            "the request was voided before this token": story.ended.get(digest, leaf.index) < leaf.index,
            "the token is for another document than the request": claims.seal.document_digest != story.document,
            "the token is for another device than its entry says": not names(entry, "device", claims.device_id),
            "the token allows more strokes than its entry says": claims.seal.max_strokes
            > _number(entry.public.get("strokes"), default=claims.seal.max_strokes),
            "the token allows more strokes than were approved": bool(story.strokes)
            and claims.seal.max_strokes > story.strokes,
        }
        faults += [(token.member, what) for what, fault in wrong.items() if fault]
    faults += [(leaf.member, "no entry says why this token was issued") for leaf in by_digest.values()]
    checks.group("tokens", faults, summary=f"{len(story.tokens)} tokens: device, document and strokes as approved")


def _plan(value: object) -> list[tuple[int, int]]:
    """Empty for anything that is no list of [copy, page]."""
    rows = value if isinstance(value, list) else []
    plan = [(row[0], row[1]) for row in rows if isinstance(row, list) and len(row) == 2]
    whole = all(isinstance(number, int) for row in plan for number in row)
    return plan if whole and len(plan) == len(rows) else []


def names(entry: Entry, kind: str, value: str | bytes) -> bool:
    """Whether the entry refers to exactly this `kind`:`value`."""
    text = value.hex() if isinstance(value, bytes) else value
    return f"{kind}:{text}" in references(entry, kind)


def references(entry: Entry, kind: str) -> set[str]:
    return {ref for ref in ref_strings(entry.refs) if ref.startswith(f"{kind}:")}


def as_bytes(value: object) -> bytes:
    """A digest as entries hold it, bytes or lowercase hex; b"" for anything else."""
    if isinstance(value, str):
        try:
            return bytes.fromhex(value)
        except ValueError:
            return b""
    return value if isinstance(value, bytes) else b""


def is_approval(entry: Entry) -> bool:
    return entry.public.get("approved") is True or entry.public.get("outcome") in ("approve", "approved")


def _digests_of(encoded: bytes) -> set[bytes]:
    """SHA-256 of the opened value: of its bytes or text, or of its CBOR when it is a structure."""
    value: Any = cbor.decode(encoded)
    content = value.encode("utf-8") if isinstance(value, str) else value
    return {hashlib.sha256(content if isinstance(content, bytes) else encoded).digest()}


def _check_people(leaf: Leaf, submitted: Leaf | None, checks: Checks, faults: list[tuple[str, str]]) -> None:
    approver = leaf.opened.get("approver")
    requester = submitted.opened.get("requester") if submitted else None
    if approver is None or requester is None:
        checks.not_shown("four eyes", "requester or approver is not opened in this bundle", member=leaf.member)
    elif approver == requester:
        faults.append((leaf.member, "requester and approver are the same person"))
    else:
        checks.add("four eyes", "approver with requester: two different people", passed=True, member=_opening_of(leaf))


def _check_assertion(leaf: Leaf, entry: Entry, members: dict[str, bytes], faults: list[tuple[str, str]]) -> None:
    """`decisions/LEAFHASH.bin` is what the approver's own credential signed; its digest stands in the entry."""
    name = f"decisions/{leaf.leaf_hash.hex()}.bin"
    expected = as_bytes(entry.public.get("assertion_digest"))
    signed = members.get(name)
    if signed is None:
        return
    if hashlib.sha256(signed).digest() != expected:
        faults.append((name, "its SHA-256 is not the one in the signed decision"))
    elif as_bytes(entry.public.get("request_digest")) not in signed:
        faults.append((name, "what was signed does not hold the digest of the request"))


def _opening_of(leaf: Leaf) -> str:
    return f"openings/{leaf.leaf_hash.hex()}.json"


def _number(value: object, *, default: int) -> int:
    return value if isinstance(value, int) else default
