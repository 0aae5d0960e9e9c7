"""Who held which right when, from nothing but entries: people, roles, credentials, seals, rules, heads, devices.

A change made by somebody who might not make it does not count, and is remembered with its reason.
"""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

from firmware_protocol import cbor
from firmware_protocol.errors import Malformed
from server.ledger.entry_types import EntryType
from server.ledger.replay.said import Gone, Said

ADMINISTRATOR: Final = "administrator"
KEEPER: Final = "keeper"


@dataclass(slots=True)
class Person:
    tenant: str
    operator: bytes
    active: bool = True
    grants: set[tuple[str, str]] = field(default_factory=set)  # (role, branch)
    methods: set[str] = field(default_factory=set)  # enrolled, not revoked
    credentials: dict[str, str] = field(default_factory=dict)  # id -> method, of those that count


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    role: str
    people: frozenset[UUID]
    quorum: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One generation of a seal's approval rule."""

    version: int
    stages: tuple[Stage, ...]
    requester_may_keep: bool
    max_offline_strokes: int


@dataclass(slots=True)
class Seal:
    tenant: str
    branch: str
    state: str = "active"
    heads: set[bytes] = field(default_factory=set)
    rules: dict[int, Rule] = field(default_factory=dict)
    version: int = 0  # in force


@dataclass(slots=True)
class Device:
    tenant: str
    branch: str
    state: str = "active"
    max_offline_strokes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Deputy:
    person: UUID
    stands_for: UUID | None
    device: str
    seal: str
    from_ms: int
    until_ms: int


@dataclass(slots=True)
class World:
    """`refused`: log index -> why a change of rights did not count."""

    people: dict[UUID, Person] = field(default_factory=dict)
    seals: dict[str, Seal] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=lambda: defaultdict(lambda: Device("", "", state="unknown")))
    deputies: dict[str, Deputy] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)

    def holds(self, person_id: UUID | None, role: str, branch: str) -> bool:
        """Whether the person holds `role` in `branch`: granted there or in a branch above."""
        person = self.people.get(person_id) if person_id else None
        return (
            person is not None
            and person.active
            and bool(branch)
            and any(held == role and branch.startswith(where) for held, where in person.grants)
        )

    def seals_with(self, heads: set[bytes]) -> set[str]:
        """Ids of the seals to which one of these heads belongs."""
        return {seal_id for seal_id, seal in self.seals.items() if seal.heads & heads}

    def on_duty(self, person_id: UUID, *, device: str, seals: set[str], at_ms: int) -> list[Deputy]:
        """As whom the person stands in at this device, which holds heads of these seals."""
        return [
            deputy
            for deputy in self.deputies.values()
            if deputy.person == person_id
            and deputy.from_ms <= at_ms < deputy.until_ms
            and (deputy.device == device or deputy.seal in seals)
        ]

    def take(self, said: Said) -> None:
        """Let one entry change the world, in the order of the log."""
        step = _STEPS.get(said.entry.entry_type)
        if step is None:
            return
        try:
            why = step(self, said)
        except Gone as gone:
            why = str(gone)
        if why:
            self.refused[said.index] = why

    def _might(self, by: UUID | None, branch: str) -> bool:
        """The installation itself (`cinnabar init`, a console) or an administrator of the branch."""
        return by is None or self.holds(by, ADMINISTRATOR, branch)


def _person_added(world: World, said: Said) -> str:
    person_id = _uuid(said.ref("person"))
    if person_id is None or person_id in world.people:
        return "names no new person"
    world.people[person_id] = Person(tenant=said.text("tenant"), operator=said.data("operator"))
    return ""


def _person_removed(world: World, said: Said) -> str:
    person = world.people.get(_uuid(said.ref("person")) or UUID(int=0))
    if person is not None:
        person.active = False
    return ""


def _role_set(world: World, said: Said) -> str:
    person = world.people.get(_uuid(said.ref("person")) or UUID(int=0))
    if person is None:
        return "names a person who was never added"
    if not world._might(said.person("by"), said.text("branch")):  # noqa: SLF001 - one thought in two halves
        return "who set the role was no administrator there"
    grant = (said.text("role"), said.text("branch"))
    if said.entry.public.get("granted") is True:
        person.grants.add(grant)
    else:
        person.grants.discard(grant)
    return ""


def _credential_enrolled(world: World, said: Said) -> str:
    person = world.people.get(_uuid(said.ref("person")) or UUID(int=0))
    if person is None:
        return "names a person who was never added"
    person.methods.add(said.text("method"))
    if credential := said.ref("credential"):
        person.credentials[credential] = said.text("method")
    return ""


def _credential_revoked(world: World, said: Said) -> str:
    person = world.people.get(_uuid(said.ref("person")) or UUID(int=0))
    if person is None:
        return "names a person who was never added"
    method, credential = said.text("method"), said.ref("credential")
    person.credentials.pop(credential, None)
    if not credential or method not in person.credentials.values():
        person.methods.discard(method)
    return ""


def _deputy_set(world: World, said: Said) -> str:
    person_id, seal, device = _uuid(said.ref("person")), said.ref("seal"), said.ref("device")
    if said.entry.public.get("granted") is not True:
        known = world.deputies.get(said.ref("deputy"))
        if known is not None and said.number("until_ms") < known.until_ms:
            world.deputies.pop(said.ref("deputy"))
        return ""
    by, stands_for = said.person("by"), said.person("stands_for")
    branch = world.seals[seal].branch if seal in world.seals else world.devices[device].branch
    if person_id is None or not (world._might(by, branch) or by == stands_for):  # noqa: SLF001
        return "who named the deputy was neither administrator nor the keeper"
    if stands_for is not None and not world.holds(stands_for, KEEPER, branch):
        return "the deputy stands in for somebody who was no keeper there"
    world.deputies[said.ref("deputy")] = Deputy(
        person=person_id,
        stands_for=stands_for,
        device=device,
        seal=seal,
        from_ms=said.number("from_ms"),
        until_ms=said.number("until_ms"),
    )
    return ""


def _seal_registered(world: World, said: Said) -> str:
    seal_id = said.ref("seal")
    if seal_id in world.seals or not world._might(said.person("by"), said.text("branch")):  # noqa: SLF001
        return "who registered the seal might not"
    world.seals[seal_id] = Seal(tenant=said.text("tenant"), branch=said.text("branch"))
    return ""


def _seal_state(world: World, said: Said) -> str:
    if said.ref("seal") in world.seals:
        world.seals[said.ref("seal")].state = said.text("state")
    return ""


def _head_registered(world: World, said: Said) -> str:
    seal = world.seals.get(said.ref("seal"))
    if seal is None or not world._might(said.person("by"), seal.branch):  # noqa: SLF001
        return "who registered the head might not"
    seal.heads.add(said.data("head_id"))
    return ""


def _rule_set(world: World, said: Said) -> str:
    """The rule itself is a commitment, as it may name people; its digest is public."""
    seal = world.seals.get(said.ref("seal"))
    if seal is None or not world._might(said.person("by"), seal.branch):  # noqa: SLF001
        return "who set the rule was no administrator there"
    version = said.number("policy_version")
    if version <= seal.version:
        return f"rule generation {version} follows generation {seal.version}"
    rule = read_rule(said.opened("rule"), version=version)
    if rule is None:
        return "the rule is in no form that is known"
    seal.version, seal.rules[version] = version, rule
    return ""


def _device_enrolled(world: World, said: Said) -> str:
    branch = said.text("branch")
    if not world._might(said.person("by"), branch):  # noqa: SLF001
        return "who paired the device was no administrator there"
    offline = world.devices[said.ref("device")].max_offline_strokes if said.ref("device") in world.devices else 0
    world.devices[said.ref("device")] = Device(said.text("tenant"), branch, max_offline_strokes=offline)
    return ""


def _device_state(world: World, said: Said) -> str:
    world.devices[said.ref("device")].state = said.text("state")
    return ""


def _device_rules(world: World, said: Said) -> str:
    device = world.devices[said.ref("device")]
    if not world._might(said.person("by"), device.branch):  # noqa: SLF001
        return "who set the device's rules was no administrator there"
    device.max_offline_strokes = said.number("max_offline_strokes")
    return ""


_STEPS: Final = {
    EntryType.PERSON_ADDED: _person_added,
    EntryType.PERSON_REMOVED: _person_removed,
    EntryType.ROLE_SET: _role_set,
    EntryType.CREDENTIAL_ENROLLED: _credential_enrolled,
    EntryType.CREDENTIAL_REVOKED: _credential_revoked,
    EntryType.DEPUTY_SET: _deputy_set,
    EntryType.SEAL_REGISTERED: _seal_registered,
    EntryType.SEAL_STATE: _seal_state,
    EntryType.HEAD_REGISTERED: _head_registered,
    EntryType.APPROVAL_RULE_SET: _rule_set,
    EntryType.DEVICE_ENROLLED: _device_enrolled,
    EntryType.DEVICE_STATE: _device_state,
    EntryType.DEVICE_RULES_SET: _device_rules,
}


def read_rule(value: Any, *, version: int) -> Rule | None:  # noqa: ANN401 - what an opening holds
    """A rule as APPROVAL_RULE_SET commits to it; None: not in that form."""
    try:
        stages = tuple(
            Stage(
                role=str(stage["role"]),
                people=frozenset(UUID(person) for person in stage["people"]),
                quorum=int(stage["quorum"]),
            )
            for stage in value["stages"]
        )
        return Rule(
            version=version,
            stages=stages,
            requester_may_keep=value["requester_may_keep"] is True,
            max_offline_strokes=int(value["max_offline_strokes"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def read_uuid(value: object) -> UUID | None:
    """16 bytes, as the canonical request holds ids."""
    return UUID(bytes=value) if isinstance(value, bytes) and len(value) == 16 else None


def decoded(data: bytes) -> Any:  # noqa: ANN401 - any CBOR
    """None for bytes that are no CBOR."""
    try:
        return cbor.decode(data)
    except Malformed:
        return None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
