"""Whether a service at a device, or its release, was ordered by two administrators who might."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from server.ledger.entry_types import EntryType
from server.ledger.replay.said import Said
from server.ledger.replay.world import ADMINISTRATOR, World

LIFE_MS: Final = 24 * 3600 * 1000
RELEASE: Final = "release"


@dataclass(slots=True)
class Services:
    world: World
    proposed: dict[str, Said] = field(default_factory=dict)
    ordered: dict[bytes, Said] = field(default_factory=dict)  # order digest -> the entry

    @property
    def samples(self) -> set[bytes]:
        """Token ids under which devices report the sample imprint of an ordered change of heads."""
        return {digest[:16] for digest in self.ordered}

    def take(self, said: Said) -> None:
        if said.entry.entry_type is EntryType.SERVICE_PROPOSED:
            self.proposed.setdefault(said.ref("service"), said)

    def faults(self, said: Said) -> Iterator[tuple[str, bool]]:
        """(what would be wrong with a SERVICE_ORDERED entry, whether it is). Raises: Gone."""
        self.ordered[said.data("order_digest")] = said
        proposal = self.proposed.get(said.ref("service"))
        if proposal is None:
            yield "nobody proposed it before", True
            return
        by, second = said.person("by"), said.person("second")
        branch = self.world.devices[said.ref("device")].branch
        names = [(one.ref("device"), one.text("kind"), one.ref("head"), one.number("slot")) for one in (proposal, said)]
        yield "it is not what was proposed", names[0] != names[1]
        yield "it was ordered later than a day after the proposal", said.time_ms > proposal.time_ms + LIFE_MS
        yield "one person proposed and confirmed it", by is None or second is None or by == second
        yield "who proposed it is not the one it names", proposal.person("by") != by
        both = all(self.world.holds(person, ADMINISTRATOR, branch) for person in (by, second))
        yield f"not both were administrators in {branch or 'an unknown place'} then", not both
        people = [self.world.people[person].operator for person in (by, second) if person in self.world.people]
        yield "the operators in the order are not these two", said.entry.public.get("operators") != people

    def release_faults(self, said: Said) -> Iterator[tuple[str, bool]]:
        """The same for a DEVICE_RESET_ORDERED entry."""
        order = self.ordered.get(said.data("order_digest"))
        wrong = order is None or order.ref("device") != said.ref("device") or order.text("kind") != RELEASE
        yield "no service of two people orders it", wrong
