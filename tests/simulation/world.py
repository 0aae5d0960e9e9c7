"""One schedule: a company of a few devices lives through chaos that its seed draws, then everything heals."""

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from firmware_protocol.tokens import Mode, PageCheck
from tests.simulation import convergence
from tests.simulation.accounts import Order, Violation
from tests.simulation.agent import Agent
from tests.simulation.attacker import Attacker
from tests.simulation.headquarters import Headquarters
from tests.simulation.keeper import Keeper, Mood
from tests.simulation.marks import Marks
from tests.simulation.network import CALM, Network, Weather
from tests.simulation.office import Gateway
from tests.simulation.people import PEOPLE
from tests.simulation.stand import CAPACITY, MOST, TIGHT, Stand
from tests.simulation.timeline import Timeline
from tests.simulation.truth import Truth

LONGEST_MS: Final = 3 * 60_000
"""Chaos ends then, whatever was stamped."""
HEAL_MS: Final = 2 * 3_600_000
"""Within this time after the last fault every queue must be empty (I19)."""
TIDIED_MS: Final = 4_000
"""After the last fault, until most keepers have ended their job."""
LOOK_MS: Final = 3_000
"""How often it is asked whether everything is settled."""
POINTS: Final = (
    "before_grant", "after_grant", "before_intent", "after_intent", "after_unlock", "after_press", "before_done",
    "after_done",
)  # fmt: skip
_POLICIES: Final = (PageCheck.BEFORE,) * 4 + (PageCheck.AFTER, PageCheck.NONE, PageCheck.NONE | Mode.CONTINUOUS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one schedule. `violation` is empty when every invariant held."""

    seed: int
    strokes: int
    virtual_s: int
    steps: int
    violation: str = ""
    invariant: str = ""


class World:
    """Everything of one schedule; the same seed gives the same world, to the byte."""

    def __init__(self, seed: int, *, marks: Marks, say: Callable[[str], None] | None = None) -> None:
        self.seed, self.marks, self._say = seed, marks, say
        rng = self.rng = random.Random(seed)
        self.timeline = Timeline()
        self.truth = Truth(self.timeline, marks)
        self.network = Network(self.timeline, rng, marks)
        self.server = Headquarters(self.timeline, self.truth, marks, self.network, rng.randbytes(8))
        self.gateway = Gateway(self.timeline, self.truth, self.network, self.server)
        self.network.office, self.network.server = self.gateway, self.server
        self.hostile = rng.random() < 0.6
        self.tight = rng.random() < 0.12
        self.staffed = self.gateway.staffed = rng.random() < 0.3
        cloned = rng.random() < 0.25  # one head's tag in every device: only the audience tells them apart
        self.stands = [
            Stand(number, head=0 if cloned else number, staffed=self.staffed, timeline=self.timeline,
                  rng=rng, truth=self.truth, marks=marks,
                  capacity=TIGHT if self.tight else CAPACITY)
            for number in range(rng.choice((2, 2, 2, 2, MOST)))
        ]  # fmt: skip
        self.keepers = [Keeper(stand, self.gateway, self.timeline, rng, Mood()) for stand in self.stands]
        self.attacker = Attacker(
            timeline=self.timeline, rng=rng, truth=self.truth, marks=marks, gateway=self.gateway, server=self.server,
            stands=self.stands, network=self.network,
        )  # fmt: skip
        for stand in self.stands:
            stand.check = self._checked(stand)
        self.heads = {stand.name: stand.account.head for stand in self.stands}
        self._target = rng.choice((3, 4, 5, 5))
        self._chaos = True
        self._steps = 0

    # --- the course of it ---------------------------------------------------------------------------------------------

    def run(self) -> Outcome:
        """Chaos until enough was stamped, then heal. A violation ends it."""
        violation: Violation | None = None
        try:
            self._set_up()
            while self.truth.strokes < self._target and self.timeline.now_ms < LONGEST_MS:
                self._step()
            self._heal()
        except Violation as found:
            violation = found
        finally:
            self.gateway.kill()  # what still waits never goes on, also when it is swept up
            self.gateway.outbox.close()
        return Outcome(
            seed=self.seed,
            strokes=self.truth.strokes,
            virtual_s=self.timeline.now_ms // 1000,
            steps=self._steps,
            violation=str(violation or ""),
            invariant=violation.name if violation else "",
        )

    def _checked(self, stand: Stand) -> Callable[[], None]:
        """A device changes only when it is touched: then what must hold at every step is checked."""
        return lambda: convergence.check_device(stand, self.truth)

    def _set_up(self) -> None:
        for stand in self.stands:
            self.server.enrol(stand)
            self.gateway.stands.append(stand)
            for _ in range(3):
                self._approve(stand)
        self.gateway.on_screen = self._looked
        if self.hostile:
            self.network.tapper = self.attacker
        self.network.weather = self._weather()
        for stand in self.stands:
            stand.boot()
        self.gateway.start()
        for keeper in self.keepers:
            keeper.look()
        self._next_fault()

    def _looked(self, agent: Agent) -> None:
        for keeper in self.keepers:
            if keeper.stand is agent.stand:
                keeper.look()

    def _approve(self, stand: Stand) -> None:
        number = len(self.server.orders)
        pages = tuple(self.rng.randint(1, 4) for _ in range(self.rng.randint(1, 4)))
        self.server.orders.append(
            Order(
                number=number,
                document=hashlib.sha256(b"document %d %d" % (self.seed, number)).digest(),
                pages=pages,
                spares=self.rng.choice((0, 1)),
                policy=int(self.rng.choice(_POLICIES)),
                head=self.heads[stand.name],
            )
        )

    def _step(self) -> None:
        if self._say is not None:
            self._tell()
        self.timeline.step()
        self._steps += 1

    # --- faults -------------------------------------------------------------------------------------------------------

    def _next_fault(self) -> None:
        if not self._chaos:
            return
        faults: tuple[tuple[Callable[[], None], int], ...] = (
            (self._hurt_device, 8), (self._change_weather, 4), (self._kill_gateway, 1), (self._kill_server, 2),
            (self._new_orders, 9), (self._revoke, 1), (self._suspend, 1), (self._swap_head, 1),
            (self._attack, 10 if self.hostile else 0), (self._change_roster, 1 if self.staffed else 0),
        )  # fmt: skip
        fault = self.rng.choices([each for each, _ in faults], [weight for _, weight in faults])[0]
        fault()
        for stand in self.stands:
            if stand.device is not None and stand.device.memory.tampered and self.rng.random() < 0.5:
                self.server.clear_tamper(stand.name)
        self.timeline.after(self.rng.uniform(1_000, 8_000), self._next_fault)

    def _attack(self) -> None:
        self.attacker.act()

    def _hurt_device(self) -> None:
        stand = self.rng.choice(self.stands)
        match self.rng.randrange(8):
            case 0:
                if stand.device is not None:
                    stand.cut()
            case 1 | 2 | 3:
                stand.cut_at = self.rng.choice(POINTS)
            case 4 | 5:
                stand.disk.tear_in = self.rng.randint(1, 4)
            case 6:
                stand.disk.fail_in = self.rng.randint(1, 4)
            case _:
                stand.tray.failing = self.rng.choice((1, 1, 2, 5))

    def _weather(self) -> Weather:
        rng = self.rng
        if rng.random() < 0.5:
            return CALM
        legs = ("to_device", "from_device", "up", "down", "http")
        cut = frozenset(leg for leg in legs if rng.random() < (0.4 if self.tight and leg == "down" else 0.03))
        return Weather(
            loss=rng.choice((0, 0.02, 0.06)),
            double=rng.choice((0, 0.05)),
            slow=rng.choice((0, 0.05, 0.2)),
            cut=cut,
            broker_forgets=rng.choice((0, 0.05, 0.3)),
        )

    def _change_weather(self) -> None:
        self.network.weather = self._weather()

    def _kill_gateway(self) -> None:
        if not self.gateway.alive:
            return
        if any(stand.device is not None and stand.device.memory.token is not None for stand in self.stands):
            self.marks.hit("gateway_died_with_an_open_grant")
        self.gateway.kill()
        self.timeline.after(self.rng.choice((500, 2_000, 6_000)), self._start_gateway)

    def _start_gateway(self) -> None:
        if not self.gateway.alive:
            self.gateway.start()

    def _kill_server(self) -> None:
        self.server.die_at = self.rng.choice(("server_died_before_commit", "server_died_after_commit"))
        self.timeline.after(self.rng.choice((3_000, 8_000)), self._start_server)

    def _start_server(self) -> None:
        self.server.die_at = ""
        self.server.start()

    def _new_orders(self) -> None:
        if len(self.server.orders) < 40:
            self._approve(self.rng.choice(self.stands))

    def _revoke(self) -> None:
        used = [order for order in self.server.orders if order.imprints < order.approved]
        if used:
            self.server.revoke(self.rng.choice(used))

    def _change_roster(self) -> None:
        people = self.rng.choice((PEOPLE, PEOPLE[1:], PEOPLE[:1]))
        self.server.change_roster(self.rng.choice(self.stands).name, people)

    def _suspend(self) -> None:
        stand = self.rng.choice(self.stands)
        if stand.device is not None and stand.device.memory.token is not None:
            self.marks.hit("suspended_with_an_open_grant")
        self.server.set_suspended(stand.name, suspended=True)
        back = self.rng.choice((3_000, 12_000))
        self.timeline.after(back, lambda: self.server.set_suspended(stand.name, suspended=False))

    def _swap_head(self) -> None:
        stand = self.rng.choice(self.stands)
        if self.rng.random() < 0.25:
            stand.disk.fail_in = 1  # the head's change is what can't be written
        stand.mount(self.rng.choice((b"", b"\x07" * 8)))
        self.timeline.after(self.rng.choice((2_000, 9_000)), lambda: stand.mount(self.heads[stand.name]))

    # --- healing ------------------------------------------------------------------------------------------------------

    def _heal(self) -> None:
        """The faults stop, the attacker goes, hands rest; what is in flight may still arrive."""
        self._chaos = False
        self.network.tapper, self.network.weather = None, CALM
        for keeper in self.keepers:
            keeper.working = False
        self.timeline.after(3_000, self._tidy)
        for stand in self.stands:
            stand.disk.tear_in = stand.disk.fail_in = stand.tray.failing = 0
            stand.cut_at = ""
        self._start_server()
        self._start_gateway()
        ends = self.timeline.now_ms + HEAL_MS
        looked = self.timeline.now_ms + TIDIED_MS
        waiting = "nothing was planned"
        while self.timeline.now_ms < ends and self.timeline.next_ms is not None:
            self._step()
            if self.timeline.now_ms >= looked:
                looked = self.timeline.now_ms + LOOK_MS
                waiting = convergence.waiting_for(self)
                if not waiting:
                    convergence.check_the_end(self)
                    return
        raise Violation("I19", f"two hours after the last fault: {waiting}")

    def _tidy(self) -> None:
        """Most keepers stop their job; some go home, and the device closes by itself."""
        for agent in self.gateway.agents.values():
            if self.rng.random() < 0.985:
                agent.tasks.spawn(agent.desk.abort())

    # --- reading along ------------------------------------------------------------------------------------------------

    def _tell(self) -> None:
        states = " ".join(
            f"{stand.name[-1]}:{stand.state.name if stand.state is not None else 'OFF'}/{stand.account.last_seq}"
            f"/{stand.shaft.count}"
            for stand in self.stands
        )
        line = f"{states} strokes={self.truth.strokes}"
        if self._say is not None and line != getattr(self, "_told", ""):
            self._told: Any = line
            self._say(f"{self.timeline.now_ms / 1000:9.3f} s  {line}")
