"""The office box as a model: what is on its disk, and one agent for each device (agent.py).

The outbox is the real one (gateway.outbox), SQLite in memory: what a statement wrote survives a kill.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from gateway.outbox import KeptEvent, Outbox
from tests.simulation.agent import Agent
from tests.simulation.headquarters import Headquarters
from tests.simulation.network import Network
from tests.simulation.timeline import Timeline
from tests.simulation.truth import Truth

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.rules.session import Session
    from tests.simulation.accounts import Issued
    from tests.simulation.stand import Stand


class Gateway:
    """The office box. `alive` is its process; outbox and fetched photos are on its disk."""

    def __init__(self, timeline: Timeline, truth: Truth, network: Network, server: Headquarters) -> None:
        self.timeline, self.truth, self.network, self.server = timeline, truth, network, server
        self.outbox = Outbox(Path(":memory:"))
        self.photos: dict[bytes, bytes] = {}
        self.kept: dict[str, set[int]] = {}
        self.sessions: dict[str, Session] = {}  # gateway.notebook
        self.vouchers: dict[str, list[tuple[Issued, bytes]]] = {}  # gateway.notebook, by device
        self.staffed = False  # the devices ask who is there
        self.stands: list[Stand] = []
        self.agents: dict[str, Agent] = {}
        self.alive = False
        self.on_screen: Callable[[Agent], None] = lambda _: None

    def start(self) -> None:
        if self.alive:
            return
        self.alive = True
        for stand in self.stands:
            self.agents[stand.name] = Agent(stand, self)
            self.agents[stand.name].connect()

    def kill(self) -> None:
        self.alive = False
        for agent in self.agents.values():
            agent.tasks.alive = False
        self.agents.clear()

    def erase(self) -> None:
        """Another box in its place, empty; or somebody emptied it."""
        self.outbox.close()
        self.outbox = Outbox(Path(":memory:"))
        self.photos.clear()
        self.kept.clear()
        self.sessions.clear()
        self.vouchers.clear()

    def down(self, device_id: str, kind: str, payload: bytes) -> None:
        agent = self.agents.get(device_id)
        if agent is not None:
            agent.carrying.down(kind, payload)

    def acknowledged(self, kept: KeptEvent) -> None:
        """The broker says it has this event. That is no receipt: nothing follows from it."""

    def check_outbox(self, device_id: str) -> None:
        """What was kept and is in no ledger yet must still be here."""
        prefix = self.truth.prefix.get(device_id, 0)
        unsafe = {seq for seq in self.kept.get(device_id, ()) if seq > prefix}
        if unsafe:
            missing = self.outbox.missing(device_id, 1, after=prefix, up_to=max(unsafe))
            self.truth.outbox_checked(device_id, unsafe.difference(missing), unsafe)
