"""Requests and their decisions, replayed: which canonical request stands, and whether its rule is satisfied.

The rules are those of docs/entries.md and of the seal's rule as recorded; nothing is read from the tables of the
slices that took the steps, and no code is shared with them.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from server.ledger.entry_types import EntryType
from server.ledger.replay.said import Gone, Said
from server.ledger.replay.world import Rule, World, decoded, read_uuid

DECISION_TAG: Final = "seal/1/decision"
REQUEST_TAG: Final = "seal/1/request"
REQUESTER: Final = "requester"


@dataclass(slots=True, kw_only=True)
class Request:
    """One submitted revision. `faults`: why it or a decision on it does not count, each naming its entry."""

    digest: bytes
    canonical: dict[int, Any]
    branch: str
    seal: str
    strokes: int  # asked for, with spares
    rule: Rule | None
    votes: list[tuple[UUID, int]] = field(default_factory=list)  # (approver, stage)
    rejected: bool = False
    ended: bool = False
    faults: list[str] = field(default_factory=list)
    gone: bool = False  # something about it was erased

    @property
    def requester(self) -> UUID | None:
        return read_uuid(self.canonical.get(17))

    @property
    def keeper(self) -> UUID | None:
        return read_uuid(self.canonical.get(18))

    @property
    def not_before_s(self) -> int:
        return _whole(self.canonical.get(12))

    @property
    def ends_ms(self) -> int:
        """The end of its last second: the canonical form holds whole ones."""
        return (_whole(self.canonical.get(13)) + 1) * 1000

    @property
    def documents(self) -> list[bytes]:
        value = self.canonical.get(6)
        return list(value) if isinstance(value, list) else []

    @property
    def stamping(self) -> str:
        value = self.canonical.get(23)
        return str(value[0]) if isinstance(value, list) and value else ""

    def open_stage(self) -> int | None:
        """The first stage without its quorum, from 0; None when all have theirs."""
        for number, stage in enumerate(self.rule.stages if self.rule else ()):
            if len({person for person, at in self.votes if at == number}) < stage.quorum:
                return number
        return None

    def not_approved(self) -> str:
        """Why the request is not approved; "" when it is."""
        if self.rule is None:
            return "; ".join(self.faults) or "its rule is not on record"
        if self.rejected:
            return "an approver said no"
        waiting = self.open_stage()
        if waiting is None:
            return ""
        stage = self.rule.stages[waiting]
        have = len({person for person, at in self.votes if at == waiting})
        short = f"stage {waiting + 1} has {have} of {stage.quorum} decisions that count"
        return "; ".join([short, *self.faults])


@dataclass(slots=True)
class Requests:
    world: World
    current: dict[str, Request] = field(default_factory=dict)  # request id -> revision that stands

    def take(self, said: Said) -> None:
        """Let one entry change the requests, in the order of the log."""
        match said.entry.entry_type:
            case EntryType.REQUEST_SUBMITTED:
                self.current[said.ref("request")] = self._submitted(said)
            case EntryType.REQUEST_VOIDED | EntryType.REQUEST_WITHDRAWN:
                if said.ref("request") in self.current:
                    self.current[said.ref("request")].ended = True
            case EntryType.DECISION:
                request = self.current.get(said.ref("request"))
                if request is not None:
                    self._decided(request, said)

    def _submitted(self, said: Said) -> Request:
        seal = self.world.seals.get(said.ref("seal"))
        version = said.number("policy_version")
        request = Request(
            digest=said.data("request_digest"),
            canonical={},
            branch=said.text("branch"),
            seal=said.ref("seal"),
            strokes=said.number("strokes") + said.number("spares"),
            rule=seal.rules.get(version) if seal else None,
        )
        try:
            request.canonical = _canonical(said, request)
        except Gone as gone:
            request.gone = True
            request.faults.append(str(gone))
            return request
        checks = {
            "its canonical form does not hash to its digest": not request.canonical,
            "its seal is not on record": seal is None,
            f"its rule generation is {version}, in force was {seal.version if seal else 0}": seal is not None
            and version != seal.version,
            "its canonical form names another rule generation": request.canonical.get(19) != version,
            "it names more strokes than its canonical form": request.strokes > _planned(request.canonical),
            "its requester held no such role in its branch": not self.world.holds(
                request.requester, REQUESTER, request.branch
            ),
            "its seal is not one of its branch": seal is not None
            and not (request.branch.startswith(seal.branch) or seal.branch.startswith(request.branch)),
        }
        request.faults += [f"entry {said.index}: {what}" for what, wrong in checks.items() if wrong]
        if request.faults:
            request.rule = None
        return request

    def _decided(self, request: Request, said: Said) -> None:
        try:
            faults = [why for why, wrong in self._decision_faults(request, said) if wrong]
        except Gone as gone:
            request.gone = True
            faults = [str(gone)]
        if faults:
            request.faults.append(f"entry {said.index}: {faults[0]}")
            return
        approver = said.person("approver")
        if said.entry.public.get("approved") is not True:
            request.rejected = True
        elif approver is not None:
            request.votes.append((approver, said.number("stage")))

    def _decision_faults(self, request: Request, said: Said) -> Iterator[tuple[str, bool]]:
        """(what would be wrong, whether it is), most telling first. Raises: Gone."""
        approver, stage = said.person("approver"), said.number("stage")
        waiting = request.open_stage()
        yield "the decision is on another digest than the request has", said.data("request_digest") != request.digest
        yield "it was decided after the request was voided or withdrawn", request.ended
        yield "it was decided after the request's end", said.time_ms >= request.ends_ms
        yield "self-approval: the approver is the requester", approver is None or approver == request.requester
        yield "the approver is the keeper of the request", approver == request.keeper
        yield "the approver had decided already", approver in {person for person, _stage in request.votes}
        yield "order of stages: no stage was open any more", waiting is None
        yield f"order of stages: stage {stage + 1}, while stage {(waiting or 0) + 1} was open", stage != waiting
        wanted = request.rule.stages[stage] if request.rule and stage < len(request.rule.stages) else None
        if wanted is None:
            yield "the rule has no such stage", True
            return
        named = not wanted.people or approver in wanted.people
        yield "the approver is not one of those whom the rule names", not named
        missing = not self.world.holds(approver, wanted.role, request.branch)
        yield f"the approver held no role '{wanted.role}' in {request.branch} then", missing
        yield from self._credential_faults(approver, request, said)
        yield "what the approver signed does not say this decision", not _says(said, request, approver)

    def _credential_faults(self, approver: UUID | None, request: Request, said: Said) -> Iterator[tuple[str, bool]]:
        person = self.world.people.get(approver) if approver else None
        if person is None:
            yield "the approver was never added", True
            return
        method, credential = said.text("method").partition(",")[0], said.ref("credential")
        tenant = read_uuid(request.canonical.get(1))
        yield "the approver belongs to another company", person.tenant != str(tenant)
        yield f"the approver's credential '{method}' was unknown or revoked", method not in person.methods
        foreign = credential != "" and credential not in person.credentials
        yield "the credential named was not the approver's, or revoked", foreign


def _canonical(said: Said, request: Request) -> dict[int, Any]:
    """The opened canonical request, empty when it is not what the entry names. Raises: Gone."""
    encoded = said.opened("canonical")
    if not isinstance(encoded, bytes) or hashlib.sha256(encoded).digest() != request.digest:
        return {}
    value = decoded(encoded)
    if not isinstance(value, dict) or value.get(0) != REQUEST_TAG:
        return {}
    names = {2: said.ref("request"), 4: request.seal}
    return value if all(str(read_uuid(value.get(key))) == name for key, name in names.items()) else {}


def _planned(canonical: dict[int, Any]) -> int:
    """Strokes of the plan: places times copies, and spares; none on paper for a purely electronic request."""
    places = canonical.get(8)
    if not isinstance(places, list) or canonical.get(22) == "electronic":
        return _whole(canonical.get(10))
    return len(places) * _whole(canonical.get(9)) + _whole(canonical.get(10))


def _says(said: Said, request: Request, approver: UUID | None) -> bool:
    """Whether the assertion is about this digest, person, stage and answer. Raises: Gone."""
    signed = said.opened("assertion")
    if not isinstance(signed, bytes) or hashlib.sha256(signed).digest() != said.data("assertion_digest"):
        return False
    approved, nonce = said.entry.public.get("approved"), said.data("nonce")
    person = approver.bytes if approver else b""
    return bool(decoded(signed) == [DECISION_TAG, request.digest, person, said.number("stage"), nonce, approved])


def _whole(value: object) -> int:
    return value if type(value) is int else 0
