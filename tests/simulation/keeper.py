"""The hand at a device: mostly it works; sometimes it lays a wrong page, moves paper, pulls twice, goes to lunch."""

import hashlib
import random
from dataclasses import dataclass
from typing import Final

from gateway.rules.session import Step
from gateway.rules.state import next_page
from tests.simulation.agent import Agent
from tests.simulation.mechanics import Paper
from tests.simulation.office import Gateway
from tests.simulation.people import KEEPERS
from tests.simulation.stand import Stand
from tests.simulation.timeline import Failed, Talk, Timeline

STRANGE: Final = hashlib.sha256(b"another document").digest()


@dataclass(slots=True)
class Mood:
    """How often a hand does what it should not, as shares of its steps."""

    wrong_page: float = 0.06
    swaps: float = 0.06
    lunch: float = 0.02
    idle_pull: float = 0.04
    bounce: float = 0.08
    gives_up: float = 0.03
    meets_relock: float = 0.03
    wrong_pin: float = 0.1
    other_comes: float = 0.1
    takes_over: float = 0.015
    leaves: float = 0.01
    takes_voucher: float = 0.45
    uses_voucher: float = 0.4


class Keeper:
    """Looks at the screen of its device and does the next thing a moment later."""

    def __init__(self, stand: Stand, gateway: Gateway, timeline: Timeline, rng: random.Random, mood: Mood) -> None:
        self.stand = stand
        self._gateway, self._timeline, self._rng, self._mood = gateway, timeline, rng, mood
        self._busy = False
        self.working = True
        self._me = rng.choice(KEEPERS)

    def look(self) -> None:
        """The screen changed, or some time went by."""
        if self._busy or not self.working:
            return
        self._busy = True
        self._timeline.after(self._rng.uniform(300, 1_000), self._act)

    def _act(self) -> None:
        self._busy = False
        if not self.working:
            return
        agent = self._gateway.agents.get(self.stand.name)
        if agent is not None:
            self._work(agent)
        if self._chance(self._mood.idle_pull):
            self.stand.pull()
        if not self._busy:
            self._busy = True
            self._timeline.after(self._rng.uniform(2_000, 5_000), self._act)

    def _chance(self, share: float) -> bool:
        return self._rng.random() < share

    def _work(self, agent: Agent) -> None:
        session = agent.session
        if self._chance(self._mood.gives_up) and session.busy:
            agent.tasks.spawn(agent.desk.abort())
            return
        if self._gateway.staffed and session.busy and self._changes_hands(agent):
            return
        match session.step:
            case Step.READY:
                self._press(agent)
            case Step.PLACE | Step.STAMPED if session.strokes_left > 0:
                self._lay(agent)
            case Step.PROBLEM if session.busy:
                self._lay(agent)
            case Step.CHECKING:
                if self._chance(self._mood.swaps):
                    self.stand.lay(Paper(STRANGE, 1))
            case Step.OFFLINE | Step.PLACE | Step.STAMPED:
                pass
            case _:
                agent.tasks.spawn(self._pick(agent))

    def _changes_hands(self, agent: Agent) -> bool:
        """In the middle of a job another one takes over, or this one goes."""
        if self._chance(self._mood.takes_over):
            self._me = self._rng.choice(KEEPERS)
            agent.tasks.spawn(agent.desk.sign_in(self._me))
            return True
        if self._chance(self._mood.leaves):
            agent.tasks.spawn(agent.desk.leave())
            return True
        return False

    def _pick(self, agent: Agent) -> Talk[None]:
        if self._gateway.staffed:
            if self._chance(self._mood.other_comes):
                self._me = self._rng.choice(KEEPERS)
            if agent.desk.operator != self._me:
                yield from agent.desk.sign_in(self._me, right=not self._chance(self._mood.wrong_pin))
        held = agent.desk.vouchers
        if held and self._chance(self._mood.uses_voucher):
            yield from self._stamp_offline(agent)
            return
        try:
            jobs = yield self._gateway.network.call(lambda: self._gateway.server.jobs(self.stand.name))
        except Failed:
            if not held:
                raise
            yield from self._stamp_offline(agent)
            return
        if not jobs:
            raise Failed("no_jobs")
        order = self._rng.choice(jobs)
        if self._gateway.staffed and self._chance(self._mood.takes_voucher):
            yield from agent.desk.take_voucher(order)
        else:
            yield from agent.desk.start(order)

    def _stamp_offline(self, agent: Agent) -> Talk[None]:
        voucher = self._rng.choice(agent.desk.vouchers)
        yield from agent.desk.start(voucher[0].order, voucher=voucher)

    def _lay(self, agent: Agent) -> None:
        order = self._gateway.server.orders[int(agent.session.request_id or 0)]
        page = next_page(agent.session) or 1
        if self._chance(self._mood.wrong_page):
            self.stand.lay(Paper(self._rng.choice((STRANGE, order.document)), page + 1))
        else:
            self.stand.lay(Paper(order.document, page))

    def _press(self, agent: Agent) -> None:
        if self._chance(self._mood.bounce):
            self.stand.shaft.bounces = 1
        if self._chance(self._mood.swaps):
            self.stand.lay(Paper(STRANGE, 1))
        if self._chance(self._mood.lunch):
            self._busy = True
            self._timeline.after(self._rng.choice((35_000, 700_000)), self._late_press)
            return
        self.stand.pull()
        if self._chance(self._mood.meets_relock):
            self.stand.marks.hit("press_meets_relock")
            agent.tasks.spawn(agent.desk.abort())
        elif self._chance(self._mood.idle_pull):
            self.stand.pull()

    def _late_press(self) -> None:
        self._busy = False
        self.stand.pull()
        self.look()
