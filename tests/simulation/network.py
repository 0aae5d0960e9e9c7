"""Everything between the parts: loss, duplication, reordering, delay, one-way partition; and whoever taps the line."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from tests.simulation.marks import Marks
from tests.simulation.timeline import Failed, Timeline, Wait

HTTP_TIMEOUT_MS: Final = 5_000


class Died(Exception):
    """The server was killed in the middle of an answer."""


@dataclass(slots=True)
class Weather:
    """How bad it is now. `cut`: legs on which nothing passes ("to_device", "from_device", "up", "down", "http")."""

    loss: float = 0.0
    double: float = 0.0
    slow: float = 0.0  # share of messages that are seconds late, and so out of order
    cut: frozenset[str] = frozenset()
    broker_forgets: float = 0.0  # share of acknowledged messages that the broker then loses


CALM: Final = Weather()


class Tap(Protocol):
    """Whoever sits in the gateway's place sees every message, and says what goes on in its stead."""

    def tap(self, leg: str, device_id: str, kind: str, data: bytes) -> list[bytes]: ...


class Office(Protocol):
    """The gateway as the network reaches it."""

    alive: bool

    def down(self, device_id: str, kind: str, payload: bytes) -> None: ...


class Server(Protocol):
    alive: bool


class Network:
    """Legs "to_device" and "from_device" (the cable), "up" and "down" (MQTT), "http"."""

    def __init__(self, timeline: Timeline, rng: random.Random, marks: Marks) -> None:
        self._timeline, self._rng, self._marks = timeline, rng, marks
        self.weather = CALM
        self.tapper: Tap | None = None
        self.office: Office | None = None
        self.server: Server | None = None

    def carry(self, leg: str, device_id: str, kind: str, data: bytes, deliver: Callable[[bytes], None]) -> None:
        """Zero, one or more times, sooner or later."""
        copies = [data] if self.tapper is None else self.tapper.tap(leg, device_id, kind, data)
        for copy in copies:
            if leg in self.weather.cut or self._rng.random() < self.weather.loss:
                continue
            self._timeline.after(self._delay(leg), lambda copy=copy: deliver(copy))  # type: ignore[misc]
            if self._rng.random() < self.weather.double:
                self._timeline.after(self._delay(leg), lambda copy=copy: deliver(copy))  # type: ignore[misc]

    def _delay(self, leg: str) -> float:
        near = leg in ("to_device", "from_device")
        if self._rng.random() < self.weather.slow:
            return self._rng.uniform(100, 1_500 if near else 8_000)
        return self._rng.uniform(1, 12) if near else self._rng.uniform(5, 60)

    def down(self, device_id: str, kind: str, payload: bytes) -> None:
        """MQTT, headquarters to office."""
        office = self.office

        def deliver(data: bytes) -> None:
            if office is not None and office.alive:
                office.down(device_id, kind, data)

        self.carry("down", device_id, kind, payload, deliver)

    def up(self, device_id: str, kind: str, payload: bytes, deliver: Callable[[bytes], None]) -> bool:
        """MQTT, office to broker to headquarters. True: the broker acknowledged, which promises nothing."""
        if "up" in self.weather.cut:
            return False
        if self._rng.random() < self.weather.broker_forgets:
            self._marks.hit("broker_forgot")
            return True

        def arrive(data: bytes) -> None:
            if self.server is None:
                return
            if self.server.alive:
                deliver(data)
            else:
                self._timeline.after(2_000, lambda: arrive(data))  # the broker keeps it for the server

        self.carry("up", device_id, kind, payload, arrive)
        return True

    def call(self, question: Callable[[], Any]) -> Wait:
        """HTTPS, question and answer. Either may be lost: the caller cannot tell which."""
        wait = Wait()
        self._timeline.after(HTTP_TIMEOUT_MS, lambda: wait.fail("head_office_unreachable"))

        def ask() -> None:
            if self.server is None or not self.server.alive:
                return
            try:
                answer = question()
            except Failed as failed:
                code = failed.code
                self._back(lambda: wait.fail(code))
                return
            except Died:
                return
            self._back(lambda: wait.set(answer))

        if not self._lost():
            self._timeline.after(self._delay("http"), ask)
        return wait

    def _back(self, give: Callable[[], None]) -> None:
        if not self._lost():
            self._timeline.after(self._delay("http"), give)

    def _lost(self) -> bool:
        return "http" in self.weather.cut or self._rng.random() < self.weather.loss
